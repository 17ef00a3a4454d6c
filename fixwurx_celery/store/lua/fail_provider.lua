--[[
purpose     Note that the provider did not answer, or refused.
transition  none
args
  term      int    of the tick that asked it
  reason    text
replies
  NOTED
  STALE     a later tick has been claimed
]]
if is_over(term) then return { 'STALE' } end
-- Once a tick: whatever it asks after a refusal is refused too.
if redis.call('HGET', PROVIDER, 'failed_term') == term then return { 'NOTED' } end
redis.call('HSET', PROVIDER, 'failed_term', term)
count_failure(reason)
emit('provider_failed', '', '', '', reason)
return { 'NOTED' }
