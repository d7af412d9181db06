-- A message under a claim lives at least as long as it: its end of life and ttl from now on.
local function outlive(ends, ttl, claim_ends, now, claim_ttl, grace)
  if ends < claim_ends then return now + claim_ttl + grace, claim_ttl + grace end
  return ends, ttl
end
