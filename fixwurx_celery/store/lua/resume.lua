--[[
purpose     Let a draining node take bugs again.
transition  node: STOPPING -> READY
args
  node      text
replies
  READY     and its assignments, to ring
  UNKNOWN
]]
local state = redis.call('HGET', node_key(node), 'state')
if not state or state == 'OFFLINE' then return { 'UNKNOWN' } end
if state == 'STOPPING' then
  redis.call('HSET', node_key(node), 'state', 'READY', 'drain_until_ms', 0)
  redis.call('ZREM', DRAINING, node)
  emit('node_resumed', '', node, '')
end
fill(node)
return answer('READY')
