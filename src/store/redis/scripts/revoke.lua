-- Adds revocations and publishes those that were not known. Returns their number.
-- KEYS: revocation ids by their ends, stream of the latest revocations.
-- ARGV: channel, time before which ended revocations are removed (or ''), most revocations, about the most entries of
-- the stream, then an end in 16 digits and an id for each
if ARGV[2] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
end
local news = {}
for i = 5, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'GT', 'CH', ARGV[i], ARGV[i + 1]) == 1 then
    news[#news + 1] = ARGV[i] .. ARGV[i + 1]
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'revocation', news[#news])
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
