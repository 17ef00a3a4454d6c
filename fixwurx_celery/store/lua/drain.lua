--[[
purpose     Let the node take no new bugs; those it runs go on, those not started go elsewhere.
transition  node: READY -> STOPPING
args
  node      text
  seed      int
replies
  STOPPING  number of bugs it still runs, then assignments to ring
  UNKNOWN
]]
math.randomseed(tonumber(seed))
local state = redis.call('HGET', node_key(node), 'state')
if not state or state == 'OFFLINE' then return { 'UNKNOWN' } end
if state ~= 'STOPPING' then
  local kept_for = redis.call('HGET', node_key(node), 'kept_for')
  if kept_for ~= '' then end_starving(kept_for) end
  redis.call('HSET', node_key(node), 'state', 'STOPPING')
  emit('node_draining', '', node, '')
end
for _, bug in ipairs(redis.call('HKEYS', held_key(node))) do
  if redis.call('HGET', bug_key(bug), 'state') == 'ASSIGNED' then give_back(bug, '', 'node drains') end
end
settle(node)
dispatch_waiting(64, strategy())
return answer('STOPPING', redis.call('HLEN', held_key(node)))
