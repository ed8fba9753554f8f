-- Adds revocations and publishes those that were not known. Returns their number.
-- KEYS: revocation ids by their ends, stream of the latest revocations.
-- ARGV: channel, time before which ended revocations are removed (or ''), most revocations, about the most entries of
-- the stream, then an end in 16 digits and a member for each: an id of 16 bytes, or an id and the time in 16 digits up
-- to which the revoked tokens were issued
if ARGV[2] ~= '' then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
end
local news = {}
local message = {}
local limited = {}
for i = 5, #ARGV, 2 do
  if redis.call('ZADD', KEYS[1], 'GT', 'CH', ARGV[i], ARGV[i + 1]) == 1 then
    news[#news + 1] = ARGV[i] .. ARGV[i + 1]
    local kind = #ARGV[i + 1] == 16 and message or limited
    kind[#kind + 1] = news[#news]
    redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'revocation', news[#news])
  end
end
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[3])
if over > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[1], 0, over - 1)
end
if #message > 0 then
  redis.call('PUBLISH', ARGV[1], 'R' .. table.concat(message))
end
if #limited > 0 then
  redis.call('PUBLISH', ARGV[1], 'I' .. table.concat(limited))
end
return #news
