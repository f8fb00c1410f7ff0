-- Read the events behind a position in each of some topics, in the order of their positions, each once.
-- KEYS: settled, then a stream for each topic
-- ARGV: era, most events, bytes after which no more are taken, then for each topic: position, age in milliseconds or ''
-- Returns for each event: its position, the event, its topics' places and its numbers in them; or 'unsettled'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local limit, bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local topics = {}
-- Takes one event first, and then as many as fit into a page if they are as large.
local function refill(topic)
  topic.entries = redis.call('XRANGE', topic.stream, '(' .. topic.after, '+', 'COUNT', topic.count)
  topic.at = 1
  local last = topic.entries[#topic.entries]
  if last then
    topic.after = last[1]
    topic.count = math.max(1, math.min(limit, math.floor(bytes / #last[2][4])))
  end
end
local function head(topic)
  local entry = topic.entries[topic.at]
  topic.position = entry and tonumber(string.match(entry[1], '^%d+'))
end
for place = 1, #KEYS - 1 do
  local after, age = ARGV[2 * place + 2], tonumber(ARGV[2 * place + 3])
  if age and micros - 1000 * age > tonumber(after) then after = string.format('%.0f', micros - 1000 * age - 1) end
  local topic = { place = place, stream = KEYS[place + 1], after = after, count = 1 }
  refill(topic)
  head(topic)
  if topic.position then topics[#topics + 1] = topic end
end
local found, size = {}, 0
while #found < limit and size < bytes do
  local position
  for _, topic in ipairs(topics) do
    if topic.position and (not position or topic.position < position) then position = topic.position end
  end
  if not position then break end
  local event, numbers
  for _, topic in ipairs(topics) do
    if topic.position == position then
      local fields = topic.entries[topic.at][2]
      event, numbers = fields[4], numbers or {}
      numbers[#numbers + 1], numbers[#numbers + 2] = topic.place, tonumber(fields[2])
      topic.at = topic.at + 1
      if topic.at > #topic.entries then refill(topic) end
      head(topic)
    end
  end
  found[#found + 1] = { position, event, numbers }
  size = size + #event
end
return found
