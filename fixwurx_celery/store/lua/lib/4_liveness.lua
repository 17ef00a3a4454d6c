-- Liveness: who is heard, and what silence is worth.
-- A node that dies drops its connection, and with it the subscription to its life's channel: that
-- tells at once. A node that is frozen or cut off keeps its connection: that only its heartbeats
-- tell. Either kind of silence counts only while somebody could have heard.

local function listeners(node, incarnation)
  return redis.call('PUBSUB', 'NUMSUB', life_channel(node, incarnation))[2]
end

-- From now on the loss of this node's connection is the loss of the node.
local function hear(node, incarnation)
  if redis.call('HGET', HEARD, node) ~= incarnation and listeners(node, incarnation) > 0 then
    redis.call('HSET', HEARD, node, incarnation)
  end
  redis.call('ZREM', UNHEARD, node)
end

-- The nodes whose connection dropped and did not come back within the grace time.
local function hung_up()
  local flat, gone = redis.call('HGETALL', HEARD), {}
  local some_are_unheard = redis.call('EXISTS', UNHEARD) == 1
  for first = 1, #flat, 2000 do
    local channels = {}
    for i = first, math.min(first + 1999, #flat), 2 do
      channels[#channels + 1] = life_channel(flat[i], flat[i + 1])
    end
    local counts = redis.call('PUBSUB', 'NUMSUB', unpack(channels))
    for i = 1, #channels do
      local node = flat[first + 2 * (i - 1)]
      if counts[2 * i] == 0 then
        redis.call('ZADD', UNHEARD, 'NX', int(now_ms), node)
        some_are_unheard = true
      elseif some_are_unheard then
        redis.call('ZREM', UNHEARD, node)
      end
    end
  end
  if not some_are_unheard then return gone end
  return redis.call('ZRANGEBYSCORE', UNHEARD, '-inf', int(now_ms - limits.hang_up_ms))
end

local function postpone(index, due_ms)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. int(due_ms))) do
    redis.call('ZADD', index, int(due_ms), member)
  end
end

-- After the server was away, or stood still, nobody's silence means anything yet: all get their
-- whole time anew, and what was rung is rung again as if for the first time, for the broker may have
-- lost it.
local function forgive_silence()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local f = redis.call('HMGET', SERVER, 'run_id', 'swept_ms')
  local silent_ms = f[2] and now_ms - f[2] or 0
  redis.call('HSET', SERVER, 'run_id', run_id, 'swept_ms', int(now_ms))
  local is_another = f[1] and f[1] ~= run_id
  if not is_another and silent_ms <= limits.heartbeat_ttl_ms / 3 then return end
  if is_another then redis.call('DEL', HEARD) end
  redis.call('DEL', UNHEARD)
  postpone(NODES, now_ms + limits.heartbeat_ttl_ms)
  postpone(LEASES, now_ms + limits.lease_ms)
  for _, bug in ipairs(redis.call('ZRANGE', OUTBOX, 0, -1)) do
    redis.call('ZADD', OUTBOX, int(now_ms), bug)
    if redis.call('HGET', bug_key(bug), 'state') == 'ASSIGNED' then
      redis.call('HSET', bug_key(bug), 'assigned_ms', int(now_ms))
    end
  end
  redis.call('HSET', SERVER, 'forgiven_ms', int(now_ms))
  emit('silence_forgiven', '', '', '', is_another and 'another server' or int(silent_ms))
end

-- Whether a heartbeat comes much later than it should, the last one having come at `last_ms`: then
-- the node or its way here is in trouble, unless it was the server that was.
local function is_late(last_ms)
  local f = redis.call('HMGET', SERVER, 'swept_ms', 'forgiven_ms')
  if now_ms - (f[1] or now_ms) > limits.heartbeat_ttl_ms / 3 then return false end
  return now_ms - math.max(last_ms, tonumber(f[2] or 0)) > limits.heartbeat_ttl_ms * 0.6
end
