--[[
purpose     Give back a bug whose process died, so that it runs again from its last checkpoint.
transition  bug: ASSIGNED | RUNNING -> PENDING | ESCALATED | CANCELLED
args
  bug         text
  node        text
  incarnation text
  epoch       int
  runner      text   the run that failed; empty: whichever there is
  charge      text   which counter pays: attempts, losses, or empty (a drain, a preemption)
  reason      text
  seed        int
replies
  PENDING     and what is handed out now, to ring: node, bug, epoch, ...
  ESCALATED   likewise; it has used up its attempts or losses
  CANCELLED   likewise; it was being cancelled
  STALE       somebody else's by now
]]
math.randomseed(tonumber(seed))
local f = redis.call('HMGET', bug_key(bug), 'state', 'node', 'incarnation', 'epoch', 'runner')
if (f[1] ~= 'RUNNING' and f[1] ~= 'ASSIGNED')
    or f[2] ~= node or f[3] ~= incarnation or f[4] ~= epoch
    or (runner ~= '' and f[1] == 'RUNNING' and f[5] ~= runner) then
  tally('stale:fail_attempt')
  return { 'STALE' }
end
if charge ~= '' then heal(node, 0.7) end
local status = give_back(bug, charge, reason)
fill(node)
dispatch_waiting(16, strategy())
return answer(status)
