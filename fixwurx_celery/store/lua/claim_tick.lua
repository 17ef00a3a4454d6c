--[[
purpose     Let one caller carry out a periodic tick, however many beats send it.
transition  none
args
  name      text
  holder    text
  period_ms int
replies
  CLAIMED   term: higher than that of any earlier tick of this name. Say `end_tick` when it is done
  TAKEN     term: somebody else carries out this period's tick, or has done so
]]
local HOLD_MS = 1000 -- whoever has not ended its tick by then is taken for dead, and is fenced
local key = tick_key(name)
local f = redis.call('HMGET', key, 'holder', 'term', 'at_ms', 'ended')
local term, at_ms = tonumber(f[2] or 0), tonumber(f[3] or 0)
-- A tenth early is still in time: beat's own clock jitters. A tick of the future is none: the clock
-- was set back.
local since_ms = now_ms - at_ms
local wait_ms = f[4] == '0' and math.min(HOLD_MS, tonumber(period_ms)) or tonumber(period_ms) * 0.9
if f[3] and since_ms >= 0 and since_ms < wait_ms then return { 'TAKEN', int(term) } end
term = math.max(term + 1, now_us)
redis.call('HSET', key, 'holder', holder, 'term', int(term), 'at_ms', int(now_ms), 'ended', 0)
redis.call('PEXPIRE', key, tonumber(period_ms) * 100)
-- Ticks that come more often would fill the event log.
if tonumber(period_ms) >= 1000 then emit('tick', '', holder, int(term), name) end
return { 'CLAIMED', int(term) }
