-- List a topic's events, newest first.
-- KEYS: settled, table, stream, index
-- ARGV: era, position before which the list begins or '', most events, bytes after which no more are taken, age in
--       milliseconds or ''
-- Returns the number of all that are kept, 1 when more follow, then for each event: its position, its number, the event;
-- or 'unsettled'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local limit, bytes, age = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local following = (redis.call('HGET', KEYS[2], 'seq') or 0) + 1
local first, oldest = following - redis.call('XLEN', KEYS[3]), '-'
if age then
  oldest = string.format('%.0f', time[1] * 1000000 + time[2] - 1000 * age)
  local entry = redis.call('XRANGE', KEYS[4], oldest, '+', 'COUNT', 1)[1]
  first = math.max(first, entry and tonumber(entry[2][2]) or following)
end
local answer = { following - first, 0 }
local newest, count, found, size, number = ARGV[2] == '' and '+' or '(' .. ARGV[2] .. '-0', 1, 0, 0, nil
while found < limit and size < bytes do
  local entries = redis.call('XREVRANGE', KEYS[3], newest, oldest, 'COUNT', math.min(count, limit - found))
  if #entries == 0 then break end
  for _, entry in ipairs(entries) do
    number = tonumber(entry[2][2])
    answer[#answer + 1], answer[#answer + 2] = tonumber(string.match(entry[1], '^%d+')), number
    answer[#answer + 1] = entry[2][4]
    found, size, newest = found + 1, size + #entry[2][4], '(' .. entry[1]
    count = math.max(1, math.floor(bytes / #entry[2][4]))
  end
end
if number and number > first then answer[2] = 1 end
return answer
