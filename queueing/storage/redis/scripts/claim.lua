-- Claim the oldest free messages; bury those that were claimed too often.
--
-- KEYS    those of _keys.lua; 17: CLAIMS of the queue before it was deleted
-- ARGV    now, now in us, claim, its name in the names of burials, version, ref of the queue, limit,
--         ttl, grace, most claims (0: no dead letters), target, ttl of dead letters ('': as it is)
-- Answer  {'claim', fence, ttl, claimed at, {id, message, touched, ...}, letters}; {'none', letters};
--         {'stale', document, version}; {'again'}: much was over or due, do the same again
--         letters: of each {burial, target, id, message, touched}
-- Cost    limit * (log of the depth), and a settling of DUE_PER_STEP of each kind at most
--
-- The first write takes something away: so a full server lets consumers drain it.
-- @include keys messages claims letters
local now, claim, ref, limit = tonumber(ARGV[1]), ARGV[3], ARGV[6], tonumber(ARGV[7])
local ttl, grace = tonumber(ARGV[8]), tonumber(ARGV[9])
local most, target, letter_ttl = tonumber(ARGV[10]), ARGV[11], tonumber(ARGV[12])

-- Done before, and asked again by who did not hear of it: the claim as it is now.
local record = record_of(claim)
if record then
  local answer = shown_claim(claim, record, now)
  return {'claim', answer[1], answer[2], answer[3], answer[4], (letters(now))}
end
local gone = call('HGET', KEYS[17], claim)
if gone then
  record = cmsgpack.unpack(gone)
  return {'claim', string.format('%.0f', record[1]), record[2], string.format('%.17g', record[3]), {},
    (letters(now))}
end

local state = call('HMGET', STATE, 'v', 'd', 'f')
if not state[1] then return {'none', (letters(now))} end
if state[1] ~= ARGV[5] then return {'stale', state[2], state[1]} end

local unfinished = settle(now)
local ends = now + ttl
local taken, places, stored, marks = {}, {}, {}, {}
local expiry = {}
local looked, buried = 0, 0
local exhausted = false

local function bury(id, message, life_ends, life_ttl, count)
  if letter_ttl then life_ends, life_ttl = now + letter_ttl, letter_ttl end
  local number = call('HINCRBY', STATE, 'p', 1)
  local burial = ARGV[4] .. '-' .. number
  local letter = {target, id, message, struct.pack('>dII', life_ends, life_ttl, count)}
  call('HSET', PILE, burial, cmsgpack.pack(letter))
  call('ZADD', PILED, number, burial)
  call('ZADD', AGENDA, 'LT', life_ends, ref)
end

-- No candidate is past the limit unless others before it were expired or buried.
while #taken < limit and buried < LETTERS_PER_STEP and looked < limit + DUE_PER_STEP do
  local range = call('ZRANGE', FREE, 0, math.min(limit - #taken, PART / 2) - 1, 'WITHSCORES')
  if #range == 0 then
    exhausted = true
    break
  end
  local ids, out, over, letter = {}, {}, {}, {}
  for i = 1, #range, 2 do ids[#ids + 1] = range[i] end
  local messages = all('HMGET', MESSAGES, ids)
  local touched = all('HMGET', TOUCHED, ids)
  for i, id in ipairs(ids) do
    local life_ends, life_ttl, count = life(messages[i], touched[i])
    if life_ends <= now then
      over[#over + 1] = id
    elseif most > 0 and count >= most then
      if buried == LETTERS_PER_STEP then break end
      buried = buried + 1
      letter[#letter + 1] = {id, messages[i], life_ends, life_ttl, count}
      over[#over + 1] = id
    else
      taken[#taken + 1] = id
      out[#out + 1] = id
      places[#places + 1] = range[2 * i]
      places[#places + 1] = id
      stored[#stored + 1] = messages[i]
      local lives_until, new_ttl = outlive(life_ends, life_ttl, ends, now, ttl, grace)
      if lives_until ~= life_ends then
        expiry[#expiry + 1] = lives_until
        expiry[#expiry + 1] = id
      end
      if most > 0 then count = count + 1 end
      marks[#marks + 1] = struct.pack('>dII', lives_until, new_ttl, count) .. claim
    end
  end
  looked = looked + #ids
  each('ZREM', FREE, out)
  drop(over)
  for _, it in ipairs(letter) do bury(unpack(it)) end
end
if buried > 0 then call('SADD', PILES, ref) end

-- A little of what is over goes with every claim: records of claims, letters that have expired.
local past = call('ZRANGEBYSCORE', ENDS, '-inf', now, 'LIMIT', 0, 4)
if #past > 0 then
  call('HDEL', CLAIMS, unpack(past))
  call('ZREM', ENDS, unpack(past))
end
local pile, expired = {}, {}
if call('EXISTS', PILED) == 1 then
  pile, expired = letters(now)
  clear(expired, ref)
end

if #taken == 0 then
  if buried == 0 and (unfinished or not exhausted) then return {'again'} end
  return {'none', pile}
end

local fence = math.max(tonumber(state[3] or 0) + 1, tonumber(ARGV[2]))
local holds, touched, answer = {}, {}, {}
record = {fence, ttl, now, ends}
for i, id in ipairs(taken) do
  holds[2 * i - 1], holds[2 * i] = ends, id
  touched[2 * i - 1], touched[2 * i] = id, marks[i]
  record[4 + i] = id
  show(answer, id, stored[i], marks[i], true)
end
each('ZADD', HELD, places)
each('ZADD', HOLDS, holds)
each('HSET', TOUCHED, touched)
each('ZADD', EXPIRY, expiry)
call('HSET', STATE, 'f', string.format('%.0f', fence))
call('HSET', CLAIMS, claim, cmsgpack.pack(record))
local gone_at = math.max(ends, now + RETRY_SECONDS)
call('ZADD', ENDS, gone_at, claim)
call('ZADD', AGENDA, 'LT', gone_at, ref)
return {'claim', string.format('%.0f', fence), ttl, string.format('%.17g', now), answer, pile}
