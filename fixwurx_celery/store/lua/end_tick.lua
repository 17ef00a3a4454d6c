--[[
purpose     Note that a tick was carried out.
transition  none
args
  name      text
  term      int    the one under which it was claimed
replies
  ENDED
  STALE     somebody else claimed it since
]]
if redis.call('HGET', tick_key(name), 'term') ~= term then return { 'STALE' } end
redis.call('HSET', tick_key(name), 'ended', 1)
return { 'ENDED' }
