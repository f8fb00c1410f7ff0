-- Return what publishes with one id were answered within the time of dedupe.
-- KEYS: settled, then an answer for each topic
-- ARGV: era
-- Returns the counts in order, -1 for none; or 'unsettled'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local counts = {}
for key = 2, #KEYS do
  counts[key - 1] = tonumber(redis.call('GET', KEYS[key]) or -1)
end
return counts
