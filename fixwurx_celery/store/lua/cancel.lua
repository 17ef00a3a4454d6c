--[[
purpose     Cancel a bug in whatever live state it is.
transition  bug: PENDING | ASSIGNED -> CANCELLED; RUNNING: its runner is told at its next report
args
  bug       text
replies
  CANCELLED  and what its node is handed instead, to ring: node, bug, epoch, ...
  CANCELLING it runs; its process group is being killed
  ENDED      state: it had ended before
  RELEASED   it was a reservation; its agents are free
  UNKNOWN
]]
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'node', 'incarnation', 'epoch', 'class', 'seat')
if not f[1] then return { 'UNKNOWN' } end
if f[1] == 'RUNNING' then
  if redis.call('HSET', key, 'cancelling', '1') == 1 then emit('bug_cancelling', bug, f[2], f[4]) end
  return { 'CANCELLING' }
end
if f[1] ~= 'PENDING' and f[1] ~= 'ASSIGNED' and f[1] ~= 'RESERVED' then return { 'ENDED', f[1] } end

if f[1] == 'RESERVED' then
  let_go(bug, f[2])
  redis.call('DEL', key)
  emit('bug_released', bug, f[2], f[4], 'cancelled')
  fill(f[2])
  return answer('RELEASED')
end
local reason = 'cancelled before it started'
conclude(bug, 'CANCELLED', cjson.encode({ outcome = 'CANCELLED', reason = reason }), 'CANCELLED')
emit('bug_cancelled', bug, f[2] or '', f[4] or '', reason)
if f[1] == 'PENDING' then
  stop_waiting(bug, f[5], f[6])
else
  let_go(bug, f[2])
  fill(f[2])
end
return answer('CANCELLED')
