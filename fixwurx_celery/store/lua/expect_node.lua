--[[
purpose     Note that a node is about to declare its queue. One that dies before it registers is
            known to nobody, and its queue would stay for good: it is deleted unless the node comes.
transition  none
args
  node      text
replies
  EXPECTED
]]
local BOOTS_WITHIN_MS = 60000
local state = redis.call('HGET', node_key(node), 'state')
if not state or state == 'OFFLINE' then
  redis.call('ZADD', QUEUES, int(now_ms + BOOTS_WITHIN_MS), node)
end
return { 'EXPECTED' }
