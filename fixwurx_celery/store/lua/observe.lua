--[[
purpose     One consistent view of all that a scaling decision depends on. Nodes that serve as they
            should are only counted, but for those that may be scaled in.
transition  none
args
  window_ms int    for how long what was needed counts
  most      int    candidates for scaling in, the emptiest
  cluster   text   the id that this cluster gets, if it has none yet; empty: none
replies
  OBSERVED  a JSON document: now_ms, cluster; supply: nodes that take bugs by `profile:free`; others:
            how many take none; candidates and nodes, the latter being those in service whose launch
            is not READY, each as [name, profile, state, free, bugs, since when it is idle, agents of
            each bug]; launches of both, and those not in service; known: names of all launches, a
            line each; waiting by class, how long its bugs run; boots in ms, the newest first;
            provider; needed
]]
if cluster ~= '' then redis.call('HSETNX', CONFIG, 'cluster', cluster) end
local raw, known, told = {}, {}, {}
local flat = redis.call('HGETALL', LAUNCHES)
for i = 1, #flat, 2 do
  raw[flat[i]] = flat[i + 1]
  known[#known + 1] = flat[i]
end
local sick = {}
for _, node in ipairs(redis.call('SMEMBERS', EJECTED)) do sick[node] = true end

local supply, others, nodes, by_use, serving = {}, 0, {}, {}, {}
for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
  local f = redis.call('HMGET', node_key(node), 'profile', 'state', 'free', 'bugs', 'idle_ms')
  local launch = raw[node]
  local stage = launch and string.match(launch, '"stage":"(%u+)"')
  local state = sick[node] and f[2] == 'READY' and 'SICK' or f[2] or 'GONE'
  serving[node] = true
  if stage ~= 'DRAINING' and stage ~= 'STOPPING' then
    if state == 'READY' then
      local shelf = f[1] .. ':' .. f[3]
      supply[shelf] = (supply[shelf] or 0) + 1
    else
      others = others + 1
    end
  end
  if launch then
    local entry = { node, f[1] or '0|', state, f[3] or '0', f[4] or '0', f[5] or '0' }
    if stage ~= 'READY' then
      nodes[#nodes + 1] = entry
      told[node] = cjson.decode(launch)
    elseif state == 'READY' then
      local used = parse(f[1]).agents - f[3]
      by_use[used] = by_use[used] or {}
      by_use[used][#by_use[used] + 1] = entry
    end
  end
end
for node, launch in pairs(raw) do
  if not serving[node] then told[node] = cjson.decode(launch) end
end

local uses, candidates = {}, {}
for used in pairs(by_use) do uses[#uses + 1] = used end
table.sort(uses)
for _, used in ipairs(uses) do
  for _, entry in ipairs(by_use[used]) do
    if #candidates < tonumber(most) then
      entry[7] = redis.call('HVALS', held_key(entry[1]))
      candidates[#candidates + 1] = entry
      told[entry[1]] = cjson.decode(raw[entry[1]])
    end
  end
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
  now_ms = now_ms, cluster = redis.call('HGET', CONFIG, 'cluster') or '', supply = supply,
  others = others, candidates = candidates, nodes = nodes, launches = told,
  known = table.concat(known, '\n'), waiting = waiting, runs = runs, provider = provider,
  boots = redis.call('LRANGE', BOOTS, 0, -1),
  needed = redis.call('ZRANGEBYSCORE', NEEDED, since, '+inf'),
}) }
