-- Ends a lease without a result. Returns 0 when it was lost.
-- KEYS: state of the lease. ARGV: fence, grace, channel, message
local known = redis.call('HMGET', KEYS[1], 'fence', 'held')
if known[1] ~= ARGV[1] or not known[2] then
  return 0
end
-- The fence stays for a while, so that the next one is larger.
redis.call('HDEL', KEYS[1], 'held')
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[2])))
redis.call('PUBLISH', ARGV[3], ARGV[4])
return 1
