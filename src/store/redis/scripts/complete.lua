-- Ends a lease with its result. Returns 0 when the lease was lost.
-- KEYS: state of the lease, its result.
-- ARGV: fence, now, grace, end of the result, end of reuse detection (or ''), result, channel, message
local known = redis.call('HMGET', KEYS[1], 'fence', 'held')
if known[1] ~= ARGV[1] or not known[2] then
  return 0
end
local now, grace, expires_at = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local last = expires_at
redis.call('HDEL', KEYS[1], 'held')
redis.call('HSET', KEYS[1], 'landed', ARGV[4])
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[1], 'spent', ARGV[5])
  last = math.max(last, tonumber(ARGV[5]))
end
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(last - now, 0) + grace))
redis.call('SET', KEYS[2], ARGV[6], 'PX', string.format('%.0f', math.max(expires_at - now, 0) + grace))
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 1
