--[[
purpose     Forget a launched node that is gone. One that went before it was of use counts as a
            failure of its provider: after three in a row nothing is launched for a while, ever longer.
transition  launch: any -> none
args
  term      int    of the tick that says so
  node      text
  failure   int    1 when it was of no use
  reason    text
replies
  ENDED
  STALE     a later tick has been claimed
]]
if is_over(term) then return { 'STALE' } end
if redis.call('HDEL', LAUNCHES, node) == 0 then return { 'ENDED' } end
if failure == '1' then
  count_failure(reason)
  emit('launch_failed', '', node, '', reason)
else
  emit('launch_ended', '', node, '', reason)
end
return { 'ENDED' }
