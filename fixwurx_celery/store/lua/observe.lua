--[[
purpose     One consistent view of all that a scaling decision depends on.
transition  none
args
  window_ms int    for how long what was needed counts
  cluster   text   the id that this cluster gets, if it has none yet; empty: none
replies
  OBSERVED  a JSON document: now_ms, cluster; nodes in service as [name, profile, state, free, bugs,
            since when it is idle, agents of each bug it holds]; waiting by class, how long its bugs
            run; launches; boots in ms, the newest first; provider; needed
]]
if cluster ~= '' then redis.call('HSETNX', CONFIG, 'cluster', cluster) end
local launches = {}
local flat = redis.call('HGETALL', LAUNCHES)
for i = 1, #flat, 2 do launches[flat[i]] = cjson.decode(flat[i + 1]) end
local nodes = {}
for i, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
  local f = redis.call('HMGET', node_key(node), 'profile', 'state', 'free', 'bugs', 'idle_ms')
  local state = f[2]
  if state == 'READY' and redis.call('SISMEMBER', EJECTED, node) == 1 then state = 'SICK' end
  local holds = {}
  if launches[node] and f[4] ~= '0' then holds = redis.call('HVALS', held_key(node)) end
  nodes[i] = { node, f[1] or '0|', state or 'GONE', f[3] or '0', f[4] or '0', f[5] or '0', holds }
end
local waiting, runs = {}, {}
for _, class in ipairs(redis.call('SMEMBERS', LINES)) do
  waiting[class] = redis.call('ZCARD', line_key(class))
end
for _, bug in ipairs(redis.call('ZRANGE', DELAYED, 0, 999)) do
  local class = redis.call('HGET', bug_key(bug), 'class')
  if class then waiting[class] = (waiting[class] or 0) + 1 end
end
for class in pairs(waiting) do
  runs[class] = redis.call('HGET', DURATIONS, class) or nil
end
local provider = {}
flat = redis.call('HGETALL', PROVIDER)
for i = 1, #flat, 2 do provider[flat[i]] = flat[i + 1] end
local since = int(now_ms - tonumber(window_ms))
return { 'OBSERVED', cjson.encode({
  now_ms = now_ms, cluster = redis.call('HGET', CONFIG, 'cluster') or '', nodes = nodes,
  waiting = waiting, runs = runs, launches = launches, boots = redis.call('LRANGE', BOOTS, 0, -1),
  provider = provider, needed = redis.call('ZRANGEBYSCORE', NEEDED, since, '+inf'),
}) }
