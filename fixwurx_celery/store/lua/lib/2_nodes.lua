-- Nodes: where each stands, and which one a bug takes.
-- A shelf holds the nodes of one profile (total agents and labels) that have the same number of
-- free agents. A node is on one shelf or on none, so that a change costs the same however many
-- classes of bugs there are, and a choice compares one head per shelf however many nodes. Only the
-- shelves that hold nodes are looked at: `levels` has their numbers of free agents.

local EJECTION_HEALTH = 0.5
local PROBE_AFTER_MS = 10000
local HEALTH_PER_MS = 1 / 120000 -- a sick node is well again after two quiet minutes

local function strategy()
  return redis.call('HGET', CONFIG, 'strategy') or limits.default_strategy
end

-- The order of nodes on one shelf, the lowest first. Ties go to the one chosen longest ago.
local function shelf_score(by, bugs, used, health, response_s)
  if by == 'ROUND_ROBIN' then return used end
  if by == 'LEAST_CONNECTIONS' then return bugs * BILLION + used end
  if by == 'WEIGHTED_CAPACITY' then
    return used - math.floor(1000 * health / (1 + response_s)) * BILLION
  end
  return 0
end

local function ejected(node, health, bugs, probe_at)
  if health <= EJECTION_HEALTH then
    -- More than half of the cluster is never ejected: then the fault is not the nodes'.
    local others = redis.call('SCARD', EJECTED) - redis.call('SISMEMBER', EJECTED, node)
    if (others + 1) * 2 <= redis.call('ZCARD', NODES) then
      if redis.call('SADD', EJECTED, node) == 1 then
        emit('node_ejected', '', node, '', string.format('%.2f', health))
      end
      return not (bugs == 0 and now_ms >= probe_at)
    end
  end
  if redis.call('SREM', EJECTED, node) == 1 then
    emit('node_readmitted', '', node, '', string.format('%.2f', health))
  end
  return false
end

local function unshelve(node, shelf)
  redis.call('ZREM', shelf_key(shelf), node)
  if redis.call('EXISTS', shelf_key(shelf)) == 0 then
    local profile, free = string.match(shelf, '^(.*):(%d+)$')
    redis.call('ZREM', levels_key(profile), free)
  end
end

-- Puts the node on the shelf where it belongs now. Every change of a node ends with this.
local function settle(node, by)
  local key = node_key(node)
  local f = redis.call('HMGET', key, 'state', 'profile', 'free', 'bugs', 'used', 'health',
    'response_s', 'kept_for', 'shelf', 'probe_at')
  if not f[1] then return end
  local free, bugs, health = tonumber(f[3]), tonumber(f[4]), tonumber(f[6])
  local old, shelf = f[9], ''
  if f[1] ~= 'READY' then
    redis.call('SREM', EJECTED, node)
  elseif not ejected(node, health, bugs, tonumber(f[10])) and free > 0 and f[8] == '' then
    shelf = f[2] .. ':' .. f[3]
  end
  if old ~= shelf then
    if old ~= '' then unshelve(node, old) end
    if shelf ~= '' then redis.call('ZADD', levels_key(f[2]), f[3], f[3]) end
    redis.call('HSET', key, 'shelf', shelf)
  end
  if shelf ~= '' then
    local score = shelf_score(by or strategy(), bugs, tonumber(f[5]), health, tonumber(f[7]))
    redis.call('ZADD', shelf_key(shelf), int(score), node)
  end
end

-- Health after `factor` was applied and the quiet time since the last change was credited.
local function heal(node, factor)
  local f = redis.call('HMGET', node_key(node), 'health', 'health_at')
  if not f[1] then return end
  local quiet_ms = math.max(0, now_ms - tonumber(f[2])) -- the clock may have been set back
  local health = math.min(1, tonumber(f[1]) + quiet_ms * HEALTH_PER_MS)
  if factor < 1 then
    health = health * factor
    redis.call('HSET', node_key(node), 'probe_at', int(now_ms + PROBE_AFTER_MS))
  elseif factor > 1 then
    health = math.min(1, health + 0.1)
  end
  redis.call('HSET', node_key(node), 'health', string.format('%.6f', health),
    'health_at', int(now_ms))
end

-- The node took so long to respond: an exponential average.
local function note_response(node, response_s)
  local before = tonumber(redis.call('HGET', node_key(node), 'response_s'))
  redis.call('HSET', node_key(node), 'response_s',
    string.format('%.6f', before + 0.2 * (response_s - before)))
end

-- The best candidate of each shelf that has room for the class, compared as the strategy says.
-- WEIGHTED_CAPACITY compares the free share of a node rather than its free agents, so that small
-- and large nodes fill in proportion (docs/decisions).
local function choose(class, by)
  local need = parse(class).agents
  local shelves, best = {}, nil
  local entries = redis.call('HKEYS', PROFILES)
  table.sort(entries)
  for _, profile in ipairs(entries) do
    if serves(profile, class) then
      local total = parse(profile).agents
      for _, free in ipairs(redis.call('ZRANGEBYSCORE', levels_key(profile), need, '+inf')) do
        local key = shelf_key(profile .. ':' .. free)
        shelves[#shelves + 1] = { key = key, free = tonumber(free), total = total }
      end
    end
  end
  if by == 'RANDOM' then
    local count = 0
    for _, shelf in ipairs(shelves) do
      shelf.size = redis.call('ZCARD', shelf.key)
      count = count + shelf.size
    end
    if count == 0 then return nil end
    local pick = math.floor(math.random() * count)
    for _, shelf in ipairs(shelves) do
      if pick < shelf.size then return redis.call('ZRANGE', shelf.key, pick, pick)[1] end
      pick = pick - shelf.size
    end
  end
  for _, shelf in ipairs(shelves) do
    local head = redis.call('ZRANGE', shelf.key, 0, 0, 'WITHSCORES')
    if head[1] then
      local score = tonumber(head[2])
      local rank, used = 0, score
      if by == 'LEAST_CONNECTIONS' then
        rank = math.floor(score / BILLION)
        used = score - rank * BILLION
      elseif by == 'WEIGHTED_CAPACITY' then
        local weight = math.ceil(-score / BILLION)
        used = score + weight * BILLION
        rank = -weight * shelf.free / shelf.total
      end
      local free = by == 'ROUND_ROBIN' and 0 or shelf.free
      if not best or rank < best.rank
          or (rank == best.rank and (free > best.free or (free == best.free and used < best.used))) then
        best = { node = head[1], rank = rank, free = free, used = used }
      end
    end
  end
  return best and best.node
end

local function count_profile(profile, change)
  if redis.call('HINCRBY', PROFILES, profile, change) <= 0 then
    redis.call('HDEL', PROFILES, profile)
  end
end

-- The most agents that one node with these labels has: one that is registered, or that can be
-- launched. Where nothing is launched, somebody may start a node with any labels.
local function largest_total(class)
  local wanted = '0|' .. table.concat(parse(class).labels, ',')
  local largest = #limits.launchable == 0 and limits.largest_node or 0
  for _, list in ipairs({ redis.call('HKEYS', PROFILES), limits.launchable }) do
    for _, profile in ipairs(list) do
      if serves(profile, wanted) then largest = math.max(largest, parse(profile).agents) end
    end
  end
  return largest
end
