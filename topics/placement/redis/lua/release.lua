-- Remove some topics of a session that has ended.
-- KEYS: held, topics, then for each topic: its table, its members on that node
-- ARGV: session, then for each topic: name
for index = 2, #ARGV do
  local key, name = index * 2 - 1, ARGV[index]
  redis.call('HDEL', KEYS[key], ARGV[1])
  redis.call('DEL', KEYS[key + 1])
  redis.call('SREM', KEYS[1], name)
  -- As in detach.lua.
  local kept = redis.call('HEXISTS', KEYS[key], 'forgotten')
  if redis.call('HLEN', KEYS[key]) <= 4 + kept then
    if kept == 0 then redis.call('DEL', KEYS[key]) end
    redis.call('ZREM', KEYS[2], name)
  end
end
return 1
