--[[
purpose     Renew the lease of a running bug, and tell its phase, checkpoint and log.
transition  bug: RUNNING -> RUNNING
args
  bug         text
  node        text
  incarnation text
  epoch       int
  runner      text
  phase       text   empty: unchanged
  checkpoint  text   empty: unchanged
  log         text   what the attempt printed since the last report; empty: nothing
  call        text   this one report; a log that is sent twice is kept once
replies
  CONTINUE
  CANCELLED   stop, and finish as cancelled
  MOVED       stop, and give the bug back uncharged: the node drains, and its grace time is over
  STALE       somebody else's by now: stop, and write nothing
]]
local key = bug_key(bug)
local f = redis.call('HMGET', key, 'state', 'node', 'incarnation', 'epoch', 'runner', 'phase', 'cancelling', 'runs', 'logged')
if f[1] ~= 'RUNNING' or f[2] ~= node or f[3] ~= incarnation or f[4] ~= epoch or f[5] ~= runner then
  tally('stale:report')
  return { 'STALE' }
end
tally('report')
redis.call('ZADD', LEASES, int(now_ms + limits.lease_ms), bug)
if checkpoint ~= '' then redis.call('HSET', key, 'checkpoint', checkpoint) end
if phase ~= '' and phase ~= f[6] then
  if clock_of(phase) ~= clock_of(f[6]) then
    stop_clock(bug)
    redis.call('HSET', key, 'since_ms', int(now_ms))
  end
  redis.call('HSET', key, 'phase', phase)
  emit('bug_phase', bug, node, epoch, phase)
end
if log ~= '' and call ~= f[9] then
  redis.call('HSET', key, 'logged', call, 'printed_ms', int(now_ms))
  redis.call('RPUSH', log_key(bug, f[8]), log)
  redis.call('LTRIM', log_key(bug, f[8]), -limits.log_chunks, -1)
  redis.call('PEXPIRE', log_key(bug, f[8]), limits.keep_finished_ms)
end
if f[7] then return { 'CANCELLED' } end
local drain_until_ms = tonumber(redis.call('HGET', node_key(node), 'drain_until_ms') or 0)
if drain_until_ms > 0 and now_ms >= drain_until_ms then return { 'MOVED' } end
return { 'CONTINUE' }
