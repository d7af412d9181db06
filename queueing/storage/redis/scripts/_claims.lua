-- The record of a claim: {fence, ttl, claimed at, end, ids...}; nil if it never was or was swept.
-- Fence and claimed at are texts as they go out, the end is in seconds.
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
local function under(claim, record, now_us)
  local ids, messages, touched = {}, {}, {}
  local listed = {}
  for i = 5, #record do listed[i - 4] = record[i] end
  if #listed == 0 then return ids, messages, touched end
  local ends = all('ZMSCORE', HOLDS, listed)
  local marks = all('HMGET', TOUCHED, listed)
  local stored = all('HMGET', MESSAGES, listed)
  for i, id in ipairs(listed) do
    if ends[i] and tonumber(ends[i]) > now_us and string.sub(marks[i], 17) == claim then
      ids[#ids + 1], messages[#ids + 1], touched[#ids + 1] = id, stored[i], marks[i]
    end
  end
  return ids, messages, touched
end

local function shown_claim(claim, record, now_us)
  local answer = {}
  local ids, messages, touched = under(claim, record, now_us)
  for i, id in ipairs(ids) do show(answer, id, messages[i], touched[i], true) end
  return {record[1], record[2], record[3], answer}
end
