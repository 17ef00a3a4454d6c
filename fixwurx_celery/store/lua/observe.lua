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
most = tonumber(most)
local serving = {}
for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do serving[node] = true end

-- Most launches are READY and serve: those are passed over without being read.
local raw, known, told = {}, {}, {}
local flat = redis.call('HGETALL', LAUNCHES)
for i = 1, #flat, 2 do
  local node, launch = flat[i], flat[i + 1]
  known[#known + 1] = node
  if serving[node] and string.find(launch, '"stage":"READY"', 1, true) then
    raw[node] = launch
  else
    told[node] = cjson.decode(launch)
  end
end

-- Likewise nodes: those with room are counted by their shelves, and the rest are full, but for the
-- few that are aside.
local supply, full, shelves = {}, {}, {}
flat = redis.call('HGETALL', PROFILES)
for i = 1, #flat, 2 do
  local profile = flat[i]
  full[profile] = tonumber(flat[i + 1])
  for _, free in ipairs(redis.call('ZRANGE', levels_key(profile), 0, -1)) do
    local shelf = profile .. ':' .. free
    local count = redis.call('ZCARD', shelf_key(shelf))
    supply[shelf] = count
    full[profile] = full[profile] - count
    shelves[#shelves + 1] = { name = shelf, share = free / parse(profile).agents }
  end
end
local function entry_of(node)
  local f = redis.call('HMGET', node_key(node), 'profile', 'state', 'free', 'bugs', 'idle_ms', 'shelf')
  return { node, f[1] or '0|', f[2] or 'GONE', f[3] or '0', f[4] or '0', f[5] or '0' }, f[6] or ''
end
local others, aside = 0, {}
for _, node in ipairs(redis.call('ZRANGE', DRAINING, 0, -1)) do aside[node] = 'STOPPING' end
for _, node in ipairs(redis.call('SMEMBERS', EJECTED)) do aside[node] = 'SICK' end
for _, node in ipairs(redis.call('HVALS', STARVING)) do aside[node] = 'KEPT' end
for node, why in pairs(aside) do
  local entry, shelf = entry_of(node)
  if serving[node] and shelf == '' and full[entry[2]] then
    full[entry[2]] = full[entry[2]] - 1
    local launch = told[node]
    if why == 'KEPT' and entry[3] == 'READY' then
      local kept = entry[2] .. ':' .. entry[4]
      supply[kept] = (supply[kept] or 0) + 1
    elseif not launch or (launch.stage ~= 'DRAINING' and launch.stage ~= 'STOPPING') then
      others = others + 1
    end
  end
end
local nodes = {}
for node, launch in pairs(told) do
  if serving[node] then
    local entry, shelf = entry_of(node)
    nodes[#nodes + 1] = entry
    if launch.stage ~= 'STARTING' and not aside[node] then -- about to be drained
      if shelf ~= '' then
        supply[shelf] = supply[shelf] - 1
      elseif full[entry[2]] then
        full[entry[2]] = full[entry[2]] - 1
      end
    end
  end
end
for profile, count in pairs(full) do
  if count > 0 then supply[profile .. ':0'] = (supply[profile .. ':0'] or 0) + count end
end

local candidates, chosen = {}, {}
local function consider(node)
  if #candidates >= most or not raw[node] or chosen[node] then return end
  local entry = entry_of(node)
  if entry[3] ~= 'READY' or aside[node] == 'SICK' then return end
  chosen[node] = true
  entry[7] = redis.call('HVALS', held_key(node))
  candidates[#candidates + 1] = entry
  told[node] = cjson.decode(raw[node])
end
table.sort(shelves, function(a, b) return a.share > b.share end)
for _, shelf in ipairs(shelves) do
  if #candidates >= most then break end
  for _, node in ipairs(redis.call('ZRANGE', shelf_key(shelf.name), 0, -1)) do consider(node) end
end
if #candidates < most then -- the full ones, should there be more nodes than allowed
  for node in pairs(raw) do consider(node) end
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
