-- Keeps a pending revocation. Beyond the limit it takes the place of any other. Returns how many were evicted.
-- KEYS: pending revocations by their ids. ARGV: id, value, most of them, TTL in milliseconds
local evicted = 0
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then
  evicted = redis.call('HDEL', KEYS[1], redis.call('HRANDFIELD', KEYS[1]))
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local ttl = tonumber(ARGV[4])
if redis.call('PTTL', KEYS[1]) < ttl then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', ttl))
end
return evicted
