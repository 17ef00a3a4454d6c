--[[
purpose     Record the outcome of a running bug, free its agents, and hand the node its next bugs.
transition  bug: RUNNING -> DONE | ESCALATED | CANCELLED
args
  bug         text
  node        text
  incarnation text
  epoch       int
  runner      text
  state       text   the terminal state
  outcome     json   bounded by the caller
  verdict     text   the outcome in one word, of those that are counted
replies
  FINISHED  the node's next assignments, to ring: node, bug, epoch, ...
  STALE     somebody else's by now; nothing was written
]]
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'node', 'incarnation', 'epoch', 'runner', 'started_ms', 'class')
if f[2] ~= node or f[3] ~= incarnation or f[4] ~= epoch or f[5] ~= runner then
  tally('stale:finish')
  return { 'STALE' }
end
if f[1] == state then -- sent twice: what was handed out may not have been rung
  for _, held in ipairs(redis.call('HKEYS', held_key(node))) do
    local h = redis.call('HMGET', bug_key(held), 'state', 'epoch')
    if h[1] == 'ASSIGNED' then ring_again(held, node, h[2]) end
  end
  return answer('FINISHED')
end
if f[1] ~= 'RUNNING' then
  tally('stale:finish')
  return { 'STALE' }
end

conclude(bug, state, outcome, verdict)
local run_ms = math.max(0, now_ms - tonumber(f[6]))
tally_time('run', run_ms)
note_duration(f[7], run_ms)
if state == 'DONE' then
  redis.call('SET', took_key(bug), int(run_ms), 'PX', limits.keep_finished_ms)
end
let_go(bug, node)
heal(node, 1.1)
emit('bug_finished', bug, node, epoch, state)
fill(node)
return answer('FINISHED')
