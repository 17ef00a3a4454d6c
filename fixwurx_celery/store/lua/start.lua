--[[
purpose     Start the bug on the node that holds it.
transition  bug: ASSIGNED -> RUNNING
args
  bug         text
  node        text
  incarnation text
  epoch       int    the assignment that the message names
  runner      text   this one run; tells a call sent twice from a message delivered twice
replies
  STARTED   spec, checkpoint (empty: none), run (1 for the first), how long it waited in ms (0 when
            asked again)
  CANCELLED it was cancelled while its message was on its way
  STALE     another epoch, node, incarnation or runner holds it
]]
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'node', 'incarnation', 'epoch', 'runner', 'spec', 'checkpoint', 'assigned_ms', 'waiting_ms', 'ran_on')
if f[1] == 'CANCELLED' then return { 'CANCELLED' } end
if f[2] ~= node or f[3] ~= incarnation or f[4] ~= epoch then
  tally('stale:start')
  return { 'STALE' }
end
if f[1] == 'RUNNING' and f[5] == runner then
  return { 'STARTED', f[6], f[7] or '', redis.call('HGET', key, 'runs'), 0 }
end
if f[1] ~= 'ASSIGNED' then
  tally('stale:start')
  return { 'STALE' }
end

stop_clock(bug)
redis.call('HSET', key, 'state', 'RUNNING', 'runner', runner, 'phase', 'TRIAGE',
  'started_ms', int(now_ms), 'since_ms', int(now_ms), 'ran_on', (f[10] and f[10] .. '\n' or '') .. node)
local run = redis.call('HINCRBY', key, 'runs', 1)
redis.call('ZREM', OUTBOX, bug)
redis.call('ZADD', LEASES, int(now_ms + limits.lease_ms), bug)
local answered_ms = math.max(0, now_ms - tonumber(f[8]))
note_response(node, answered_ms / 1000)
redis.call('HSET', node_key(node), 'deaf', 0)
emit('bug_started', bug, node, epoch, run)
tally_time('answer', answered_ms)
local waited_ms = math.max(0, now_ms - tonumber(f[9] or f[8]))
tally_time('wait', waited_ms)
return { 'STARTED', f[6], f[7] or '', run, int(waited_ms) }
