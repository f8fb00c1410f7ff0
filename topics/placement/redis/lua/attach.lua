-- Add topics to a connection of this node, which may be new. Counts are the node's own totals, so that a repeat
-- changes nothing.
-- Commands that waited in a frozen Redis may run after their session has been removed: they must leave nothing behind.
-- KEYS: order, records, held, topics, closed, position, then for each topic: its table, its members on this node
-- ARGV: session, member, number, record, epoch for a new topic, channel prefix,
--       then for each topic: name, connections on this node, token of the mark to publish or ''
if redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
local session, member, number, record = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
redis.call('ZADD', KEYS[1], number, member)
redis.call('HSET', KEYS[2], member, record)
local argument = 7
local position = redis.call('GET', KEYS[6]) or '0'
for key = 7, #KEYS, 2 do
  local name, count, token = ARGV[argument], ARGV[argument + 1], ARGV[argument + 2]
  argument = argument + 3
  if redis.call('HSETNX', KEYS[key], 'epoch', ARGV[5]) == 1 then
    redis.call('HSET', KEYS[key], 'seq', 0, 'id', '', 'time', '')
  end
  redis.call('ZADD', KEYS[4], 0, name)
  redis.call('HSET', KEYS[key], session, count)
  redis.call('SADD', KEYS[3], name)
  redis.call('ZADD', KEYS[key + 1], number, member)
  if token ~= '' then
    local stream = redis.call('HMGET', KEYS[key], 'epoch', 'seq')
    redis.call('PUBLISH', ARGV[6] .. name, 'M ' .. stream[1] .. ' ' .. stream[2] .. ' ' .. name .. ' ' .. token .. ' ' .. position)
  end
end
return 1
