-- Adds revocations and publishes those that were not known. Returns their number.
-- KEYS: revocation ids by their ends.
-- ARGV: channel, time before which ended revocations are removed (or ''), most revocations, then an end in 16 digits
-- and an id for each
if ARGV[2] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
end
local news = {}
for i = 4, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'GT', 'CH', ARGV[i], ARGV[i + 1]) == 1 then
    news[#news + 1] = ARGV[i] .. ARGV[i + 1]
  end
end
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if over > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
end
if #news > 0 then
  redis.call('PUBLISH', ARGV[1], 'R' .. table.concat(news))
end
return #news
