--[[
purpose     Change how nodes are chosen, from the next bug on.
transition  none
args
  strategy_name text
replies
  SET       the strategy before
]]
local was = strategy()
if was == strategy_name and redis.call('HEXISTS', CONFIG, 'strategy') == 1 then return { 'SET', was } end
redis.call('HSET', CONFIG, 'strategy', strategy_name)
-- The order on every shelf is the strategy's, so each node is placed anew: about 10 µs a node.
-- One that is left out stays so until its heartbeat, which also hands it what waits.
for _, node in ipairs(redis.call('ZRANGE', NODES, 0, -1)) do
  if redis.call('SISMEMBER', EJECTED, node) == 0 then settle(node, strategy_name) end
end
emit('strategy_set', '', '', '', strategy_name)
return { 'SET', was }
