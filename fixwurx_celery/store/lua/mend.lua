--[[
purpose     Put back in place what an index has lost: the records are the truth, all else follows
            from them. Goes through the keys slice by slice, first for the bugs, which go back where
            their records say, then for the nodes, which are counted from the bugs they hold.
transition  bug: ASSIGNED | RUNNING -> PENDING, when its node is not there
args
  kind      text   bug or node: whose records are looked at
  cursor    text   0 begins a pass; a reply's cursor continues it
  most      int    keys of any kind in this slice, about
  seed      int
replies
  MENDED    the next cursor (0: the pass is complete), number of things put right; then assignments
            to ring
]]
math.randomseed(tonumber(seed))
local mended = 0

local function put_right(bug, node, what)
  mended = mended + 1
  emit('mended', bug, node, '', what)
end

-- Adds the member unless it is there.
local function restore(index, score, member, bug, node, what)
  if redis.call('ZADD', index, 'NX', int(score), member) == 1 then put_right(bug, node, what) end
end

local function mend_bug(bug)
  local f = redis.call('HMGET', bug_key(bug), 'state', 'class', 'rank', 'seat', 'node',
    'incarnation', 'finished_ms', 'wait_limit_ms', 'waited_ms', 'waiting_ms')
  local state, class, node = f[1], f[2], f[5]
  if not state then return end
  if f[8] and (state == 'PENDING' or state == 'ASSIGNED') then
    restore(PATIENCE, f[10] + f[8] - (f[9] or 0), bug, bug, '', 'patience')
  end
  if state == 'PENDING' then
    if not redis.call('ZSCORE', line_key(class), f[4]) and not redis.call('ZSCORE', DELAYED, bug) then
      join_line(bug, class, f[3], f[4])
      put_right(bug, '', 'line:' .. class)
    elseif redis.call('EXISTS', line_key(class)) == 1 and redis.call('SADD', LINES, class) == 1 then
      put_right(bug, '', 'lines')
    end
  elseif state == 'ASSIGNED' or state == 'RUNNING' or state == 'RESERVED' then
    local n = redis.call('HMGET', node_key(node), 'incarnation', 'state')
    if n[1] ~= f[6] or n[2] == 'OFFLINE' then
      put_right(bug, node, 'its node is not there')
      return give_back(bug, '', 'its node is not there')
    end
    if redis.call('HSETNX', held_key(node), bug, parse(class).agents) == 1 then
      put_right(bug, node, 'held:' .. node)
    end
    if state == 'ASSIGNED' then
      restore(OUTBOX, now_ms, bug, bug, node, 'outbox')
    else
      restore(LEASES, now_ms + limits.lease_ms, bug, bug, node, 'leases')
    end
  else
    restore(FINISHED, f[7] or now_ms, bug, bug, '', 'finished')
  end
end

-- Removes what it does not hold, and counts what it does.
local function mend_node(node)
  local key = node_key(node)
  local f = redis.call('HMGET', key, 'state', 'profile', 'free', 'bugs', 'kept_for', 'shelf',
    'drain_until_ms', 'incarnation')
  if not f[1] then return end
  if f[1] == 'OFFLINE' then return restore(GONE, now_ms, node, '', node, 'gone') end
  restore(NODES, now_ms + limits.heartbeat_ttl_ms, node, '', node, 'nodes')
  local used, count, held = 0, 0, redis.call('HGETALL', held_key(node))
  for i = 1, #held, 2 do
    local b = redis.call('HMGET', bug_key(held[i]), 'node', 'incarnation', 'state')
    if b[1] == node and b[2] == f[8] and (b[3] == 'ASSIGNED' or b[3] == 'RUNNING' or b[3] == 'RESERVED') then
      used, count = used + tonumber(held[i + 1]), count + 1
    else
      redis.call('HDEL', held_key(node), held[i])
      put_right(held[i], node, 'held:' .. node)
    end
  end
  local free = parse(f[2]).agents - used
  if free ~= tonumber(f[3]) or count ~= tonumber(f[4]) then
    redis.call('HSET', key, 'free', free, 'bugs', count)
    put_right('', node, 'free')
  end
  if f[5] ~= '' and redis.call('HGET', STARVING, f[5]) ~= node then
    redis.call('HSET', key, 'kept_for', '')
    put_right('', node, 'starving')
  end
  if f[1] == 'STOPPING' then
    local due_ms = tonumber(f[7]) > 0 and f[7] + limits.move_after_ms or NEVER_MS
    restore(DRAINING, due_ms, node, '', node, 'draining')
  end
  if f[6] ~= '' then
    local level = string.match(f[6], '%d+$')
    restore(levels_key(f[2]), level, level, '', node, 'levels:' .. f[2])
    if not redis.call('ZSCORE', shelf_key(f[6]), node) then put_right('', node, 'shelf:' .. f[6]) end
  end
  settle(node)
end

local function mend_profiles()
  local real, counted = {}, redis.call('HGETALL', PROFILES)
  for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
    local profile = redis.call('HGET', node_key(node), 'profile')
    if profile then real[profile] = (real[profile] or 0) + 1 end
  end
  for i = 1, #counted, 2 do
    if not real[counted[i]] then redis.call('HDEL', PROFILES, counted[i]) end
  end
  for profile, count in pairs(real) do
    if redis.call('HGET', PROFILES, profile) ~= tostring(count) then
      redis.call('HSET', PROFILES, profile, count)
      put_right('', '', 'profiles')
    end
  end
end

local next_cursor, names = records_of(kind, cursor, most)
for _, name in ipairs(names) do
  if kind == 'bug' then mend_bug(name) else mend_node(name) end
end
if kind == 'node' and next_cursor == '0' then mend_profiles() end
if mended > 0 then dispatch_waiting(64, strategy()) end
return answer('MENDED', next_cursor, mended)
