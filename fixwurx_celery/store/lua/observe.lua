--[[
purpose     One consistent view of all that a scaling decision depends on.
transition  none
args
  window_ms int    for how long what was needed counts
  cluster   text   the id that this cluster gets, if it has none yet; empty: none
replies
  OBSERVED  a JSON document: now_ms, cluster; nodes in service as [name, profile, state, free, bugs,
            since when it is idle, agents of each bug it holds, if it was launched (their sum, if it
            is more than half full)]; waiting by class, how long its bugs run; boots in ms, the
            newest first; provider; needed. A second document: launches by node
]]
if cluster ~= '' then redis.call('HSETNX', CONFIG, 'cluster', cluster) end
local launched, launches = {}, {}
local flat = redis.call('HGETALL', LAUNCHES)
for i = 1, #flat, 2 do
  launched[flat[i]] = true
  launches[#launches + 1] = cjson.encode(flat[i]) .. ':' .. flat[i + 1] -- it is JSON already
end
local sick = {}
for _, node in ipairs(redis.call('SMEMBERS', EJECTED)) do sick[node] = true end
local nodes = {}
for i, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
  local f = redis.call('HMGET', node_key(node), 'profile', 'state', 'free', 'bugs', 'idle_ms')
  local profile, free, holds = f[1] or '0|', tonumber(f[3] or 0), {}
  local used = parse(profile).agents - free
  if used > 0 and launched[node] then
    -- Which bugs it holds matters for those that may go, which are not the fullest.
    holds = used <= free and redis.call('HVALS', held_key(node)) or { used }
  end
  local state = sick[node] and f[2] == 'READY' and 'SICK' or f[2] or 'GONE'
  nodes[i] = { node, profile, state, free, tonumber(f[4] or 0), tonumber(f[5] or 0), holds }
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
local told = cjson.encode({
  now_ms = now_ms, cluster = redis.call('HGET', CONFIG, 'cluster') or '', nodes = nodes,
  waiting = waiting, runs = runs, boots = redis.call('LRANGE', BOOTS, 0, -1), provider = provider,
  needed = redis.call('ZRANGEBYSCORE', NEEDED, since, '+inf'),
})
return { 'OBSERVED', told, '{' .. table.concat(launches, ',') .. '}' }
