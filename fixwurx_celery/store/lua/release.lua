--[[
purpose     Free the agents that a bug holds or waits for, and forget the bug.
transition  bug: RESERVED | PENDING | ASSIGNED | RUNNING -> none
args
  bug       text
replies
  RELEASED  and what its node is handed instead, to ring: node, bug, epoch, ...
  ENDED     state: it holds nothing; its outcome is kept
  UNKNOWN
]]
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'node', 'incarnation', 'epoch', 'class', 'seat', 'runs', 'wait_limit_ms')
if not f[1] then return { 'UNKNOWN' } end
if f[1] == 'DONE' or f[1] == 'ESCALATED' or f[1] == 'CANCELLED' then return { 'ENDED', f[1] } end

redis.call('DEL', key)
if f[8] then redis.call('ZREM', PATIENCE, bug) end
-- Its id may come again, and its first run is then another.
for run = 1, tonumber(f[7] or 0) do redis.call('DEL', log_key(bug, run)) end
emit('bug_released', bug, f[2] or '', f[4] or '')
if f[1] == 'PENDING' then
  stop_waiting(bug, f[5], f[6])
else
  let_go(bug, f[2])
  fill(f[2])
end
return answer('RELEASED')
