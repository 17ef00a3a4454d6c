--[[
purpose     Keep the node in service, and tell it which running bugs to stop.
transition  node: READY | STOPPING -> the same
args
  node        text
  incarnation text
  facts       json   live children, load: shown, never decided on; empty: unchanged
replies
  OK        number of bugs to cancel, then their ids, then assignments to ring
  UNKNOWN   the store does not know this life of the node: register again
]]
local key = node_key(node)
local f = redis.call('HMGET', key, 'incarnation', 'state', 'free', 'heartbeat_ms', 'kept_for')
if f[1] ~= incarnation or f[2] == 'OFFLINE' then return { 'UNKNOWN' } end
-- Much later than it should be: the node or its way here is in trouble.
local late = now_ms - tonumber(f[4]) > limits.heartbeat_ttl_ms * 0.6
heal(node, late and 0.8 or 1)
redis.call('HSET', key, 'heartbeat_ms', int(now_ms))
if facts ~= '' then redis.call('HSET', key, 'load', facts) end
redis.call('ZADD', NODES, int(now_ms + limits.heartbeat_ttl_ms), node)
local cancelling = {}
for _, bug in ipairs(redis.call('HKEYS', held_key(node))) do
  if redis.call('HEXISTS', bug_key(bug), 'cancelling') == 1 then cancelling[#cancelling + 1] = bug end
end
fill(node)
return answer('OK', #cancelling, unpack(cancelling))
