-- Take topics from a connection of this node. With a topic's last connection every key that names it goes, but for those
-- of its history.
-- KEYS: order, records, held, topics, then for each topic: its table, its members on this node
-- ARGV: session, member, record ('' when the connection is gone), then for each topic: name, connections left here
local session, member, record = ARGV[1], ARGV[2], ARGV[3]
local argument = 4
for key = 5, #KEYS, 2 do
  local name, count = ARGV[argument], ARGV[argument + 1]
  argument = argument + 2
  redis.call('ZREM', KEYS[key + 1], member)
  if count == '0' then
    redis.call('HDEL', KEYS[key], session)
    redis.call('SREM', KEYS[3], name)
    -- Only epoch, seq, id and time are left: no node holds the topic. With forgotten, history is kept of it, and it stays.
    local kept = redis.call('HEXISTS', KEYS[key], 'forgotten')
    if redis.call('HLEN', KEYS[key]) <= 4 + kept then
      if kept == 0 then redis.call('DEL', KEYS[key]) end
      redis.call('ZREM', KEYS[4], name)
    end
  elseif redis.call('HEXISTS', KEYS[key], session) == 1 then
    redis.call('HSET', KEYS[key], session, count)
  end
end
if record == '' then
  redis.call('ZREM', KEYS[1], member)
  redis.call('HDEL', KEYS[2], member)
elseif redis.call('HEXISTS', KEYS[2], member) == 1 then
  redis.call('HSET', KEYS[2], member, record)
end
return 1
