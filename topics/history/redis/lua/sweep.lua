-- Remove what is left of topics whose events, and their ids, are too old.
-- KEYS: settled, kept, expiring, vanished, then for each topic: its table, stream, index, ids
-- ARGV: era, then for each topic: name
-- Returns 'unsettled', or how many there were.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
for place = 2, #ARGV do
  local key, name = 4 * place - 3, ARGV[place]
  -- There may have been another event since it was found.
  local ends = redis.call('ZSCORE', KEYS[3], name)
  if ends and tonumber(ends) <= now then
    -- What nobody can tell any more: that the topic had events until then.
    local last = redis.call('XREVRANGE', KEYS[key + 2], '+', '-', 'COUNT', 1)[1]
    local position = last and string.match(last[1], '^%d+') or redis.call('HGET', KEYS[key], 'forgotten') or '0'
    if tonumber(position) > tonumber(redis.call('GET', KEYS[4]) or 0) then redis.call('SET', KEYS[4], position) end
    redis.call('UNLINK', KEYS[key + 1], KEYS[key + 2], KEYS[key + 3])
    redis.call('HDEL', KEYS[key], 'forgotten')
    redis.call('ZREM', KEYS[2], name)
    redis.call('ZREM', KEYS[3], name)
    -- Only epoch, seq, id and time are left: no node holds the topic.
    if redis.call('HLEN', KEYS[key]) <= 4 then redis.call('DEL', KEYS[key]) end
  end
end
return #ARGV - 1
