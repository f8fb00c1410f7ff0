-- Publish where each topic's stream stands. A node that reads the mark is subscribed, and knows what it missed.
-- KEYS: position, then a table for each topic
-- ARGV: channel prefix, then for each topic: name, token
local position = redis.call('GET', KEYS[1]) or '0'
for key = 2, #KEYS do
  local name, token = ARGV[key * 2 - 2], ARGV[key * 2 - 1]
  local stream = redis.call('HMGET', KEYS[key], 'epoch', 'seq')
  redis.call('PUBLISH', ARGV[1] .. name,
    'M ' .. (stream[1] or '-') .. ' ' .. (stream[2] or '0') .. ' ' .. name .. ' ' .. token .. ' ' .. position)
end
return 1
