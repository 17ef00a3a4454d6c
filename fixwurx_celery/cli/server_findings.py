"""What `doctor` makes of the store's server, from the server's own words about itself (INFO)."""

from collections.abc import Mapping
from typing import Any, Final

from fixwurx_celery.cli.findings import Finding, fail, ok, warn
from fixwurx_celery.cli.table import age

__all__ = ["about_replicas", "about_server", "mode_of"]

OLDEST_VERSION: Final = (6, 2)
"""The first with GETEX, which keeps artifacts alive while they are used."""
YOUNG_S: Final = 600
"""A server that started so lately is worth a word."""


def about_server(info: Mapping[str, Any]) -> list[Finding]:
    """The server's version, mode, memory, persistence and age."""
    version = str(info.get("redis_version", "0"))
    name = f"Redis {version}"
    if "valkey_version" in info:
        name = f"Valkey {info['valkey_version']}"
    found = []
    if version_of(version) >= OLDEST_VERSION:
        found.append(ok("store version", name))
    else:
        found.append(fail(
            "store version", f"{name} is too old: 6.2 is the oldest that has what is used here",
            "run Redis 6.2 or newer, or Valkey",
        ))  # fmt: skip
    mode = mode_of(info)
    if mode == "cluster" or info.get("cluster_enabled") in (1, "1"):
        found.append(fail(
            "store mode",
            "the store runs in cluster mode, in which it cannot be Celery's broker",
            "use a single server, with replicas and Sentinel if it must be highly available",
        ))  # fmt: skip
    elif info.get("role") == "slave":
        found.append(fail(
            "store mode", "the store is a replica, which refuses every write",
            "let FIXWURX_REDIS_URL name its primary",
        ))  # fmt: skip
    else:
        found.append(ok("store mode", f"{mode}, primary"))
    return [*found, about_memory(info), about_persistence(info), about_start(info)]


def mode_of(info: Mapping[str, Any]) -> str:
    """`standalone`, `cluster` or `sentinel`; Redis and Valkey have it under different names."""
    return str(info.get("redis_mode") or info.get("server_mode") or "standalone")


def about_replicas(info: Mapping[str, Any]) -> Finding:
    """Whether sentinels would find somebody to promote."""
    what, count = "store replicas", int(info.get("connected_slaves", 0))
    if not count:
        return warn(
            what, "none follows the primary: there is nothing to fail over to",
            "start one, or look at its log and at its masterauth",
        )  # fmt: skip
    found = f"{count} {'follows' if count == 1 else 'follow'} the primary"
    if not int(info.get("min_slaves_good_slaves", count) or 0):
        return warn(
            what, f"{found}, and none keeps up: writes are refused (min-replicas-to-write)",
            "look at its log and at the network between them",
        )  # fmt: skip
    return ok(what, found)


def version_of(text: str) -> tuple[int, ...]:
    """`7.0.15` as numbers."""
    return tuple(int(part) for part in text.split(".")[:3] if part.isdigit())


def about_memory(info: Mapping[str, Any]) -> Finding:
    """Whether the server may throw away what it holds, and how soon it is full."""
    what, policy = "store memory", str(info.get("maxmemory_policy", "noeviction"))
    limit, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    size = f"{used / 2**20:.0f} MB used"
    way_out = "set maxmemory-policy noeviction in the server's configuration"
    if policy != "noeviction" and limit:
        return fail(
            what, f"maxmemory-policy is {policy}: under pressure the server throws bugs away",
            way_out,
        )  # fmt: skip
    if policy != "noeviction":
        return warn(
            what,
            f"maxmemory-policy is {policy}; harmless only as long as there is no maxmemory",
            way_out,
        )
    if limit and used > 0.8 * limit:
        return warn(
            what, f"{size} of {limit / 2**20:.0f} MB: when it is full, nothing can be submitted",
            "raise maxmemory, or lower FIXWURX_MAX_WAITING or FIXWURX_KEEP_FINISHED_SEC",
        )  # fmt: skip
    return ok(what, f"{size}, " + (f"maxmemory {limit / 2**20:.0f} MB, " if limit else "")
              + "nothing is evicted")  # fmt: skip


def about_persistence(info: Mapping[str, Any]) -> Finding:
    """What is left after the server was killed."""
    what = "store persistence"
    if info.get("aof_last_write_status", "ok") != "ok":
        return fail(
            what, "the last write of the append-only file failed; writes are refused",
            "look at the server's disk and log",
        )  # fmt: skip
    if not int(info.get("aof_enabled", 0)):
        return warn(
            what, "append-only is off: a restart loses what came after the last snapshot",
            "set appendonly yes in the server's configuration",
        )  # fmt: skip
    return ok(what, "append-only is on")


def about_start(info: Mapping[str, Any]) -> Finding:
    """Whether the server started lately, which its operator should know of."""
    what, up_s = "store start", int(info.get("uptime_in_seconds", YOUNG_S))
    if int(info.get("loading", 0)):
        return warn(
            what, "it is reading its files, and answers nothing else until it has",
            "wait; nodes and clients go on by themselves then",
        )  # fmt: skip
    if up_s < YOUNG_S:
        return warn(
            what, f"it started {age(1000 * up_s)} ago",
            "if you did not restart it, look at its log, and at the kernel's for `Out of memory`; "
            "there is nothing to do in the cluster: nobody was failed over for it",
        )  # fmt: skip
    return ok(what, f"it has been up for {age(1000 * up_s)}")
