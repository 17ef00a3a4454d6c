--[[
purpose     One consistent view of the cluster.
transition  none
args
  most      int    nodes at most; 0 for totals alone
  progress  int    1: of each bug that a node holds also its state, its phase, and since when it runs
            there (or is the node's, as long as it does not run)
replies
  SNAPSHOT  a JSON document: now_ms, strategy, waiting by class, delayed, finished, stats, and for
            each node its record with the bugs it holds; launches
]]
local function record(key)
  local flat, out = redis.call('HGETALL', key), {}
  for i = 1, #flat, 2 do out[flat[i]] = flat[i + 1] end
  return out
end
local nodes = {}
local names = {}
for _, set in ipairs({ NODES, GONE }) do
  local room = tonumber(most) - #names
  if room > 0 then
    for _, node in ipairs(redis.call('ZRANGE', set, 0, room - 1)) do names[#names + 1] = node end
  end
end
for _, node in ipairs(names) do
  local entry = record(node_key(node))
  if entry.profile then
    entry.worker_id = node
    entry.held = record(held_key(node))
    if progress == '1' then
      entry.progress = {}
      for bug in pairs(entry.held) do
        local f = redis.call('HMGET', bug_key(bug), 'state', 'phase', 'started_ms', 'assigned_ms')
        local since_ms = f[1] == 'RUNNING' and f[3] or f[4]
        if f[1] then entry.progress[bug] = { f[1], f[2] or '', since_ms or '' } end
      end
    end
    nodes[#nodes + 1] = entry
  end
end
local lines = {}
for _, class in ipairs(redis.call('SMEMBERS', LINES)) do
  local head = head_of(class)
  if head then
    lines[#lines + 1] = {
      class = class, waiting = redis.call('ZCARD', line_key(class)),
      head = head.bug, head_since_ms = redis.call('HGET', bug_key(head.bug), 'waiting_ms'),
    }
  end
end
return { 'SNAPSHOT', cjson.encode({
  now_ms = now_ms, strategy = strategy(), nodes = nodes, lines = lines, stats = record(STATS),
  live_nodes = redis.call('ZCARD', NODES), delayed = redis.call('ZCARD', DELAYED),
  finished = redis.call('ZCARD', FINISHED), launches = record(LAUNCHES),
}) }
