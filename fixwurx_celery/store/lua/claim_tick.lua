--[[
purpose     Let one caller carry out a periodic tick, however many beats send it.
transition  none
args
  name      text
  holder    text
  period_ms int
replies
  CLAIMED   term: higher than that of any earlier tick of this name
  TAKEN     term: somebody else carries out this period's tick
]]
local key = tick_key(name)
local f = redis.call('HMGET', key, 'holder', 'term', 'at_ms')
local term, at_ms = tonumber(f[2] or 0), tonumber(f[3] or 0)
-- A tenth early is still in time: beat's own clock jitters. A tick of the future is none: the clock
-- was set back.
local since_ms = now_ms - at_ms
if f[3] and since_ms >= 0 and since_ms < tonumber(period_ms) * 0.9 then return { 'TAKEN', int(term) } end
term = math.max(term + 1, now_us)
redis.call('HSET', key, 'holder', holder, 'term', int(term), 'at_ms', int(now_ms))
redis.call('PEXPIRE', key, tonumber(period_ms) * 100)
-- Ticks that come more often would fill the event log.
if tonumber(period_ms) >= 1000 then emit('tick', '', holder, int(term), name) end
return { 'CLAIMED', int(term) }
