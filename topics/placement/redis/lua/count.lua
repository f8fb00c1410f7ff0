-- Count the connections of topics on the nodes that live.
-- KEYS: settled, leases, then a table for each topic
-- ARGV: era, session, TTL in milliseconds
-- Returns the counts in order; or 'unsettled', 'late' when the caller must see to its lease first.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local own = redis.call('ZSCORE', KEYS[2], ARGV[2])
-- A caller that missed a renewal may have been cut off together with all others, whose leases prove nothing then.
if not own or tonumber(own) - now < ARGV[3] / 2 then return 'late' end
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')
local counts = {}
for key = 3, #KEYS do
  local total = 0
  for _, count in ipairs(redis.call('HMGET', KEYS[key], unpack(live))) do
    if count then total = total + count end
  end
  counts[key - 2] = total
end
return counts
