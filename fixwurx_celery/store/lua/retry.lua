--[[
purpose     Run a bug again that has ended.
transition  bug: DONE | ESCALATED | CANCELLED -> ASSIGNED | PENDING
args
  bug       text
  seed      int
replies
  PENDING   and what is handed out now, to ring: node, bug, epoch, ...
  LIVE      state: it has not ended
  UNKNOWN
]]
math.randomseed(tonumber(seed))
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'class', 'rank', 'seat', 'wait_limit_ms', 'epoch')
if not f[1] then return { 'UNKNOWN' } end
if f[1] ~= 'DONE' and f[1] ~= 'ESCALATED' and f[1] ~= 'CANCELLED' then return { 'LIVE', f[1] } end
redis.call('ZREM', FINISHED, bug)
redis.call('HINCRBY', STATS, f[1], -1)
redis.call('HDEL', key, 'outcome', 'started_ms', 'finished_ms', 'attempts', 'losses', 'history', 'checkpoint',
  'phase', 'runner', 'waited_ms', 'setup_ms', 'run_ms', 'verify_ms', 'since_ms', 'printed_ms')
begin_waiting(bug, 0, f[5])
-- Its old place is taken: it goes behind those who wait with its priority.
local rank = rank_of(priority_of(f[3]), next_batch())
local took = tonumber(redis.call('GET', took_key(bug)) or 0)
local seat = seat_of(bug, took)
if took == 0 then seat = string.sub(f[4], 1, 8) .. string.sub(seat, 9) end
redis.call('HSET', key, 'rank', rank, 'seat', seat)
join_line(bug, f[2], rank, seat)
emit('bug_retried', bug, '', f[6] or '', f[2])
dispatch_waiting(16, strategy())
return answer('PENDING')
