-- Reads a session and extends its life. Its value is its end and its idle end in 16 digits each, then the record.
-- KEYS: the session. ARGV: now, idle time, grace
local value = redis.call('GET', KEYS[1])
if not value then
  return false
end
local now = tonumber(ARGV[1])
if tonumber(string.sub(value, 17, 32)) <= now then
  redis.call('DEL', KEYS[1])
  return false
end
local idle_end = math.min(now + tonumber(ARGV[2]), tonumber(string.sub(value, 1, 16)))
redis.call('SETRANGE', KEYS[1], 16, string.format('%016.0f', idle_end))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', idle_end - now + tonumber(ARGV[3])))
return value
