--[[
purpose     Take a node out of service because it ends; what it still holds goes elsewhere, uncharged.
transition  node: READY | STOPPING -> OFFLINE
args
  node        text
  incarnation text
  seed        int
replies
  OFFLINE   and assignments to ring
  STALE     another life of the node is in service
]]
math.randomseed(tonumber(seed))
local f = redis.call('HMGET', node_key(node), 'incarnation', 'state')
if f[1] ~= incarnation then return { 'STALE' } end
if f[2] ~= 'OFFLINE' then
  lose(node, '', 'node ended', 'OFFLINE')
  dispatch_waiting(64, strategy())
end
return answer('OFFLINE')
