-- Bugs: into line, onto a node, off it again. A bug is in exactly one place at any time:
-- waiting (its class's line, or `delayed` while it backs off), on one node, or finished.

local function join_line(bug, class, rank, seat)
  redis.call('ZADD', line_key(class), rank, seat)
  redis.call('SADD', LINES, class)
end

local function leave_line(class, seat)
  redis.call('ZREM', line_key(class), seat)
  if redis.call('EXISTS', line_key(class)) == 0 then redis.call('SREM', LINES, class) end
end

-- Seats sort by the expected duration, longest first, then by arrival: 8 hex digits each.
local function bug_of(seat) return string.sub(seat, 18) end

local function head_of(class)
  local head = redis.call('ZRANGE', line_key(class), 0, 0, 'WITHSCORES')
  if not head[1] then return nil end
  return { class = class, seat = head[1], bug = bug_of(head[1]), rank = tonumber(head[2]) }
end

local function before(a, b)
  return a.rank < b.rank or (a.rank == b.rank and a.seat < b.seat)
end

-- The agents of `bug` go to `node`, by name. The caller has checked that they are free.
local function take(bug, class, node, state)
  local previous = tonumber(redis.call('HGET', bug_key(bug), 'epoch') or 0)
  local epoch = int(math.max(now_us, previous + 1))
  local key = node_key(node)
  local incarnation = redis.call('HGET', key, 'incarnation')
  redis.call('HSET', bug_key(bug), 'state', state, 'node', node, 'incarnation', incarnation,
    'epoch', epoch, 'assigned_ms', int(now_ms))
  redis.call('HSET', held_key(node), bug, parse(class).agents)
  redis.call('HINCRBY', key, 'free', -parse(class).agents)
  redis.call('HINCRBY', key, 'bugs', 1)
  redis.call('HSET', key, 'used', next_sequence())
  emit(state == 'RESERVED' and 'bug_reserved' or 'bug_assigned', bug, node, epoch)
  return epoch
end

-- Assignments made by this script, as the caller needs them to ring: node, bug, epoch, ...
local assigned = {}

local function assign(bug, class, node)
  local epoch = take(bug, class, node, 'ASSIGNED')
  redis.call('ZADD', OUTBOX, int(now_ms + limits.ring_after_ms), bug)
  assigned[#assigned + 1] = node
  assigned[#assigned + 1] = bug
  assigned[#assigned + 1] = epoch
end

-- Frees what `bug` holds on its node. Harmless when it holds nothing.
local function let_go(bug, node)
  redis.call('ZREM', OUTBOX, bug)
  redis.call('ZREM', LEASES, bug)
  local agents = redis.call('HGET', held_key(node), bug)
  if not agents then return end
  redis.call('HDEL', held_key(node), bug)
  if redis.call('EXISTS', node_key(node)) == 1 then
    redis.call('HINCRBY', node_key(node), 'free', agents)
    redis.call('HINCRBY', node_key(node), 'bugs', -1)
  end
end

local function end_starving(class)
  local node = redis.call('HGET', STARVING, class)
  if not node then return nil end
  redis.call('HDEL', STARVING, class)
  if redis.call('EXISTS', node_key(node)) == 1 then
    redis.call('HSET', node_key(node), 'kept_for', '')
  end
  return node
end

-- A class whose head has waited past the age limit keeps a node for itself: the node takes
-- nothing else until the head fits. One node a class, and one class a node.
local function keep_for_starving(node, head)
  if redis.call('HEXISTS', STARVING, head.class) == 1 then return false end
  local since = tonumber(redis.call('HGET', bug_key(head.bug), 'waiting_ms') or now_ms)
  if now_ms - since < limits.starve_after_ms then return false end
  redis.call('HSET', STARVING, head.class, node)
  redis.call('HSET', node_key(node), 'kept_for', head.class)
  emit('node_kept', head.bug, node, '', head.class)
  return true
end

-- Hands the node the best heads of all lines it can serve, until nothing fits.
local function fill(node)
  local f = redis.call('HMGET', node_key(node), 'state', 'profile', 'kept_for', 'health', 'bugs', 'probe_at')
  if f[1] ~= 'READY' then return settle(node) end
  local profile, kept_for = f[2], f[3]
  if kept_for ~= '' and redis.call('EXISTS', line_key(kept_for)) == 0 then
    end_starving(kept_for)
    kept_for = ''
  end
  local taking = not ejected(node, tonumber(f[4]), tonumber(f[5]), tonumber(f[6]))
  while taking do
    local free = tonumber(redis.call('HGET', node_key(node), 'free'))
    local best = nil
    if free <= 0 then break end
    local classes = kept_for ~= '' and { kept_for } or redis.call('SMEMBERS', LINES)
    for _, class in ipairs(classes) do
      if serves(profile, class) then
        local head = head_of(class)
        if parse(class).agents <= free then
          if not best or before(head, best) then best = head end
        elseif kept_for == '' and keep_for_starving(node, head) then
          best = nil
          break
        end
      end
    end
    if not best then break end
    leave_line(best.class, best.seat)
    assign(best.bug, best.class, node)
    local kept = end_starving(best.class)
    if kept == node then
      kept_for = ''
    elseif kept then
      settle(kept) -- another node was kept for this class: it may serve all again
    end
    -- A node that is being probed takes one bug, and more when that one succeeded.
    if tonumber(f[4]) <= EJECTION_HEALTH and redis.call('SISMEMBER', EJECTED, node) == 1 then break end
  end
  settle(node)
end

-- Assigns up to `most` waiting bugs, the best heads first, wherever there is room.
local function dispatch_waiting(most, by)
  local open = {}
  for _, class in ipairs(redis.call('SMEMBERS', LINES)) do open[class] = true end
  local count = 0
  while count < most do
    local best = nil
    for class in pairs(open) do
      local head = head_of(class)
      if head and (not best or before(head, best)) then best = head end
    end
    if not best then break end
    local node = choose(best.class, by)
    if node then
      leave_line(best.class, best.seat)
      assign(best.bug, best.class, node)
      local kept = end_starving(best.class)
      if kept then settle(kept, by) end
      settle(node, by)
      count = count + 1
      if redis.call('EXISTS', line_key(best.class)) == 0 then open[best.class] = nil end
    else
      open[best.class] = nil
    end
  end
  return count
end

-- The bug has ended, in one of the terminal states, with its one outcome.
local function conclude(bug, state, outcome)
  local run = redis.call('HGET', bug_key(bug), 'runs')
  redis.call('HSET', bug_key(bug), 'state', state, 'outcome', outcome, 'finished_ms', int(now_ms))
  redis.call('HDEL', bug_key(bug), 'checkpoint', 'cancelling')
  redis.call('ZADD', FINISHED, int(now_ms), bug)
  if run then redis.call('HINCRBY', STATS, 'runs', 1) end
  redis.call('HINCRBY', STATS, state, 1)
end

-- Takes the bug off its node after something other than its engine ended the run. `charge` names
-- the counter that pays: `attempts` (its own process died), `losses` (its node did), or ''.
local function give_back(bug, charge, reason)
  local key = bug_key(bug)
  local f = redis.call('HMGET', key, 'class', 'node', 'epoch', 'rank', 'seat', 'cancelling', 'state')
  let_go(bug, f[2])
  emit('bug_given_back', bug, f[2], f[3], reason)
  if f[7] == 'RESERVED' then
    redis.call('DEL', key)
    return 'RELEASED'
  end
  if f[6] then
    conclude(bug, 'CANCELLED', cjson.encode({ outcome = 'CANCELLED', reason = 'cancelled' }))
    emit('bug_cancelled', bug, f[2], f[3])
    return 'CANCELLED'
  end
  local count = 0
  if charge ~= '' then
    count = redis.call('HINCRBY', key, charge, 1)
    local history = redis.call('HGET', key, 'history')
    local list = history and cjson.decode(history) or {}
    list[#list + 1] = { at_ms = now_ms, charge = charge, node = f[2], reason = reason }
    redis.call('HSET', key, 'history', cjson.encode(list))
    local most = charge == 'attempts' and limits.max_attempts or limits.max_losses
    if count >= most then
      conclude(bug, 'ESCALATED', cjson.encode({
        outcome = 'ERROR', reason = reason, history = list,
        summary = 'given up after ' .. count .. ' ' .. charge,
      }))
      emit('bug_escalated', bug, f[2], f[3], reason)
      return 'ESCALATED'
    end
  end
  redis.call('HSET', key, 'state', 'PENDING', 'node', '', 'incarnation', '', 'waiting_ms', int(now_ms))
  if count <= 1 then
    join_line(bug, f[1], f[4], f[5])
  else
    local wait_ms = limits.backoff_ms * math.min(64, 2 ^ (count - 2))
    redis.call('ZADD', DELAYED, int(now_ms + wait_ms), bug)
  end
  return 'PENDING'
end

-- Takes the node out of service: off its shelf, out of the profiles, its bugs given back.
local function lose(node, charge, reason, state)
  local f = redis.call('HMGET', node_key(node), 'profile', 'shelf', 'kept_for')
  if not f[1] then return end
  redis.call('ZREM', NODES, node)
  if f[2] ~= '' then redis.call('ZREM', shelf_key(f[2]), node) end
  if f[3] ~= '' then redis.call('HDEL', STARVING, f[3]) end
  redis.call('SREM', EJECTED, node)
  count_profile(f[1], -1)
  for _, bug in ipairs(redis.call('HKEYS', held_key(node))) do give_back(bug, charge, reason) end
  redis.call('DEL', held_key(node))
  redis.call('HSET', node_key(node), 'state', state, 'shelf', '', 'kept_for', '', 'bugs', 0, 'free', 0)
  redis.call('ZADD', GONE, int(now_ms), node)
  emit('node_lost', '', node, '', reason)
end
