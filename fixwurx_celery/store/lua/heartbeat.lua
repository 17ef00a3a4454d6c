--[[
purpose     Keep the node in service.
transition  node: READY | STOPPING -> the same
args
  node        text
  incarnation text
  facts       json   live pool processes, load: shown, never decided on; empty: unchanged
replies
  OK        how many bugs it was given and did not start since it last started one, then
            assignments to ring
  UNKNOWN   the store does not know this life of the node: register again
]]
local key = node_key(node)
local f = redis.call('HMGET', key, 'incarnation', 'state', 'heartbeat_ms', 'deaf')
if f[1] ~= incarnation or f[2] == 'OFFLINE' then return { 'UNKNOWN' } end
heal(node, is_late(tonumber(f[3])) and 0.8 or 1)
redis.call('HSET', key, 'heartbeat_ms', int(now_ms))
if facts ~= '' then redis.call('HSET', key, 'load', facts) end
redis.call('ZADD', NODES, int(now_ms + limits.heartbeat_ttl_ms), node)
hear(node, incarnation)
fill(node)
return answer('OK', f[4] or 0)
