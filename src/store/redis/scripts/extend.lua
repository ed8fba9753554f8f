-- Extends a lease. Returns 0 when it was lost. KEYS: state of the lease. ARGV: fence, ttl, grace
local known = redis.call('HMGET', KEYS[1], 'fence', 'held')
if known[1] ~= ARGV[1] or not known[2] then
  return 0
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('HSET', KEYS[1], 'held', string.format('%.0f', now + tonumber(ARGV[2])))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[2]) + tonumber(ARGV[3])))
return 1
