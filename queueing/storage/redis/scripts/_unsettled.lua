-- True if so much is over or due that a reading step, which changes nothing, would be long.
local function unsettled(now)
  return call('ZCOUNT', EXPIRY, '-inf', now) > DUE_PER_STEP
    or call('ZCOUNT', DELAYS, '-inf', now) > DUE_PER_STEP
    or call('ZCOUNT', HOLDS, '-inf', now) > DUE_PER_STEP
end
