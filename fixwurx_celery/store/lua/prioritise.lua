--[[
purpose     Change the priority of bugs: those that wait change their place in line, the others would
            have it if they came to wait again.
transition  none
args
  bugs      json   list of [id, priority]
replies
  PRIORITISED the state of each, in the order given; empty where there is no such bug, or it ended
]]
local reply = { 'PRIORITISED' }
for i, entry in ipairs(cjson.decode(bugs)) do
  local bug, priority = entry[1], entry[2]
  local f = redis.call('HMGET', bug_key(bug), 'state', 'rank', 'class', 'seat')
  local is_live = f[2] and f[1] ~= 'DONE' and f[1] ~= 'ESCALATED' and f[1] ~= 'CANCELLED'
  reply[i + 1] = is_live and f[1] or ''
  if is_live then
    local rank = rank_of(priority, batch_of(f[2]))
    redis.call('HSET', bug_key(bug), 'rank', rank, 'priority', priority)
    if f[1] == 'PENDING' then redis.call('ZADD', line_key(f[3]), 'XX', rank, f[4]) end
  end
end
return reply
