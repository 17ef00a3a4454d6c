--[[
purpose     Give a store that knows nothing of scaling yet what another one knew.
transition  launch: none -> any
args
  state     json   config, launches, durations, provider by field; boots; needed as member, score, ...
replies
  RESTORED
  KNOWN     it has state of its own; nothing was done
]]
if redis.call('HEXISTS', CONFIG, 'cluster') == 1 then return { 'KNOWN' } end
local given = cjson.decode(state)
local hashes = { config = CONFIG, launches = LAUNCHES, durations = DURATIONS, provider = PROVIDER }
for name, key in pairs(hashes) do
  for field, value in pairs(given[name] or {}) do redis.call('HSET', key, field, value) end
end
for _, ms in ipairs(given.boots or {}) do redis.call('RPUSH', BOOTS, ms) end
local needed = given.needed or {}
for i = 1, #needed, 2 do redis.call('ZADD', NEEDED, needed[i + 1], needed[i]) end
emit('scaling_restored', '', '', '', '')
return { 'RESTORED' }
