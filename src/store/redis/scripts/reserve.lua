-- Records an attempt and returns false, or returns the end of the wait when the window is full.
-- KEYS: attempts by their times, how often the window was full.
-- ARGV: now, per, limit, id of the attempt, grace, longest wait, time until the backoff resets
local now, per, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local grace, reset_after = tonumber(ARGV[5]), tonumber(ARGV[7])
if limit == 0 then
  return string.format('%.0f', now + per)
end
local known = redis.call('HMGET', KEYS[2], 'waits', 'fades')
local waits, resets_at = tonumber(known[1] or 0), tonumber(known[2] or 0)
-- The end of the wait when the window is full.
local function wait_ends()
  local recorded = redis.call('ZCARD', KEYS[1])
  if recorded < limit then
    return nil
  end
  local longest = math.max(tonumber(ARGV[6]), per)
  local oldest = redis.call('ZRANGE', KEYS[1], recorded - limit, recorded - limit, 'WITHSCORES')
  return tonumber(oldest[2]) + math.min(per * 2 ^ math.min(waits, 20), longest)
end
local ends = wait_ends()
if ends then
  if now < ends then
    return string.format('%.0f', ends)
  end
  waits, resets_at = waits + 1, ends + reset_after
end
if resets_at <= now then
  waits = 0
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - per))
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
local last = now + per
ends = wait_ends()
if ends then
  last = ends + reset_after
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last - now + grace))
if waits > 0 then
  redis.call('HSET', KEYS[2], 'waits', waits, 'fades', string.format('%.0f', resets_at))
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(last, resets_at) - now + grace))
else
  redis.call('DEL', KEYS[2])
end
return false
