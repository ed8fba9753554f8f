-- Extends a lease. Returns 0 when it was lost. KEYS: state of the lease. ARGV: fence, now, ttl, grace
local known = redis.call('HMGET', KEYS[1], 'fence', 'held')
if known[1] ~= ARGV[1] or not known[2] then
  return 0
end
redis.call('HSET', KEYS[1], 'held', string.format('%.0f', tonumber(ARGV[2]) + tonumber(ARGV[3])))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[3]) + tonumber(ARGV[4])))
return 1
