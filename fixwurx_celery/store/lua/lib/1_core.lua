-- Shared by every script: the clock, the names of keys, and the event log.
-- KEYS[1] is `<prefix>config`; it carries the hash tag that all keys share. The other keys are
-- built here and nowhere else, because most transitions touch things they only find inside: the
-- node chosen, the next bug in line.

local CONFIG = KEYS[1]
local PREFIX = string.sub(CONFIG, 1, -7)
local NEVER_MS = 4102444800000 -- the year 2100: of what stays in an index and is not due any more
local BILLION = 1099511627776 -- 2^40: holds a sequence number below the part that ranks first

local now_us
if now == '' then
  local time = redis.call('TIME')
  now_us = time[1] * 1000000 + time[2]
else
  now_us = tonumber(now) * 1000
end
local now_ms = math.floor(now_us / 1000)

-- Lua's own tostring turns large integers into 1e+15.
local function int(number) return string.format('%.0f', number) end

local function bug_key(bug) return PREFIX .. 'bug:' .. bug end
local function node_key(node) return PREFIX .. 'node:' .. node end
local function held_key(node) return PREFIX .. 'held:' .. node end
local function shelf_key(shelf) return PREFIX .. 'shelf:' .. shelf end
local function levels_key(profile) return PREFIX .. 'levels:' .. profile end
local function line_key(class) return PREFIX .. 'line:' .. class end
local function log_key(bug, run) return PREFIX .. 'log:' .. bug .. ':' .. run end
local function took_key(bug) return PREFIX .. 'took:' .. bug end
local function tick_key(name) return PREFIX .. 'tick:' .. name end
local NODES = PREFIX .. 'nodes'
local HEARD = PREFIX .. 'heard'
local UNHEARD = PREFIX .. 'unheard'
local DRAINING = PREFIX .. 'draining'
local QUEUES = PREFIX .. 'queues'
local SERVER = PREFIX .. 'server'
local GONE = PREFIX .. 'gone'
local PROFILES = PREFIX .. 'profiles'
local EJECTED = PREFIX .. 'ejected'
local LINES = PREFIX .. 'lines'
local STARVING = PREFIX .. 'starving'
local OUTBOX = PREFIX .. 'outbox'
local LEASES = PREFIX .. 'leases'
local DELAYED = PREFIX .. 'delayed'
local PATIENCE = PREFIX .. 'patience'
local FINISHED = PREFIX .. 'finished'
local STATS = PREFIX .. 'stats'
local TALLY = PREFIX .. 'tally'
local EVENTS = PREFIX .. 'events'
local LAUNCHES = PREFIX .. 'launches'
local BOOTS = PREFIX .. 'boots'
local DURATIONS = PREFIX .. 'durations'
local PROVIDER = PREFIX .. 'provider'
local NEEDED = PREFIX .. 'needed'
local DECISIONS = PREFIX .. 'decisions'

-- A life's own channel: the node listens there while it lives, so the store sees it go. Nothing is
-- ever said on it.
local function life_channel(node, incarnation)
  return PREFIX .. 'life:' .. node .. ':' .. incarnation
end

-- A slice of the records of a kind, `bug` or `node`: the next cursor, and whose they are.
local function records_of(kind, cursor, most)
  local found = redis.call('SCAN', cursor, 'MATCH', PREFIX .. kind .. ':*', 'COUNT', most)
  local names = {}
  for i, key in ipairs(found[2]) do names[i] = string.sub(key, #PREFIX + #kind + 2) end
  return found[1], names
end

-- What has happened, in numbers that only rise (docs/metrics.md). With `pcall`, because counting must
-- never stand in the way of what is counted: one that is stale is told so by a full store too.
local function tally(what, by) redis.pcall('HINCRBY', TALLY, what, by or 1) end

-- Set by a script that answers what it has emitted.
local heard = nil

-- One event for each change of state, written in the same step (docs/events.md), and counted.
local function emit(action, bug, node, epoch, detail)
  tally(action)
  if heard then heard(action, bug, node, epoch, detail or '') end
  redis.call('XADD', EVENTS, 'MAXLEN', '~', 100000, '*', 'action', action, 'bug', bug,
    'node', node, 'epoch', epoch, 'detail', detail or '')
end

local function next_sequence() return redis.call('HINCRBY', STATS, 'sequence', 1) end

-- Higher than any before: the clock's, so that a store which lost its last second repeats none, and
-- above the last one, so that a clock set back repeats none either.
local function next_epoch()
  local last = tonumber(redis.call('HGET', STATS, 'epoch') or 0)
  local epoch = int(math.max(now_us, last + 1))
  redis.call('HSET', STATS, 'epoch', epoch)
  return epoch
end

local function split(text)
  local parts = {}
  for part in string.gmatch(text, '[^,]+') do parts[#parts + 1] = part end
  return parts
end

-- A class, like a profile, is written `<agents>|<label>,<label>` with its labels sorted.
local parsed = {}
local function parse(class)
  local known = parsed[class]
  if not known then
    local bar = string.find(class, '|', 1, true)
    known = {
      agents = tonumber(string.sub(class, 1, bar - 1)),
      labels = split(string.sub(class, bar + 1)),
      text = ',' .. string.sub(class, bar + 1) .. ',',
    }
    parsed[class] = known
  end
  return known
end

-- Whether a node of this profile could ever run a bug of this class.
local function serves(profile, class)
  local node, bug = parse(profile), parse(class)
  if node.agents < bug.agents then return false end
  for _, label in ipairs(bug.labels) do
    if not string.find(node.text, ',' .. label .. ',', 1, true) then return false end
  end
  return true
end
