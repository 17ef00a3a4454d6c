--[[
purpose     Note that the queue of a node that went is deleted.
transition  none
args
  node      text
replies
  FORGOTTEN
]]
redis.call('ZREM', QUEUES, node)
return { 'FORGOTTEN' }
