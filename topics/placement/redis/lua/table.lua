-- Return the nodes whose leases run.
-- KEYS: leases, info
-- Returns for each: session, milliseconds of its lease that are left, info
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nodes = {}
local leases = redis.call('ZRANGEBYSCORE', KEYS[1], now, '+inf', 'WITHSCORES')
for index = 1, #leases, 2 do
  nodes[#nodes + 1] = { leases[index], math.floor(leases[index + 1] - now), redis.call('HGET', KEYS[2], leases[index]) }
end
return nodes
