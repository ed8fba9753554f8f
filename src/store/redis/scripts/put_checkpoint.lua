-- Stores a checkpoint. Returns 0 when the lease was completed.
-- KEYS: state of the lease, its checkpoint. ARGV: checkpoint, ttl, 'keep' where an earlier one stays
local known = redis.call('HMGET', KEYS[1], 'landed', 'spent')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if now < math.max(tonumber(known[1] or 0), tonumber(known[2] or 0)) then
  return 0
end
if ARGV[3] == 'keep' and redis.call('EXISTS', KEYS[2]) == 1 then
  return 1
end
redis.call('SET', KEYS[2], ARGV[1], 'PX', string.format('%.0f', tonumber(ARGV[2])))
return 1
