--[[
purpose     Count how long a node took to respond, measured by who gave it something to do.
transition  none
args
  node       text
  latency_ms int
  call       text   this one call; one that is sent again counts once
replies
  OBSERVED
  UNKNOWN   no such node is in service
]]
local f = redis.call('HMGET', node_key(node), 'state', 'observed')
if not f[1] or f[1] == 'OFFLINE' then return { 'UNKNOWN' } end
if f[2] ~= call then
  redis.call('HSET', node_key(node), 'observed', call)
  note_response(node, tonumber(latency_ms) / 1000)
  settle(node)
end
return { 'OBSERVED' }
