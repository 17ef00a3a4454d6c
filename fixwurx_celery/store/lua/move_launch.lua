--[[
purpose     Note how far a launched node is.
transition  launch: STARTING | READY | DRAINING | STOPPING -> any of them
args
  term      int    of the tick that says so
  node      text
  stage     text
  reason    text
replies
  MOVED
  UNKNOWN   there is no such launch
  STALE     a later tick has been claimed
]]
if is_over(term) then return { 'STALE' } end
local launch = launch_of(node)
if not launch then return { 'UNKNOWN' } end
if launch.stage == stage then return { 'MOVED' } end
launch.stage, launch.since_ms, launch.term = stage, now_ms, term
if stage == 'STARTING' then launch.measured = false end -- it had started before
write_launch(node, launch)
emit('launch_moved', '', node, '', stage .. ': ' .. reason)
return { 'MOVED' }
