-- Ends a lease with its result. Returns 0 when the lease was lost.
-- KEYS: state of the lease, its result, its checkpoint.
-- ARGV: fence, grace, ttl of the result, ttl of reuse detection after it (or ''), result, channel, message
local known = redis.call('HMGET', KEYS[1], 'fence', 'held')
if known[1] ~= ARGV[1] or not known[2] then
  return 0
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local grace, ttl = tonumber(ARGV[2]), tonumber(ARGV[3])
local last = ttl
redis.call('HDEL', KEYS[1], 'held')
redis.call('HSET', KEYS[1], 'landed', string.format('%.0f', now + ttl))
if ARGV[4] ~= '' then
  last = ttl + tonumber(ARGV[4])
  redis.call('HSET', KEYS[1], 'spent', string.format('%.0f', now + last))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', last + grace))
redis.call('SET', KEYS[2], ARGV[5], 'PX', string.format('%.0f', ttl + grace))
redis.call('DEL', KEYS[3])
redis.call('PUBLISH', ARGV[6], ARGV[7])
return 1
