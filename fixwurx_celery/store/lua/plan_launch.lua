--[[
purpose     Note that a node is about to be launched, before it is: so that nobody forgets it, and
            the nodes that are there and to come are never more than allowed.
transition  launch: none -> STARTING
args
  term      int    of the tick that decided it
  node      text   its node name
  name      text   what its provider calls it
  profile   text
  scope     text   of the provider
  most      int    nodes at most, those starting included
replies
  PLANNED
  EXISTS    a node or a launch of that name is there
  FULL      as many nodes as allowed are there or start
  STALE     a later tick has been claimed
]]
if is_over(term) then return { 'STALE' } end
local launch = launch_of(node)
if launch and launch.stage == 'STARTING' and launch.term == term then return { 'PLANNED' } end
if launch or redis.call('ZSCORE', NODES, node) then return { 'EXISTS' } end
local count = redis.call('ZCARD', NODES)
for _, other in ipairs(redis.call('HKEYS', LAUNCHES)) do
  if not redis.call('ZSCORE', NODES, other) then count = count + 1 end
end
if count >= tonumber(most) then return { 'FULL' } end
write_launch(node, {
  name = name,
  profile = profile,
  scope = scope,
  stage = 'STARTING',
  term = term,
  at_ms = now_ms,
  since_ms = now_ms,
  measured = true,
})
emit('launch_planned', '', node, '', profile)
return { 'PLANNED' }
