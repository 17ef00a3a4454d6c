--[[
purpose     Renew the leases of the bugs that a process reserved.
transition  bug: RESERVED -> RESERVED
args
  bugs      json   list of ids
  holder    text
replies
  RENEWED   the ids that are no longer this holder's
]]
local reply = { 'RENEWED' }
for _, bug in ipairs(cjson.decode(bugs)) do
  local f = redis.call('HMGET', bug_key(bug), 'state', 'runner')
  if f[1] == 'RESERVED' and f[2] == holder then
    redis.call('ZADD', LEASES, int(now_ms + limits.lease_ms), bug)
  else
    reply[#reply + 1] = bug
  end
end
return reply
