--[[
purpose     Keep what a program has measured on a node, to be shown beside the node's own figures.
transition  none
args
  node      text
  metrics   json   an object; replaces what was told before
replies
  TOLD
  UNKNOWN   no such node is in service
]]
local state = redis.call('HGET', node_key(node), 'state')
if not state or state == 'OFFLINE' then return { 'UNKNOWN' } end
redis.call('HSET', node_key(node), 'told', metrics)
return { 'TOLD' }
