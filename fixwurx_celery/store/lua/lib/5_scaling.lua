-- Scaling: the nodes that were launched, by their node name, and how launching goes.
-- A launch is STARTING, READY, DRAINING or STOPPING. What is written here is what a controller means
-- to do or has seen; whether a node serves, its own record says, and what exists, its provider.

-- Whether a tick that was claimed later has been seen: then its holder decides, and the caller of an
-- earlier one must not act any more.
local function is_over(term)
  return (redis.call('HGET', tick_key('scale'), 'term') or '') ~= term
end

local function launch_of(node)
  local text = redis.call('HGET', LAUNCHES, node)
  return text and cjson.decode(text)
end

local function write_launch(node, launch)
  redis.call('HSET', LAUNCHES, node, cjson.encode(launch))
end

-- A node that was launched has registered: how long that took is what the next one is expected to.
local function note_boot(node)
  local launch = launch_of(node)
  if not launch or launch.stage ~= 'STARTING' then return end
  if launch.measured then
    redis.call('LPUSH', BOOTS, int(now_ms - launch.at_ms))
    redis.call('LTRIM', BOOTS, 0, 19)
    redis.call('HSET', PROVIDER, 'failures', 0, 'pause_until_ms', 0)
  end
  launch.stage, launch.since_ms = 'READY', now_ms
  write_launch(node, launch)
end

-- How long bugs of this class run: the newest counts an eighth.
local function note_duration(class, run_ms)
  local before = redis.call('HGET', DURATIONS, class)
  if not before and redis.call('HLEN', DURATIONS) >= 4 * limits.max_classes then
    redis.call('DEL', DURATIONS) -- classes come and go: nothing may grow for ever
  end
  local mean = before and before + (run_ms - before) / 8 or run_ms
  redis.call('HSET', DURATIONS, class, int(mean))
end

local MANY_FAILURES = 3
local PAUSE_MS, LONGEST_PAUSE_MS = 15000, 600000

-- After some failures in a row nothing is asked of the provider for a while, each time for longer.
local function count_failure(reason)
  local failures = redis.call('HINCRBY', PROVIDER, 'failures', 1)
  local pause_ms = 0
  if failures >= MANY_FAILURES then
    pause_ms = math.min(LONGEST_PAUSE_MS, PAUSE_MS * 2 ^ math.min(10, failures - MANY_FAILURES))
  end
  redis.call('HSET', PROVIDER, 'error', reason, 'error_ms', int(now_ms),
    'pause_until_ms', int(now_ms + pause_ms))
end
