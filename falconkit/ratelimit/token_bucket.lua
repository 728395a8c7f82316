-- Take tokens from a bucket by the generic cell rate algorithm, or take nothing.
--
-- KEYS[1]  the bucket; rate and burst are part of its name
-- ARGV[1]  seconds until one token comes back
-- ARGV[2]  tokens that the bucket holds
-- ARGV[3]  tokens to take; 0 only looks
--
-- Returns whether they were there (1 or 0), and the seconds until the bucket is
-- full, as text, since an integer is all that a number becomes on its way out.

-- Seconds since 2026 rather than 1970: the float that is kept has 30 bits left
-- for the fraction instead of 22, so that a million tokens a second stay apart.
local EPOCH = 1767225600

local time = redis.call('TIME')
local now = (tonumber(time[1]) - EPOCH) + tonumber(time[2]) / 1000000
local interval = tonumber(ARGV[1])
local burst = tonumber(ARGV[2])
local cost = tonumber(ARGV[3])

local level = 0
local full_at = tonumber(redis.call('GET', KEYS[1]) or nil)
if full_at and full_at > now then
  -- No bucket is emptier than empty: a clock that was set back, or a value
  -- that somebody else wrote, costs the time of one bucket at most.
  level = math.min(full_at - now, burst * interval)
end

local after = level + cost * interval
if after > (burst + 0.000001) * interval then
  return {0, string.format('%.17g', level)}
end
if cost > 0 then
  redis.call('SET', KEYS[1], string.format('%.17g', now + after),
             'PX', string.format('%.0f', math.ceil(after * 1000)))
end
return {1, string.format('%.17g', after)}
