-- The record of a claim: {fence, ttl, claimed_at, ends, ids...}; nil if it never was or was swept.
local function record_of(claim)
  local record = call('HGET', CLAIMS, claim)
  return record and cmsgpack.unpack(record)
end

-- The record of a claim that exists at `now`, else nil.
local function live(claim, now)
  local record = record_of(claim)
  if record and record[4] > now then return record end
end

-- Those ids of the record that are still under the claim, with what is stored of them.
local function under(claim, record, now)
  local ids, messages, touched = {}, {}, {}
  local listed = {}
  for i = 5, #record do listed[i - 4] = record[i] end
  if #listed == 0 then return ids, messages, touched end
  local ends = all('ZMSCORE', HOLDS, listed)
  local marks = all('HMGET', TOUCHED, listed)
  local stored = all('HMGET', MESSAGES, listed)
  for i, id in ipairs(listed) do
    if ends[i] and tonumber(ends[i]) > now and string.sub(marks[i], 17) == claim then
      ids[#ids + 1], messages[#ids + 1], touched[#ids + 1] = id, stored[i], marks[i]
    end
  end
  return ids, messages, touched
end

-- A message under a claim lives at least as long as it: its end of life and ttl from now on.
local function outlive(ends, ttl, claim_ends, now, claim_ttl, grace)
  if ends < claim_ends then return now + claim_ttl + grace, claim_ttl + grace end
  return ends, ttl
end

local function shown_claim(claim, record, now)
  local answer = {}
  local ids, messages, touched = under(claim, record, now)
  for i, id in ipairs(ids) do show(answer, id, messages[i], touched[i], true) end
  return {string.format('%.0f', record[1]), record[2], string.format('%.17g', record[3]), answer}
end
