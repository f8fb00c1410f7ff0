-- End a node's lease. Its topics count no longer; what it registered is removed by release.lua.
-- KEYS: leases, info, graves
-- ARGV: session
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
return 1
