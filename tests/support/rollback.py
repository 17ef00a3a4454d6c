"""A database as it was: what a store comes back with after a power cut or a failover."""

from dataclasses import dataclass
from typing import Any

import redis


@dataclass(frozen=True, slots=True)
class Saved:
    """Every key of a database, with what is left of its time."""

    keys: dict[bytes, tuple[bytes, int]]


def save(client: "redis.Redis") -> Saved:
    """The database as it is now. The client must not decode."""
    keys: Any = client.keys("*")
    with client.pipeline(transaction=True) as pipe:
        for key in keys:
            pipe.dump(key).pttl(key)
        replies = pipe.execute()
    return Saved(dict(zip(keys, zip(replies[::2], replies[1::2], strict=True), strict=True)))


def restore(client: "redis.Redis", saved: Saved) -> None:
    """The database as it was then, and nothing of what came later."""
    with client.pipeline(transaction=True) as pipe:
        pipe.flushdb()
        for key, (value, ttl_ms) in saved.keys.items():
            pipe.restore(key, max(0, ttl_ms), value)
        pipe.execute()
