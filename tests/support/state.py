"""A namespace as a whole: dumped, compared, removed."""

import json
from typing import Any

import redis

from fixwurx_celery.store import ClusterStore

# Atomic, so that a dump taken while others write is still one instant.
DUMP = """
local out = {}
for _, key in ipairs(redis.call('KEYS', ARGV[1] .. '*')) do
  local kind = redis.call('TYPE', key).ok
  local value
  if kind == 'string' then value = { redis.call('GET', key) }
  elseif kind == 'hash' then value = redis.call('HGETALL', key)
  elseif kind == 'set' then value = redis.call('SMEMBERS', key)
  elseif kind == 'zset' then value = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif kind == 'list' then value = redis.call('LRANGE', key, 0, -1)
  else value = { tostring(redis.call('XLEN', key)) } end
  out[#out + 1] = { string.sub(key, #ARGV[1] + 1), kind, value, redis.call('PTTL', key) > 0 }
end
return cjson.encode(out)
"""


def dump(store: ClusterStore) -> dict[str, Any]:
    """Every key of the store's namespace with its value; of the event log only its length.

    Keys are named without their prefix; one that expires has ` (expires)` after its name.
    """
    text: Any = store.client.eval(DUMP, 0, store.prefix)
    found: dict[str, Any] = {}
    for name, kind, value, expires in json.loads(text) or []:
        flat = value or []
        match kind:
            case "string" | "stream":
                shown: Any = flat[0]
            case "hash":
                shown = dict(zip(flat[::2], flat[1::2], strict=True))
            case "zset":
                shown = {
                    member: int(float(score))
                    for member, score in zip(flat[::2], flat[1::2], strict=True)
                }
            case "set":
                shown = set(flat)
            case _:
                shown = list(flat)
        found[name + (" (expires)" if expires else "")] = shown
    return found


def without_tries(found: dict[str, Any]) -> dict[str, Any]:
    """The dump without the tallies of calls as such: of those that were refused, and of reports."""
    tallied = {
        what: count
        for what, count in found.get("tally", {}).items()
        if not what.startswith(("stale:", "refused:", "report"))
    }
    return {**found, "tally": tallied}


def remove_namespace(client: "redis.Redis", namespace: str) -> None:
    """Deletes every key of the namespace."""
    keys = list(client.scan_iter(match=f"{{{namespace}}}:*", count=1000))
    for start in range(0, len(keys), 1000):
        client.unlink(*keys[start : start + 1000])
