-- Find where a client stands: its last id in any of its topics, and what each of them has had since.
-- KEYS: settled, vanished, lost, then for each topic: its table, stream, index, ids
-- ARGV: era, id, then for each topic: age in milliseconds or ''
-- Returns 'unknown', 'repeated' or 'found', the position (0 when unknown), then for each topic: events that are missing
-- (-1 when it cannot be known, -2 when the store has lost some), number of the first that follows; or 'unsettled'.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 'unsettled' end
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local oldest, newest
for key = 4, #KEYS, 4 do
  local stands = redis.call('HGET', KEYS[key + 3], ARGV[2])
  if stands then
    local first, last = tonumber(string.match(stands, '^%d+')), tonumber(string.match(stands, '%d+$'))
    oldest, newest = math.min(oldest or first, first), math.max(newest or last, last)
  end
end
local after = oldest or 0
local status = 'unknown'
if oldest then status = oldest == newest and 'found' or 'repeated' end
local answer = { status, after }
local vanished, lost = redis.call('GET', KEYS[2]) or 0, redis.call('GET', KEYS[3]) or 0
for key = 4, #KEYS, 4 do
  local stream, index = KEYS[key + 1], KEYS[key + 2]
  local seq, forgotten = unpack(redis.call('HMGET', KEYS[key], 'seq', 'forgotten'))
  local following = (seq or 0) + 1
  local function number_from(position)
    local entry = redis.call('XRANGE', index, position, '+', 'COUNT', 1)[1]
    return entry and tonumber(entry[2][2]) or following
  end
  -- Numbers have no holes, so the length tells the number of the first event that is kept.
  local kept = following - redis.call('XLEN', stream)
  local age = tonumber(ARGV[(key - 4) / 4 + 3])
  if age then kept = math.max(kept, number_from(string.format('%.0f', micros - 1000 * age))) end
  local behind = number_from('(' .. string.format('%.0f', after))
  local missed = math.max(0, kept - behind)
  if after < tonumber(lost) then
    missed = -2
  elseif after < tonumber(forgotten or vanished) then
    missed = -1
  end
  answer[#answer + 1] = missed
  answer[#answer + 1] = math.max(kept, behind)
end
return answer
