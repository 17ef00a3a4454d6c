--[[
purpose     Note that the queue of a node that went is deleted. One that went just now is asked for
            once more a while later: its own consumer may have put messages back as it ended.
transition  none
args
  node      text
replies
  FORGOTTEN
]]
local AGAIN_AFTER_MS = 30000
local went_ms = tonumber(redis.call('ZSCORE', GONE, node) or 0)
if now_ms < went_ms + AGAIN_AFTER_MS then
  redis.call('ZADD', QUEUES, int(went_ms + AGAIN_AFTER_MS), node)
else
  redis.call('ZREM', QUEUES, node)
end
return { 'FORGOTTEN' }
