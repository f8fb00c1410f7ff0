-- Say that every node that lives has registered in this era: from now on counts are true.
-- KEYS: epoch, settled
-- ARGV: epoch, era
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[2], ARGV[2])
return 1
