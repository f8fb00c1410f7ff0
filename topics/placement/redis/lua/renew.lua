-- Take or renew a node's lease, bury the nodes whose leases ran out, and return the table of nodes.
-- KEYS: epoch, settled, leases, info, graves, watch
-- ARGV: session, TTL in milliseconds, info, epoch for an empty store, '1' for a new session, session that it
--       replaces or '', own channel, canary, newest era that the caller has known or '', milliseconds that nodes need
--       to find their way back
-- Returns status ('ok' or 'lost'), run of this server, now, epoch, era that is settled, leases with their scores, info,
--         graves
local session, ttl = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[4] .. '-' .. now
  redis.call('SET', KEYS[1], epoch)
  redis.call('DEL', KEYS[2])
end
-- An era that is no newer than one that was elsewhere is what nodes have left behind here: it is settled no more.
local settled = redis.call('GET', KEYS[2]) or ''
local function generation(era) return tonumber(string.match(era, '/(%d+)$') or 0) end
if settled ~= '' and settled ~= ARGV[9] and generation(settled) <= generation(ARGV[9]) then
  redis.call('DEL', KEYS[2])
  settled = ''
end
-- When nobody renewed for so long, this store was away, and no lease proves that its node is: give the time back. Whoever
-- has lost its connection meanwhile comes back later than the first.
local away = now - tonumber(redis.call('GET', KEYS[6]) or now)
if away > ttl / 2 then
  local grace = away > ttl and ARGV[10] or 0
  local leases = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')
  for index = 1, #leases, 2 do
    redis.call('ZADD', KEYS[3], math.min(leases[index + 1] + away, now + ttl) + grace, leases[index])
  end
end
redis.call('SET', KEYS[6], now)
local status = 'ok'
if ARGV[5] ~= '1' then
  local own = redis.call('ZSCORE', KEYS[3], session)
  -- Others may have counted this node as dead: what they told publishers since then was said without it.
  if not own or tonumber(own) < now then status = 'lost' end
end
if status == 'ok' then
  redis.call('ZADD', KEYS[3], now + ttl, session)
  redis.call('HSET', KEYS[4], session, ARGV[3])
  if ARGV[6] ~= '' then
    redis.call('ZREM', KEYS[3], ARGV[6])
    redis.call('HDEL', KEYS[4], ARGV[6])
    redis.call('SADD', KEYS[5], ARGV[6])
  end
  redis.call('PUBLISH', ARGV[7], ARGV[8])
end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. now)) do
  redis.call('ZREM', KEYS[3], dead)
  redis.call('HDEL', KEYS[4], dead)
  redis.call('SADD', KEYS[5], dead)
end
return {
  status, string.match(redis.call('INFO', 'server'), 'run_id:(%x+)'), now, epoch, settled,
  redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'), redis.call('HGETALL', KEYS[4]), redis.call('SMEMBERS', KEYS[5]),
}
