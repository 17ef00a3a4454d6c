--[[
purpose     Bring in order what time has changed: nodes that hung up or fell silent, drains whose
            grace is over, expired leases, bells that nobody answered, bugs whose back-off is over
            or which waited too long, finished bugs past their keep.
transition  node: READY | STOPPING -> OFFLINE; bug: ASSIGNED | RUNNING -> PENDING | ESCALATED;
            bug: PENDING -> ESCALATED
args
  node        text   the caller, if it is a node: its calling is a sign of life
  incarnation text
  most        int    of each kind, per call
  can_ring    int    0 when the caller cannot reach the broker: bells are left to the next caller
  seed        int
replies
  SWEPT     number of nodes in service; number of nodes now gone, their names; number of nodes
            whose queue is to be deleted, their names; number of fields of what befell nodes and
            bugs, which are action, bug, node, epoch and detail of each; then assignments to ring
]]
math.randomseed(tonumber(seed))
most = tonumber(most)
local by = strategy()
local GIVE_UP_AFTER = 3 -- bells
local DELETE_AGAIN_MS = 5000
local TOLD = { node_lost = true, bug_given_back = true, bug_escalated = true, bug_cancelled = true, bug_released = true }

-- What befalls others has only the log of who sweeps to be told in.
local told = {}
heard = function(action, bug, of, epoch, detail)
  if not TOLD[action] then return end
  for _, value in ipairs({ action, bug, of, epoch, detail }) do told[#told + 1] = value end
end

local function due(key)
  return redis.call('ZRANGEBYSCORE', key, '-inf', int(now_ms), 'LIMIT', 0, most)
end

local gone = {}
local function reply()
  local said = { 'SWEPT', redis.call('ZCARD', NODES), #gone }
  for _, name in ipairs(gone) do said[#said + 1] = name end
  local queues = due(QUEUES)
  said[#said + 1] = #queues
  for _, name in ipairs(queues) do
    said[#said + 1] = name
    redis.call('ZADD', QUEUES, int(now_ms + DELETE_AGAIN_MS), name) -- unless somebody says it is
  end
  said[#said + 1] = #told
  for _, value in ipairs(told) do said[#said + 1] = value end
  if can_ring == '0' and bell_json == '' then
    for i = 2, #assigned, 3 do redis.call('ZADD', OUTBOX, 'XX', int(now_ms), assigned[i]) end
    return said
  end
  return with_assigned(said)
end

forgive_silence()
if redis.call('HGET', HEARD, node) == incarnation then redis.call('ZREM', UNHEARD, node) end
local silent, moved = {}, 0
for _, name in ipairs(hung_up()) do silent[#silent + 1] = { name, 'its connection dropped' } end
for _, name in ipairs(due(NODES)) do
  silent[#silent + 1] = { name, 'node was silent past its heartbeat timeout' }
end
for _, one in ipairs(silent) do
  moved = moved + redis.call('HLEN', held_key(one[1]))
  -- More are silent: what waits must not be handed to them. The next sweep goes on from here.
  if #gone == most or (#gone > 0 and moved > 10 * most) then return reply() end
  if lose(one[1], 'losses', one[2], 'OFFLINE') then gone[#gone + 1] = one[1] end
end

for _, name in ipairs(due(DRAINING)) do
  give_back_all(name, '', 'its node drains, and its grace time is over')
  redis.call('ZADD', DRAINING, NEVER_MS, name)
  redis.call('HSET', node_key(name), 'drain_until_ms', 0)
  settle(name)
end

for _, bug in ipairs(due(LEASES)) do
  local f = redis.call('HMGET', bug_key(bug), 'state', 'node')
  if f[1] == 'RUNNING' or f[1] == 'RESERVED' then
    if f[1] == 'RUNNING' then heal(f[2], 0.7) end
    give_back(bug, 'attempts', 'its lease was not renewed')
    tally('lease_over')
    fill(f[2])
  else
    redis.call('ZREM', LEASES, bug)
  end
end

local unmoved = {}
for _, bug in ipairs(can_ring == '0' and {} or due(OUTBOX)) do
  local f = redis.call('HMGET', bug_key(bug), 'state', 'node', 'epoch', 'assigned_ms')
  if f[1] == 'ASSIGNED' and now_ms - tonumber(f[4]) > GIVE_UP_AFTER * limits.ring_after_ms then
    heal(f[2], 0.7)
    redis.call('HINCRBY', node_key(f[2]), 'deaf', 1)
    give_back(bug, '', 'its node beats but does not start it')
    settle(f[2])
    unmoved[#unmoved + 1] = f[2] -- filled last: others come first
  elseif f[1] == 'ASSIGNED' then
    redis.call('ZADD', OUTBOX, int(now_ms + limits.ring_after_ms), bug)
    emit('bug_rung_again', bug, f[2], f[3])
    ring_again(bug, f[2], f[3])
  else
    redis.call('ZREM', OUTBOX, bug)
  end
end

for _, bug in ipairs(due(DELAYED)) do
  redis.call('ZREM', DELAYED, bug)
  local f = redis.call('HMGET', bug_key(bug), 'state', 'class', 'rank', 'seat')
  if f[1] == 'PENDING' then join_line(bug, f[2], f[3], f[4]) end
end

-- After all that makes bugs wait: what is over by now is found in this same sweep.
for _, bug in ipairs(due(PATIENCE)) do
  local node = give_up_waiting(bug)
  if node then
    settle(node)
    unmoved[#unmoved + 1] = node
  end
end

local past = int(now_ms - limits.keep_finished_ms)
for _, bug in ipairs(redis.call('ZRANGEBYSCORE', FINISHED, '-inf', past, 'LIMIT', 0, most)) do
  redis.call('ZREM', FINISHED, bug)
  if redis.call('DEL', bug_key(bug)) == 1 then emit('bug_expired', bug, '', '') end
end

local forgotten = int(now_ms - limits.forget_node_ms)
for _, name in ipairs(redis.call('ZRANGEBYSCORE', GONE, '-inf', forgotten, 'LIMIT', 0, most)) do
  redis.call('ZREM', GONE, name)
  redis.call('ZADD', QUEUES, int(now_ms), name) -- a late message may have brought it back
  if redis.call('DEL', node_key(name)) == 1 then emit('node_forgotten', '', name, '') end
end

dispatch_waiting(most, by)
for _, name in ipairs(unmoved) do fill(name) end
return reply()
