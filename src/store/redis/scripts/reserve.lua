-- KEYS: places by when they were taken, how often all of them were.
-- Gives nothing for a place, else when the wait ends.
-- ARGV: now, per, attempts, place, grace, longest wait, fades after
local now, per, attempts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local grace, fades_after = tonumber(ARGV[5]), tonumber(ARGV[7])
if attempts == 0 then
  return string.format('%.0f', now + per)
end
local known = redis.call('HMGET', KEYS[2], 'waits', 'fades')
local waits, fades = tonumber(known[1] or 0), tonumber(known[2] or 0)
-- The end of the wait where all places are taken.
local function wait_ends()
  local taken = redis.call('ZCARD', KEYS[1])
  if taken < attempts then
    return nil
  end
  local longest = math.max(tonumber(ARGV[6]), per)
  local oldest = redis.call('ZRANGE', KEYS[1], taken - attempts, taken - attempts, 'WITHSCORES')
  return tonumber(oldest[2]) + math.min(per * 2 ^ math.min(waits, 20), longest)
end
local ends = wait_ends()
if ends then
  if now < ends then
    return string.format('%.0f', ends)
  end
  waits, fades = waits + 1, ends + fades_after
end
if fades <= now then
  waits = 0
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - per))
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
local last = now + per
ends = wait_ends()
if ends then
  last = ends + fades_after
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last - now + grace))
if waits > 0 then
  redis.call('HSET', KEYS[2], 'waits', waits, 'fades', string.format('%.0f', fades))
  redis.call('PEXPIRE', KEYS[2], string.format('%.0f', math.max(last, fades) - now + grace))
else
  redis.call('DEL', KEYS[2])
end
return false
