--[[
purpose     What monitoring shows of the cluster at one instant: sums over all nodes and lines, and
            as many of the nodes one by one as asked for.
transition  none
args
  most      int    nodes that are told one by one, the first by name
replies
  MEASURED  a JSON document: now_ms, strategy; agents and free ones of all nodes; nodes by state, how
            many of them are ejected, and for how long the quietest has been silent; some of the nodes
            as [name, state, profile, free, bugs, health, response in s, since when it is silent];
            by class, how many bugs wait and since when the one that waits longest; bugs assigned,
            on their runs, backing off, kept; launches by stage; failures of the provider in a row;
            when ticks were claimed; the last decision; memory; and what was tallied
]]
most = tonumber(most)

-- Nodes with room stand on shelves, which are counted without looking at the nodes. Of the others,
-- all have no free agent but for those that are aside.
local agents, free, states = 0, 0, { READY = 0, BUSY = 0, STOPPING = 0 }
local flat = redis.call('HGETALL', PROFILES)
for i = 1, #flat, 2 do
  local profile, others = flat[i], tonumber(flat[i + 1])
  agents = agents + others * parse(profile).agents
  for _, level in ipairs(redis.call('ZRANGE', levels_key(profile), 0, -1)) do
    local size = redis.call('ZCARD', shelf_key(profile .. ':' .. level))
    free = free + size * level
    states.READY = states.READY + size
    others = others - size
  end
  states.BUSY = states.BUSY + others
end
local aside = {}
for _, node in ipairs(redis.call('ZRANGE', DRAINING, 0, -1)) do aside[node] = true end
for _, node in ipairs(redis.call('SMEMBERS', EJECTED)) do aside[node] = true end
for _, node in ipairs(redis.call('HVALS', STARVING)) do aside[node] = true end
for node in pairs(aside) do
  local f = redis.call('HMGET', node_key(node), 'state', 'free', 'shelf')
  if f[3] == '' and (f[1] == 'STOPPING' or (f[1] == 'READY' and f[2] ~= '0')) then
    free = free + f[2]
    states.BUSY = states.BUSY - 1
    states[f[1]] = states[f[1]] + 1
  end
end

local names = redis.call('ZRANGE', NODES, 0, -1)
if #names > most then table.sort(names) end -- the same ones each time
local nodes = {}
for i = 1, math.min(#names, most) do
  local f = redis.call('HMGET', node_key(names[i]), 'state', 'profile', 'free', 'bugs', 'health',
    'response_s', 'heartbeat_ms')
  if f[1] then nodes[#nodes + 1] = { names[i], unpack(f) } end
end
local quietest = redis.call('ZRANGE', NODES, 0, 0, 'WITHSCORES')
local silent_ms = quietest[2] and math.max(0, now_ms - quietest[2] + limits.heartbeat_ttl_ms)

-- A line goes by priority, so the one that waits longest is among the first of one of the priorities;
-- the very first may have been given back, and wait anew.
local MOST_PRIORITIES, FIRST = 16, 10
local function oldest_of(class)
  local since_ms, from = now_ms, '-inf'
  for _ = 1, MOST_PRIORITIES do
    local flat = redis.call('ZRANGEBYSCORE', line_key(class), from, '+inf', 'WITHSCORES', 'LIMIT', 0, FIRST)
    if not flat[1] then break end
    from = rank_of(priority_of(flat[2]) - 1, 0)
    for i = 1, #flat, 2 do
      local waiting_ms = redis.call('HGET', bug_key(bug_of(flat[i])), 'waiting_ms')
      since_ms = math.min(since_ms, tonumber(waiting_ms or now_ms))
    end
  end
  return since_ms
end
local lines = {}
for _, class in ipairs(redis.call('SMEMBERS', LINES)) do
  lines[#lines + 1] = { class, redis.call('ZCARD', line_key(class)), oldest_of(class) }
end

local stages = {}
for _, launch in ipairs(redis.call('HVALS', LAUNCHES)) do
  local stage = string.match(launch, '"stage":"(%u+)"')
  if stage then stages[stage] = (stages[stage] or 0) + 1 end
end
local tallied = {}
flat = redis.call('HGETALL', TALLY)
for i = 1, #flat, 2 do tallied[flat[i]] = tonumber(flat[i + 1]) end
local memory = redis.call('INFO', 'memory')
local last = redis.call('XREVRANGE', DECISIONS, '+', '-', 'COUNT', 1)[1]
return { 'MEASURED', cjson.encode({
  now_ms = now_ms, strategy = strategy(), agents = agents, free = free, states = states,
  ejected = redis.call('SCARD', EJECTED), silent_ms = silent_ms, nodes = nodes, lines = lines,
  assigned = redis.call('ZCARD', OUTBOX), on_runs = redis.call('ZCARD', LEASES),
  delayed = redis.call('ZCARD', DELAYED), kept = redis.call('ZCARD', FINISHED), stages = stages,
  failures = redis.call('HGET', PROVIDER, 'failures') or '0',
  scaled_ms = redis.call('HGET', tick_key('scale'), 'at_ms') or nil,
  checked_ms = redis.call('HGET', tick_key('health_check'), 'at_ms') or nil,
  decided_ms = last and string.match(last[1], '^%d+'), decision = last and last[2][8],
  used_memory = string.match(memory, 'used_memory:(%d+)'), maxmemory = string.match(memory, 'maxmemory:(%d+)'),
  tallied = tallied,
}) }
