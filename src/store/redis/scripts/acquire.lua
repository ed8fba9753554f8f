-- Tries to acquire a lease. Returns a word, and the result, or the fence and the checkpoint.
-- KEYS: state of the lease, its result, its checkpoint. ARGV: ttl, grace
local known = redis.call('HMGET', KEYS[1], 'fence', 'held', 'landed', 'spent')
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if known[2] and now < tonumber(known[2]) then
  return { 'contended' }
end
if known[3] and now < tonumber(known[3]) then
  local result = redis.call('GET', KEYS[2])
  if result then
    return { 'completed', result }
  end
  -- The result was evicted before it expired. The caller reuses nothing, and may acquire the lease.
elseif known[4] and now < tonumber(known[4]) then
  return { 'reused' }
end
-- At least the server's time in microseconds, so that fences also grow when the server has lost its data.
local fence = math.max(tonumber(known[1] or 0) + 1, tonumber(time[1]) * 1000000 + tonumber(time[2]))
fence = string.format('%.0f', fence)
redis.call('DEL', KEYS[1], KEYS[2])
redis.call('HSET', KEYS[1], 'fence', fence, 'held', string.format('%.0f', now + tonumber(ARGV[1])))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', tonumber(ARGV[1]) + tonumber(ARGV[2])))
return { 'acquired', fence, redis.call('GET', KEYS[3]) or '' }
