-- Take note of what this store has lost: a node knows of a position beyond the last one here.
-- KEYS: position, lost
-- ARGV: the newest position that the node knows of
-- Returns the position up to which events may be lost, 0 for none.
if tonumber(ARGV[1]) > tonumber(redis.call('GET', KEYS[1]) or 0) then
  redis.call('SET', KEYS[1], ARGV[1])
  redis.call('SET', KEYS[2], ARGV[1])
end
return tonumber(redis.call('GET', KEYS[2]) or 0)
