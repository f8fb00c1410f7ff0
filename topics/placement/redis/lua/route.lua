-- Publish an event to the topics that exist, all of them in one step, so that every node sees one order.
-- KEYS: settled, leases, then a table for each topic
-- ARGV: era, session, TTL in milliseconds, id, time, channel prefix, identity and event as a node reads them,
--       then for each topic: name
-- Returns the counts in order; or 'unsettled', 'late' as count.lua does.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not own or tonumber(own) - now < ARGV[3] / 2 then return 'late' end
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')
local counts = {}
for key = 3, #KEYS do
  local total = 0
  for _, count in ipairs(redis.call('HMGET', KEYS[key], unpack(live))) do
    if count then total = total + count end
  end
  counts[key - 2] = total
  if total > 0 then
    local name = ARGV[key + 5]
    local seq = redis.call('HINCRBY', KEYS[key], 'seq', 1)
    redis.call('HSET', KEYS[key], 'id', ARGV[4], 'time', ARGV[5])
    local epoch = redis.call('HGET', KEYS[key], 'epoch')
    redis.call('PUBLISH', ARGV[6] .. name, 'E ' .. epoch .. ' ' .. seq .. ' ' .. name .. ' ' .. ARGV[7])
  end
end
return counts
