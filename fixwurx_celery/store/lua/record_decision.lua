--[[
purpose     Keep what a tick decided, with its inputs, and what it needed for the ticks to come.
transition  none
args
  term      int    of the tick
  action    text   out, in or hold
  reason    text
  needed    json   nodes by profile
  decision  json   all of it, with its inputs
  window_ms int    for how long what was needed counts
replies
  RECORDED
  STALE     a later tick has been claimed
]]
if is_over(term) then return { 'STALE' } end
local last = redis.call('XREVRANGE', DECISIONS, '+', '-', 'COUNT', 1)[1]
if last and last[2][2] == term then return { 'RECORDED' } end
redis.call('XADD', DECISIONS, 'MAXLEN', '~', 3000, '*', 'term', term, 'action', action, 'reason', reason,
  'decision', decision)
redis.call('ZADD', NEEDED, int(now_ms), int(now_ms) .. ':' .. needed)
redis.call('ZREMRANGEBYSCORE', NEEDED, '-inf', '(' .. int(now_ms - tonumber(window_ms)))
tally('decision:' .. action)
if action ~= 'hold' then emit('scaled', '', '', term, action .. ': ' .. reason) end
return { 'RECORDED' }
