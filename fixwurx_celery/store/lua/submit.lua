--[[
purpose     Take in bugs: each is assigned at once, or waits in its class's line.
transition  bug: none -> ASSIGNED | PENDING
args
  bugs      json   list of [id, class, priority, expected_ms (0: unknown), spec], and how long it may
                   wait in ms where that is limited
  batch     int    0 opens a batch with the first bug taken; a reply's number continues it, so that
                   one submission of many calls is ordered as a whole
  seed      int    feeds the RANDOM strategy
replies
  SUBMITTED batch, then the number of bugs and a (status, detail) pair for each in the order given:
            ASSIGNED node | PENDING | KNOWN state | FULL bound | CLASSES bound |
            UNSATISFIABLE largest; then the assignments to ring
]]
math.randomseed(tonumber(seed))
local by = strategy()
batch = tonumber(batch)
local list = cjson.decode(bugs)
local results, fresh = {}, {}
local waiting_room, classes = limits.max_waiting - redis.call('ZCARD', DELAYED), 0
for _, class in ipairs(redis.call('SMEMBERS', LINES)) do
  waiting_room = waiting_room - redis.call('ZCARD', line_key(class))
  classes = classes + 1
end
local largest = {}

for i, entry in ipairs(list) do
  local id, class = entry[1], entry[2]
  local known = redis.call('HMGET', bug_key(id), 'state', 'node', 'epoch')
  if not largest[class] then largest[class] = largest_total(class) end
  if known[1] then
    results[i] = { 'KNOWN', known[1] }
    if known[1] == 'ASSIGNED' then ring_again(id, known[2], known[3]) end
  elseif parse(class).agents > largest[class] then
    results[i] = { 'UNSATISFIABLE', tostring(largest[class]) }
    tally('refused:UNSATISFIABLE')
  else
    local expected = entry[4]
    if expected == 0 then expected = tonumber(redis.call('GET', took_key(id)) or 0) end
    fresh[#fresh + 1] = { at = i, id = id, class = class, priority = entry[3], expected = expected, spec = entry[5], wait_limit = entry[6] }
  end
end

-- Those submitted together start by priority, then longest expected first, then as given.
table.sort(fresh, function(a, b)
  if a.priority ~= b.priority then return a.priority > b.priority end
  if a.expected ~= b.expected then return a.expected > b.expected end
  return a.at < b.at
end)

local nodes_full = {}
for _, bug in ipairs(fresh) do
  local class = bug.class
  if redis.call('EXISTS', bug_key(bug.id)) == 1 then -- twice in one call
    results[bug.at] = { 'KNOWN', redis.call('HGET', bug_key(bug.id), 'state') }
  else
    local line_is_empty = redis.call('EXISTS', line_key(class)) == 0
    local node = nil
    if line_is_empty and not nodes_full[class] then
      node = choose(class, by)
      if not node then nodes_full[class] = true end
    end
    if not node and waiting_room <= 0 then
      results[bug.at] = { 'FULL', int(limits.max_waiting) }
      tally('refused:FULL')
    elseif not node and line_is_empty and classes >= limits.max_classes then
      results[bug.at] = { 'CLASSES', int(limits.max_classes) }
      tally('refused:CLASSES')
    else
      if batch == 0 then batch = next_batch() end
      local rank = rank_of(bug.priority, batch)
      local seat = seat_of(bug.id, bug.expected)
      redis.call('HSET', bug_key(bug.id), 'state', 'PENDING', 'class', class, 'spec', bug.spec,
        'rank', rank, 'seat', seat, 'waiting_ms', int(now_ms))
      if bug.wait_limit then
        redis.call('HSET', bug_key(bug.id), 'wait_limit_ms', int(bug.wait_limit))
        redis.call('ZADD', PATIENCE, int(now_ms + bug.wait_limit), bug.id)
      end
      emit('bug_submitted', bug.id, '', '', class)
      if node then
        assign(bug.id, class, node)
        settle(node, by)
        results[bug.at] = { 'ASSIGNED', node }
      else
        join_line(bug.id, class, rank, seat)
        if line_is_empty then classes = classes + 1 end
        waiting_room = waiting_room - 1
        results[bug.at] = { 'PENDING', '' }
      end
    end
  end
end

local reply = { 'SUBMITTED', int(batch), #list }
for _, result in ipairs(results) do
  reply[#reply + 1] = result[1]
  reply[#reply + 1] = result[2]
end
return with_assigned(reply)
