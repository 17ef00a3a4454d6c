--[[
purpose     Reserve agents for a bug that the caller runs itself, or refuse: never wait.
transition  bug: none -> RESERVED
args
  bug       text
  class     text
  holder    text   the calling process; its lease must be renewed
  seed      int
replies
  RESERVED  node, epoch (also when the same holder reserved it before)
  HELD      state: the bug is known, and not this holder's
  NO_ROOM   no ready node has the agents now
]]
math.randomseed(tonumber(seed))
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'node', 'epoch', 'runner')
if f[1] == 'RESERVED' and f[4] == holder then return { 'RESERVED', f[2], f[3] } end
if f[1] then return { 'HELD', f[1] } end
-- Those who wait come first.
if redis.call('EXISTS', line_key(class)) == 1 then return { 'NO_ROOM' } end
local node = choose(class, strategy())
if not node then return { 'NO_ROOM' } end
redis.call('HSET', key, 'class', class, 'runner', holder, 'spec', '{}')
local epoch = take(bug, class, node, 'RESERVED')
redis.call('ZADD', LEASES, int(now_ms + limits.lease_ms), bug)
settle(node)
return { 'RESERVED', node, epoch }
