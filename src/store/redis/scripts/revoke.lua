-- Marks by their ends. ARGV: channel, what ended before this goes (or ''), most, then ends in 16 digits and marks
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
