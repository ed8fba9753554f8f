-- Places by when they were taken. Gives nothing for a place, else when the one that frees first was taken.
-- ARGV: now, per, attempts, place, grace
local now, per, attempts = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - per))
local taken = redis.call('ZCARD', KEYS[1])
if taken >= attempts then
  local frees = redis.call('ZRANGE', KEYS[1], taken - attempts, taken - attempts, 'WITHSCORES')
  return frees[2] or ARGV[1]
end
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[4])
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', per + tonumber(ARGV[5])))
return false
