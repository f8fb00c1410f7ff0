-- Return some topics of which even the ids of evicted events are too old: sweep.lua removes what is left of them.
-- KEYS: settled, expiring
-- ARGV: era, most names
-- Returns their names; or 'unsettled'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
