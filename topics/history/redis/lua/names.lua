-- Return the topics of which events are kept.
-- KEYS: settled, kept
-- ARGV: era
-- Returns their names; or 'unsettled'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
return redis.call('ZRANGEBYSCORE', KEYS[2], time[1] * 1000 + math.floor(time[2] / 1000), '+inf')
