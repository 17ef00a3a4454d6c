--[[
purpose     Let the node take no new bugs; those not started go elsewhere at once, those it runs
            when the grace time is over: their runners are told so at their next report, and what
            they have not given back a while later is taken from them. Drained again, its grace
            may only get shorter.
transition  node: READY -> STOPPING
args
  node      text
  grace_ms  int
  seed      int
replies
  STOPPING  number of bugs it still runs, then assignments to ring
  UNKNOWN
]]
math.randomseed(tonumber(seed))
local f = redis.call('HMGET', node_key(node), 'state', 'kept_for', 'drain_until_ms')
if not f[1] or f[1] == 'OFFLINE' then return { 'UNKNOWN' } end
local until_ms = now_ms + tonumber(grace_ms)
if f[1] ~= 'STOPPING' then
  if f[2] ~= '' then end_starving(f[2]) end
  redis.call('HSET', node_key(node), 'state', 'STOPPING')
  emit('node_draining', '', node, '', grace_ms)
else
  until_ms = math.min(until_ms, tonumber(f[3]))
end
redis.call('HSET', node_key(node), 'drain_until_ms', int(until_ms))
redis.call('ZADD', DRAINING, int(until_ms + limits.move_after_ms), node)
for _, bug in ipairs(redis.call('HKEYS', held_key(node))) do
  if redis.call('HGET', bug_key(bug), 'state') == 'ASSIGNED' then give_back(bug, '', 'its node drains') end
end
settle(node)
dispatch_waiting(64, strategy())
return answer('STOPPING', redis.call('HLEN', held_key(node)))
