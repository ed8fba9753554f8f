-- KEYS: what is known of a refresh token, the result of its renewal. ARGV: now, span, grace
local known = redis.call('HMGET', KEYS[1], 'fence', 'held', 'landed', 'spent')
local now = tonumber(ARGV[1])
if known[2] and now < tonumber(known[2]) then
  return { 'busy' }
end
if known[3] and now < tonumber(known[3]) then
  local result = redis.call('GET', KEYS[2])
  if result then
    return { 'landed', result }
  end
  -- Evicted before its time: whoever comes is no thief, and may try.
elseif known[4] and now < tonumber(known[4]) then
  return { 'spent' }
end
-- The server's time in microseconds, so that numbers also grow where everything was forgotten.
local time = redis.call('TIME')
local fence = math.max(tonumber(known[1] or 0) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
fence = string.format('%.0f', fence)
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'fence', fence, 'held', string.format('%.0f', now + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[2]) + tonumber(ARGV[3])))
return { 'held', fence }
