-- Store an event in those of its topics that keep history, give it its position, and publish it to all that exist, in
-- one step: the nodes and the store see one order. With dedupe, topics that had an event of this id are left out.
-- KEYS: settled, leases, position, kept, expiring, vanished,
--       then for each topic: its table, stream, index, ids, answer to this id
-- ARGV: era, session, TTL in milliseconds, id, time, channel prefix, identity, the event as JSON behind its topics,
--       epoch for a new topic, milliseconds of dedupe (0 is off), position that another store has given or '',
--       then for each topic: name, name as JSON, where it is kept ('' nowhere, 'here', 'elsewhere'), most events or '',
--       age in milliseconds or '', most evicted events that stay known by their ids
-- Returns the position (0 for none), then for each topic: connections (-1 when it does not exist), 1 when repeated; or
-- 'unsettled', 'late' as count.lua does.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)
local own = redis.call('ZSCORE', KEYS[2], ARGV[2])
if not own or tonumber(own) - now < ARGV[3] / 2 then return 'late' end
local live = redis.call('ZRANGEBYSCORE', KEYS[2], now, '+inf')
local event_id, dedupe = ARGV[4], tonumber(ARGV[10])
-- A number in text: Lua's own conversion gives up at 14 digits.
local function digits(number) return string.format('%.0f', number) end

local topics, answer, names, is_kept, goes_out = {}, { 0 }, {}, false, false
for place = 1, (#KEYS - 6) / 5 do
  local key, argument = 5 * place + 1, 6 * place + 5
  local topic = {
    table = KEYS[key + 1], stream = KEYS[key + 2], index = KEYS[key + 3], ids = KEYS[key + 4], answer = KEYS[key + 5],
    name = ARGV[argument + 1], kept = ARGV[argument + 3],
    events = tonumber(ARGV[argument + 4]), age = tonumber(ARGV[argument + 5]), marks = tonumber(ARGV[argument + 6]),
  }
  local before = dedupe > 0 and redis.call('GET', topic.answer)
  local total = 0
  if before then
    answer[#answer + 1], answer[#answer + 2] = tonumber(before), 1
  else
    for _, count in ipairs(redis.call('HMGET', topic.table, unpack(live))) do
      if count then total = total + count end
    end
    names[#names + 1] = ARGV[argument + 2]
    topic.exists = total > 0 or topic.kept ~= ''
    answer[#answer + 1], answer[#answer + 2] = topic.exists and total or -1, 0
    if topic.exists then
      topics[#topics + 1], topic.total = topic, total
      is_kept = is_kept or topic.kept ~= ''
    end
  end
end
if #topics == 0 then return answer end

local position
if is_kept then
  -- Microseconds, so that a position tells an age, and never falls back though all is lost.
  local last = tonumber(redis.call('GET', KEYS[3]) or 0)
  if ARGV[11] == '' then
    position = digits(math.max(last + 1, micros))
  else
    position = ARGV[11]
  end
  if tonumber(position) > last then redis.call('SET', KEYS[3], position) end
  answer[1] = tonumber(position)
end
local event = '[[' .. table.concat(names, ',') .. '],' .. ARGV[8]

local function forget(topic)
  local over = redis.call('XLEN', topic.index) - redis.call('XLEN', topic.stream) - topic.marks
  if over <= 0 and not topic.age then return end
  local oldest = topic.age and micros - 2000 * topic.age or 0
  -- As few as can be, as each costs more than all else here; several at once where they are too old; never many.
  local count = math.max(1, math.min(over, 64))
  local entries = redis.call('XRANGE', topic.index, '-', '+', 'COUNT', count)
  if topic.age and tonumber(string.match(entries[#entries][1], '^%d+')) < oldest then
    entries = redis.call('XRANGE', topic.index, '-', '+', 'COUNT', 64)
  end
  local last
  for number, entry in ipairs(entries) do
    local stood = string.match(entry[1], '^%d+')
    if number > over and tonumber(stood) >= oldest then break end
    local stands = redis.call('HGET', topic.ids, entry[2][4])
    if stands and string.match(stands, '%d+$') == stood then redis.call('HDEL', topic.ids, entry[2][4]) end
    last = stood
  end
  if last then
    redis.call('XTRIM', topic.index, 'MINID', last .. '-1')
    redis.call('HSET', topic.table, 'forgotten', last)
  end
end

local function keep(topic, seq)
  redis.call('HSETNX', topic.table, 'forgotten', redis.call('GET', KEYS[6]) or 0)
  redis.call('XADD', topic.stream, position .. '-0', 'n', seq, 'p', event)
  redis.call('XADD', topic.index, position .. '-0', 'n', seq, 'i', event_id)
  local stands = redis.call('HGET', topic.ids, event_id)
  -- An id that repeats stands for its oldest and its newest event.
  local first = stands and string.match(stands, '^%d+') .. ' ' or ''
  redis.call('HSET', topic.ids, event_id, first .. position)
  if topic.events then redis.call('XTRIM', topic.stream, 'MAXLEN', topic.events) end
  if topic.age then
    redis.call('XTRIM', topic.stream, 'MINID', digits(micros - 1000 * topic.age))
    redis.call('ZADD', KEYS[5], now + 2 * topic.age, topic.name)
  else
    redis.call('ZREM', KEYS[5], topic.name)
  end
  redis.call('ZADD', KEYS[4], topic.age and now + topic.age or '+inf', topic.name)
  forget(topic)
end

for _, topic in ipairs(topics) do
  local epoch, seq = '-', 0
  if topic.kept == 'here' and redis.call('HSETNX', topic.table, 'epoch', ARGV[9]) == 1 then
    redis.call('HSET', topic.table, 'seq', 0, 'id', '', 'time', '')
  end
  if topic.kept == 'here' or topic.total > 0 then
    seq = redis.call('HINCRBY', topic.table, 'seq', 1)
    redis.call('HSET', topic.table, 'id', event_id, 'time', ARGV[5])
    epoch = redis.call('HGET', topic.table, 'epoch')
  end
  if topic.kept == 'here' then keep(topic, seq) end
  local head = epoch .. ' ' .. seq .. ' ' .. topic.name .. ' '
  if position then
    redis.call('PUBLISH', ARGV[6] .. topic.name, 'K ' .. head .. position .. ' ' .. ARGV[7] .. ' ' .. event)
  else
    redis.call('PUBLISH', ARGV[6] .. topic.name, 'E ' .. head .. ARGV[7] .. ' ' .. event)
  end
  if dedupe > 0 then redis.call('SET', topic.answer, topic.total, 'PX', dedupe) end
end
return answer
