--[[
purpose     Take up a node of this cluster's that its provider lists and nobody remembers.
transition  launch: none -> STARTING | READY | STOPPING
args
  term      int    of the tick that found it
  node      text   its node name
  name      text   what its provider calls it
  profile   text
  scope     text   of the provider
  age_ms    int    since it was launched, as the provider says
  stage     text   STARTING, which is READY where it serves; STOPPING
replies
  ADOPTED
  KNOWN     somebody remembers it
  STALE     a later tick has been claimed
]]
if is_over(term) then return { 'STALE' } end
if launch_of(node) then return { 'KNOWN' } end
if stage == 'STARTING' and redis.call('ZSCORE', NODES, node) then stage = 'READY' end
write_launch(node, {
  name = name,
  profile = profile,
  scope = scope,
  stage = stage,
  term = term,
  at_ms = now_ms - tonumber(age_ms),
  since_ms = now_ms,
  measured = false,
})
emit('launch_adopted', '', node, '', profile)
return { 'ADOPTED' }
