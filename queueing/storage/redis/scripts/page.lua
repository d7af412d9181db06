-- Messages in order, after a sequence. Changes nothing.
--
-- KEYS    see @keys
-- ARGV    now, now in us, after, limit, show claimed ones (1 or 0), show delayed ones, hide a client's, that client
-- Answer  {rest, {id, message, touched, ...}}: ask again after the sequence `rest` ('': that is all);
--         'settle': much is over or due, settle first
-- Cost    (limit and what is hidden, both at most DUE_PER_STEP and some MB in one step) * log of the depth
-- @keys MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY
-- @include keys messages unsettled
local now, now_us = tonumber(ARGV[1]), tonumber(ARGV[2])
local after, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local claimed, delayed, hide, client = ARGV[5] == '1', ARGV[6] == '1', ARGV[7] == '1', ARGV[8]
if unsettled(ARGV[2]) then return 'settle' end

local MOST_BYTES = 4 * 1024 * 1024

-- Where to look: whole sets, and the few whose wait is over but that nobody has brought back yet.
local places, due = {FREE}, {}
local function add(shown, waiting, place)
  if shown then
    places[#places + 1] = place
    return
  end
  local ids = call('ZRANGEBYSCORE', waiting, '-inf', ARGV[2])
  if #ids == 0 then return end
  local sequences = all('ZMSCORE', place, ids)
  for i, id in ipairs(ids) do due[#due + 1] = {tonumber(sequences[i]), id} end
end
add(claimed, HOLDS, HELD)
add(delayed, DELAYS, DELAYED)

-- The next so many places after a sequence, whoever is there: each {sequence, id}.
local function following(sequence, number)
  local found = {}
  for _, place in ipairs(places) do
    local range = call('ZRANGEBYSCORE', place, '(' .. string.format('%.0f', sequence), '+inf',
      'WITHSCORES', 'LIMIT', 0, number)
    for i = 1, #range, 2 do found[#found + 1] = {tonumber(range[i + 1]), range[i]} end
  end
  for _, it in ipairs(due) do
    if it[1] > sequence then found[#found + 1] = it end
  end
  if #places > 1 or #due > 0 then table.sort(found, function(a, b) return a[1] < b[1] end) end
  return found
end

local answer, shown, looked, bytes = {}, 0, 0, 0
local chunk = math.max(10, math.min(limit, 100))
while shown < limit do
  if looked >= DUE_PER_STEP or bytes > MOST_BYTES then
    return {string.format('%.0f', after), answer}
  end
  local found = following(after, chunk)
  local last = math.min(#found, chunk)
  if last == 0 then break end
  local ids = {}
  for i = 1, last do ids[i] = found[i][2] end
  local touched = call('HMGET', TOUCHED, unpack(ids))
  local holds = call('ZMSCORE', HOLDS, unpack(ids))
  for i, id in ipairs(ids) do
    local message = call('HGET', MESSAGES, id)
    after, looked, bytes = found[i][1], looked + 1, bytes + #message
    -- Length and form are two bytes before those of the checksum, the id comes after these.
    local theirs = hide and string.sub(message, 37, 38) == string.sub(client, 1, 2)
      and string.sub(message, 41, 38 + #client) == string.sub(client, 3)
    if not theirs and life(message, touched[i]) > now then
      show(answer, id, message, touched[i], holds[i] and tonumber(holds[i]) > now_us)
      shown = shown + 1
      if shown == limit then break end
    end
    if bytes > MOST_BYTES then break end
  end
end
return {'', answer}
