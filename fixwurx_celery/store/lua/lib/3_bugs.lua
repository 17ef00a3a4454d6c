-- Bugs: into line, onto a node, off it again. A bug is in exactly one place at any time:
-- waiting (its class's line, or `delayed` while it backs off), on one node, or finished.

local function join_line(bug, class, rank, seat)
  redis.call('ZADD', line_key(class), rank, seat)
  redis.call('SADD', LINES, class)
end

-- A place in line: by priority, then by the submission it came with.
local function rank_of(priority, batch) return int(batch - priority * BILLION * 4) end
local function priority_of(rank) return -math.floor(tonumber(rank) / (BILLION * 4)) end
local function batch_of(rank) return tonumber(rank) + priority_of(rank) * BILLION * 4 end
local function next_batch() return redis.call('HINCRBY', STATS, 'batch', 1) end

-- Within those: the longest expected first, then by arrival; 8 hex digits each.
local function seat_of(bug, expected_ms)
  local tenths = math.max(0, math.min(4294967295, math.floor(expected_ms / 100)))
  return string.format('%08x%08x:%s', 4294967295 - tenths, next_sequence() % 4294967296, bug)
end

local function leave_line(class, seat)
  redis.call('ZREM', line_key(class), seat)
  if redis.call('EXISTS', line_key(class)) == 0 then redis.call('SREM', LINES, class) end
end

local function bug_of(seat) return string.sub(seat, 18) end

local function head_of(class)
  local head = redis.call('ZRANGE', line_key(class), 0, 0, 'WITHSCORES')
  if not head[1] then return nil end
  return { class = class, seat = head[1], bug = bug_of(head[1]), rank = tonumber(head[2]) }
end

local function before(a, b)
  return a.rank < b.rank or (a.rank == b.rank and a.seat < b.seat)
end

-- Takes the head out of its line. False when it is no waiting bug (its record was deleted by hand):
-- then it was nothing but a name.
local function call_up(head)
  leave_line(head.class, head.seat)
  return redis.call('HGET', bug_key(head.bug), 'state') == 'PENDING'
end

-- The agents of `bug` go to `node`, by name. The caller has checked that they are free.
local function take(bug, class, node, state)
  local epoch = next_epoch()
  local key = node_key(node)
  local incarnation = redis.call('HGET', key, 'incarnation')
  redis.call('HSET', bug_key(bug), 'state', state, 'node', node, 'incarnation', incarnation,
    'epoch', epoch, 'assigned_ms', int(now_ms))
  redis.call('HSET', held_key(node), bug, parse(class).agents)
  redis.call('HINCRBY', key, 'free', -parse(class).agents)
  redis.call('HINCRBY', key, 'bugs', 1)
  redis.call('HSET', key, 'used', next_sequence())
  emit(state == 'RESERVED' and 'bug_reserved' or 'bug_assigned', bug, node, epoch, class)
  return epoch
end

-- Assignments made by this script: node, bug, epoch, ...
local assigned = {}

-- Rings for the assignments in this same step where the broker is this server; the caller then has
-- nothing left to ring.
local function ring()
  if bell_json == '' then return end
  local bell = cjson.decode(bell_json)
  for i = 1, #assigned, 3 do
    local words = { node = assigned[i], bug = assigned[i + 1], epoch = assigned[i + 2] }
    redis.call('LPUSH', (string.gsub(bell.queue, '@(%l+)@', words)),
      (string.gsub(bell.message, '@(%l+)@', words)))
  end
  assigned = {}
end

-- Puts the assignments that the caller must ring behind the script's own reply.
-- (`unpack` would end at some thousands.)
local function with_assigned(reply)
  if #assigned > 0 then ring() end
  for _, value in ipairs(assigned) do reply[#reply + 1] = value end
  return reply
end

local function answer(...) return with_assigned({ ... }) end

local function ring_again(bug, node, epoch)
  for _, value in ipairs({ node, bug, epoch }) do assigned[#assigned + 1] = value end
end

local function assign(bug, class, node)
  local epoch = take(bug, class, node, 'ASSIGNED')
  redis.call('ZADD', OUTBOX, int(now_ms + limits.ring_after_ms), bug)
  ring_again(bug, node, epoch)
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
    if redis.call('HINCRBY', node_key(node), 'bugs', -1) == 0 then
      redis.call('HSET', node_key(node), 'idle_ms', int(now_ms))
    end
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

-- Whether the class of this head may keep a node for itself: its head has waited past the age
-- limit. One node a class, and one class a node.
local function starves(head)
  if redis.call('HEXISTS', STARVING, head.class) == 1 then return false end
  local since = tonumber(redis.call('HGET', bug_key(head.bug), 'waiting_ms') or now_ms)
  return now_ms - since >= limits.starve_after_ms
end

-- The node takes nothing else until the head fits.
local function keep(node, head)
  redis.call('HSET', STARVING, head.class, node)
  redis.call('HSET', node_key(node), 'kept_for', head.class)
  emit('node_kept', head.bug, node, '', head.class)
end

local function better(head, best)
  if head and (not best or before(head, best)) then return head end
  return best
end

-- Hands the node the best heads of all lines it can serve, until nothing fits.
local function fill(node)
  local f = redis.call('HMGET', node_key(node), 'state', 'profile', 'kept_for', 'health', 'bugs', 'probe_at')
  if f[1] ~= 'READY' then return settle(node) end
  local profile, kept_for = f[2], f[3]
  local taking = not ejected(node, tonumber(f[4]), tonumber(f[5]), tonumber(f[6]))
  if kept_for ~= '' and (not taking or redis.call('EXISTS', line_key(kept_for)) == 0) then
    end_starving(kept_for)
    kept_for = ''
  end
  while taking do
    local free = tonumber(redis.call('HGET', node_key(node), 'free'))
    local best, hungry = nil, nil
    if free <= 0 then break end
    local classes = kept_for ~= '' and { kept_for } or redis.call('SMEMBERS', LINES)
    for _, class in ipairs(classes) do
      if serves(profile, class) then
        local head = head_of(class)
        if parse(class).agents <= free then
          best = better(head, best)
        elseif kept_for == '' and head and starves(head) then
          hungry = better(head, hungry)
        end
      end
    end
    if hungry then
      keep(node, hungry)
      break
    end
    if not best then break end
    if call_up(best) then assign(best.bug, best.class, node) end
    local kept = end_starving(best.class)
    if kept == node then
      kept_for = ''
    elseif kept then
      fill(kept) -- another node was kept for this class: it may serve all again
    end
    -- A node that is being probed takes one bug, and more when that one succeeded.
    if redis.call('SISMEMBER', EJECTED, node) == 1 then break end
  end
  settle(node)
end

-- Takes a waiting bug out of its line. A node that was kept for it serves all again.
local function stop_waiting(bug, class, seat)
  leave_line(class, seat)
  redis.call('ZREM', DELAYED, bug)
  if redis.call('EXISTS', line_key(class)) == 0 then
    local kept = end_starving(class)
    if kept then fill(kept) end
  end
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
      if call_up(best) then assign(best.bug, best.class, node) end
      settle(node, by)
      local kept = end_starving(best.class)
      if kept then fill(kept) end
      count = count + 1
      if redis.call('EXISTS', line_key(best.class)) == 0 then open[best.class] = nil end
    else
      open[best.class] = nil
    end
  end
  return count
end

-- The bug has ended, in one of the terminal states, with its one outcome, whose verdict is counted.
local function conclude(bug, state, outcome, verdict)
  stop_clock(bug)
  local run = redis.call('HGET', bug_key(bug), 'runs')
  redis.call('HSET', bug_key(bug), 'state', state, 'outcome', outcome, 'finished_ms', int(now_ms))
  redis.call('HDEL', bug_key(bug), 'checkpoint', 'cancelling')
  redis.call('ZADD', FINISHED, int(now_ms), bug)
  if run then redis.call('HINCRBY', STATS, 'runs', 1) end
  redis.call('HINCRBY', STATS, state, 1)
  tally('ended:' .. state .. ':' .. verdict)
end

-- Ends a bug that has waited for as long as it may; answers the node that it was on its way to.
local function give_up_waiting(bug)
  local f = redis.call('HMGET', bug_key(bug), 'state', 'wait_limit_ms', 'class', 'seat', 'node', 'epoch')
  if not f[2] or (f[1] ~= 'PENDING' and f[1] ~= 'ASSIGNED') then
    redis.call('ZREM', PATIENCE, bug)
    return nil
  end
  local reason = string.format('its waiting limit of %g s passed before a node started it', f[2] / 1000)
  local outcome = cjson.encode({ outcome = 'TIMED_OUT', reason = reason, clock = 'waiting' })
  conclude(bug, 'ESCALATED', outcome, 'TIMED_OUT')
  emit('bug_escalated', bug, f[5] or '', f[6] or '', reason)
  if f[1] == 'ASSIGNED' then
    let_go(bug, f[5])
    return f[5]
  end
  stop_waiting(bug, f[3], f[4])
end

-- Takes the bug off its node after something other than its engine ended the run. `charge` names
-- the counter that pays: `attempts` (its own process died), `losses` (its node did), or ''.
local function give_back(bug, charge, reason)
  local key = bug_key(bug)
  local f = redis.call('HMGET', key, 'class', 'node', 'epoch', 'rank', 'seat', 'cancelling', 'state')
  if not f[7] then return 'UNKNOWN' end
  let_go(bug, f[2])
  if f[7] == 'RESERVED' then
    redis.call('DEL', key)
    emit('bug_released', bug, f[2], f[3], reason)
    return 'RELEASED'
  end
  if f[6] then
    conclude(bug, 'CANCELLED', cjson.encode({ outcome = 'CANCELLED', reason = 'cancelled' }), 'CANCELLED')
    emit('bug_cancelled', bug, f[2], f[3], reason)
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
      }), 'ERROR')
      emit('bug_escalated', bug, f[2], f[3], reason)
      return 'ESCALATED'
    end
  end
  stop_clock(bug)
  begin_waiting(bug, unpack(redis.call('HMGET', key, 'waited_ms', 'wait_limit_ms')))
  emit('bug_given_back', bug, f[2], f[3], reason)
  tally('given_back:' .. (charge == '' and 'none' or charge))
  if count <= 1 then
    join_line(bug, f[1], f[4], f[5])
  else
    local wait_ms = limits.backoff_ms * math.min(64, 2 ^ (count - 2))
    redis.call('ZADD', DELAYED, int(now_ms + wait_ms), bug)
  end
  return 'PENDING'
end

local function give_back_all(node, charge, reason)
  for _, bug in ipairs(redis.call('HKEYS', held_key(node))) do give_back(bug, charge, reason) end
  redis.call('DEL', held_key(node))
end

-- Takes the node out of service: off its shelf, out of the profiles, its bugs given back. False when
-- it was not in service.
local function lose(node, charge, reason, state)
  local f = redis.call('HMGET', node_key(node), 'profile', 'shelf', 'kept_for', 'state')
  redis.call('ZREM', NODES, node)
  redis.call('HDEL', HEARD, node)
  redis.call('ZREM', UNHEARD, node)
  redis.call('ZREM', DRAINING, node)
  if not f[1] or f[4] == 'OFFLINE' then return false end
  if f[2] ~= '' then unshelve(node, f[2]) end
  if f[3] ~= '' then redis.call('HDEL', STARVING, f[3]) end
  redis.call('SREM', EJECTED, node)
  for _, other in ipairs(redis.call('SMEMBERS', EJECTED)) do settle(other) end -- half of fewer
  count_profile(f[1], -1)
  give_back_all(node, charge, reason)
  redis.call('HSET', node_key(node), 'state', state, 'shelf', '', 'kept_for', '', 'bugs', 0, 'free', 0)
  redis.call('ZADD', GONE, int(now_ms), node)
  redis.call('ZADD', QUEUES, int(now_ms), node)
  emit('node_lost', '', node, '', reason)
  tally('node_gone:' .. (charge == '' and 'ended' or 'lost'))
  return true
end
