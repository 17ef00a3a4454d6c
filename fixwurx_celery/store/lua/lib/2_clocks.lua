-- The four clocks of a bug, one of which runs at any time until it ends: `waited_ms` until it starts,
-- then as its phase says. Each holds the stays that are over; the present one began at `waiting_ms`,
-- or for a bug that runs at `since_ms`.

-- As domain/clocks.py has it.
local function clock_of(phase)
  if phase == 'TRIAGE' then return 'setup_ms' end
  return phase == 'VERIFY' and 'verify_ms' or 'run_ms'
end

-- Adds the present stay of a live bug to its clock. Called before the write that ends the stay.
local function stop_clock(bug)
  local f = redis.call('HMGET', bug_key(bug), 'state', 'phase', 'since_ms', 'waiting_ms', 'wait_limit_ms')
  local clock, since_ms = 'waited_ms', f[4]
  if f[1] == 'RUNNING' then clock, since_ms = clock_of(f[2]), f[3] end
  local stay_ms = math.max(0, now_ms - tonumber(since_ms or now_ms)) -- the clock may have been set back
  redis.call('HINCRBY', bug_key(bug), clock, int(stay_ms))
  if f[5] and clock == 'waited_ms' then redis.call('ZREM', PATIENCE, bug) end
end

-- The bug waits from now on. One with a limit is ended by a sweep when its stays add up to that.
local function begin_waiting(bug, waited_ms, limit_ms)
  redis.call('HSET', bug_key(bug), 'state', 'PENDING', 'node', '', 'incarnation', '', 'waiting_ms', int(now_ms))
  if limit_ms then redis.call('ZADD', PATIENCE, int(now_ms + limit_ms - waited_ms), bug) end
end

-- Durations are counted by the first of these that they do not exceed, in ms: from one step of a
-- program to half a day, so that one scale serves all of them. As store/measurement.py has it.
local SCALE_MS = {
  5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000, 60000, 120000, 300000, 600000,
  1800000, 3600000, 10800000, 43200000,
}

local function tally_time(what, ms)
  local bucket = 'more'
  for _, bound_ms in ipairs(SCALE_MS) do
    if ms <= bound_ms then
      bucket = bound_ms
      break
    end
  end
  tally(what .. ':' .. bucket)
  tally(what .. ':sum', ms)
end
