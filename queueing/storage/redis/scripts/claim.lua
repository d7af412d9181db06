-- Claim the oldest free messages; bury those that were claimed too often.
--
-- KEYS    see @keys; ENDED: CLAIMS of the queue before it was deleted
-- ARGV    now, now in us, end of the claim in us, when its record may go in us, claim, version, ref of
--         the queue, limit, ttl, grace; for dead letters: most claims, target, their ttl ('': as it is),
--         the claim's name in the names of burials
-- Answer  {'claim', fence, ttl, claimed at, {id, message, touched, ...}, letters}; {'none', letters};
--         {'stale', document, version}; {'again'}: much was over or due, do the same again
--         letters: of each {burial, target, id, message, touched}
-- Cost    15 commands, limit * (log of the depth); when something is due, a settling of DUE_PER_STEP
--         of each kind at most
--
-- The first write takes something away: so a full server lets consumers drain it.
-- @keys STATE MESSAGES TOUCHED FREE HELD HOLDS DELAYED DELAYS EXPIRY CLAIMS ENDS PILE PILED AGENDA PILES + ENDED
-- @include keys messages drop bounds settle sweep claims outlive letters
local now, now_text, ends_text, gone_text, claim, ref = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[7]
local now_us, limit, ttl, grace = tonumber(now_text), tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local most, target, letter_ttl = ARGV[11] and tonumber(ARGV[11]), ARGV[12], ARGV[13] and tonumber(ARGV[13])

-- Done before, and asked again by who did not hear of it: the claim as it is now.
local record = record_of(claim)
if record then
  local answer = shown_claim(claim, record, now_us)
  return {'claim', answer[1], answer[2], answer[3], answer[4], (letters(now))}
end
local gone = call('HGET', ENDED, claim)
if gone then
  record = cmsgpack.unpack(gone)
  return {'claim', record[1], record[2], record[3], {}, (letters(now))}
end

local version, document, last, waiting_until, sweep_at = unpack(call('HMGET', STATE, 'v', 'd', 'f', 'w', 'x'))
if not version then return {'none', (letters(now))} end
if version ~= ARGV[6] then return {'stale', document, version} end

local unfinished = false
if waiting_until and tonumber(waiting_until) <= now_us then
  unfinished = settle(now_text)
  waiting_until = call('HGET', STATE, 'w')
end
if sweep_at and tonumber(sweep_at) <= now_us then
  tidy(now_text, DUE_PER_STEP)
  sweep_at = call('HGET', STATE, 'x')
end

local function bury(id, message, life_ends, life_ttl, count)
  if letter_ttl then life_ends, life_ttl = now + letter_ttl, letter_ttl end
  local number = call('HINCRBY', STATE, 'p', 1)
  local burial = ARGV[14] .. '-' .. number
  local letter = {target, id, message, struct.pack('>dII', life_ends, life_ttl, count)}
  call('HSET', PILE, burial, cmsgpack.pack(letter))
  call('ZADD', PILED, number, burial)
  call('ZADD', AGENDA, 'LT', us(life_ends), ref)
end

local ends = now + ttl
record = {0, ttl, ARGV[1], ends}
local answer, held, holds, marks, expiry = {}, {}, {}, {}, {}
local taken, looked, buried = 0, 0, 0
local exhausted = false
-- No candidate is past the limit unless others before it were expired or buried.
while taken < limit and buried < LETTERS_PER_STEP and looked < limit + DUE_PER_STEP do
  local ids = call('ZRANGE', FREE, '0', math.min(limit - taken, PART) - 1)
  if #ids == 0 then
    exhausted = true
    break
  end
  local messages = all('HMGET', MESSAGES, ids)
  local touched = all('HMGET', TOUCHED, ids)
  local over, letter = {}, {}
  local seen = #ids
  for i, id in ipairs(ids) do
    local message = messages[i]
    local life_ends, life_ttl, count = life(message, touched[i])
    if life_ends <= now then
      over[#over + 1] = id
    elseif most and count >= most then
      if buried == LETTERS_PER_STEP then
        seen = i - 1
        break
      end
      buried = buried + 1
      letter[#letter + 1] = {id, message, life_ends, life_ttl, count}
      over[#over + 1] = id
    else
      local lives_until, new_ttl = outlive(life_ends, life_ttl, ends, now, ttl, grace)
      if lives_until ~= life_ends then
        expiry[#expiry + 1] = us(lives_until)
        expiry[#expiry + 1] = id
      end
      if most then count = count + 1 end
      local mark = struct.pack('>dII', lives_until, new_ttl, count) .. claim
      local at, pair = 3 * taken, 2 * taken
      taken = taken + 1
      record[4 + taken] = id
      answer[at + 1], answer[at + 2], answer[at + 3] = id, message, mark
      held[pair + 1], held[pair + 2] = string.sub(message, 1, 16), id
      holds[pair + 1], holds[pair + 2] = ends_text, id
      marks[pair + 1], marks[pair + 2] = id, mark
    end
  end
  looked = looked + seen
  if seen > 0 then call('ZREMRANGEBYRANK', FREE, '0', seen - 1) end  -- -1 would be all
  if #over > 0 then drop(over) end
  for _, it in ipairs(letter) do bury(unpack(it)) end
end
if buried > 0 then call('SADD', PILES, ref) end

local pile, expired = {}, {}
if call('EXISTS', PILED) == 1 then
  pile, expired = letters(now)
  clear(expired, ref)
end

if taken == 0 then
  if buried == 0 and (unfinished or not exhausted) then return {'again'} end
  return {'none', pile}
end

local fence = now_text
if last and tonumber(last) >= now_us then fence = string.format('%.0f', tonumber(last) + 1) end
record[1] = fence
local changed = {'f', fence}
if not waiting_until or tonumber(waiting_until) > tonumber(ends_text) then
  changed[#changed + 1], changed[#changed + 2] = 'w', ends_text
end
if not sweep_at or tonumber(sweep_at) > tonumber(gone_text) then
  changed[#changed + 1], changed[#changed + 2] = 'x', gone_text
  call('ZADD', AGENDA, 'LT', gone_text, ref)
end
each('ZADD', HELD, held)
each('ZADD', HOLDS, holds)
each('HSET', TOUCHED, marks)
each('ZADD', EXPIRY, expiry)
call('HSET', STATE, unpack(changed))
call('HSET', CLAIMS, claim, cmsgpack.pack(record))
call('ZADD', ENDS, gone_text, claim)
return {'claim', fence, ttl, ARGV[1], answer, pile}
