--[[
purpose     Bring a node into service, empty and ready, and give it what waits.
transition  node: none | OFFLINE -> READY
args
  node        text
  incarnation text   this life of the node
  profile     text   total agents and labels, `9|gpu,python`
  facts       json   hostname, pid, cpu_cores, memory_mb, started_ms: shown, never decided on
  seed        int
replies
  REGISTERED  and the node's first assignments, to ring: node, bug, epoch, ...
  DUPLICATE   incarnation of the live node that has this name
]]
math.randomseed(tonumber(seed))
local key = node_key(node)
local f = redis.call('HMGET', key, 'incarnation', 'state')
if f[1] == incarnation and f[2] ~= 'OFFLINE' then return { 'REGISTERED' } end
if f[1] and f[2] ~= 'OFFLINE' then
  -- A live process listens on its life's channel. Without a listener, the old life is over, however
  -- fresh its last heartbeat.
  local deadline = tonumber(redis.call('ZSCORE', NODES, node) or 0)
  if listeners(node, f[1]) > 0 and deadline > now_ms then return { 'DUPLICATE', f[1] } end
  lose(node, 'losses', 'node came back under a new incarnation', 'OFFLINE')
end
if not f[1] then
  local reason = 'the record of its node was deleted'
  give_back_all(node, '', reason) -- nothing, as a rule
  if redis.call('ZREM', NODES, node) == 1 then emit('node_lost', '', node, '', reason) end
end
redis.call('DEL', key)
redis.call('HSET', key, 'incarnation', incarnation, 'profile', profile, 'facts', facts,
  'state', 'READY', 'free', parse(profile).agents, 'bugs', 0, 'used', next_sequence(),
  'health', 1, 'health_at', int(now_ms), 'response_s', 0, 'probe_at', 0, 'kept_for', '', 'shelf', '',
  'registered_ms', int(now_ms), 'heartbeat_ms', int(now_ms), 'drain_until_ms', 0, 'deaf', 0,
  'idle_ms', int(now_ms))
redis.call('ZADD', NODES, int(now_ms + limits.heartbeat_ttl_ms), node)
redis.call('ZREM', GONE, node)
redis.call('ZREM', QUEUES, node)
hear(node, incarnation)
count_profile(profile, 1)
note_boot(node)
emit('node_registered', '', node, '', incarnation .. ' ' .. profile)
fill(node)
dispatch_waiting(64, strategy())
return answer('REGISTERED')
