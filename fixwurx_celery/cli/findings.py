"""What `doctor` makes of what it sees: pure judgements, each with its meaning and the way out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fixwurx_celery.cli.table import age
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import Snapshot

__all__ = [
    "Finding",
    "about_clock",
    "about_controller",
    "about_nodes",
    "about_replicas",
    "about_server",
    "about_waiting",
    "mode_of",
]

OLDEST_VERSION: Final = (6, 2)
"""The first with GETEX, which keeps artifacts alive while they are used."""
SICK: Final = 0.5
"""At this health or below a node is only probed."""
CLOCK_OFF_MS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing looked at: `level` OK, WARN or FAIL, what was found, and what to do about it."""

    what: str
    level: str
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        """As `doctor --json` prints it."""
        return {
            "what": self.what, "level": self.level, "found": self.found, "advice": self.advice
        }  # fmt: skip


def ok(what: str, found: str) -> Finding:
    """All is as it should be."""
    return Finding(what=what, level="OK", found=found)


def warn(what: str, found: str, advice: str) -> Finding:
    """It works, and will hurt some day."""
    return Finding(what=what, level="WARN", found=found, advice=advice)


def fail(what: str, found: str, advice: str) -> Finding:
    """Something promised does not hold."""
    return Finding(what=what, level="FAIL", found=found, advice=advice)


def about_server(info: Mapping[str, Any]) -> list[Finding]:
    """The server's version, mode, memory and persistence, from its INFO."""
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
    return [*found, about_memory(info), about_persistence(info)]


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


def about_clock(here_ms: float, there_ms: float) -> Finding:
    """How far this host's clock is from the store's, which is the one that counts."""
    what, off_ms = "clock", here_ms - there_ms
    if abs(off_ms) <= CLOCK_OFF_MS:
        return ok(what, "this host's and the store's agree")
    direction = "ahead of" if off_ms > 0 else "behind"
    return warn(
        what, f"this host is {age(abs(off_ms))} {direction} the store",
        "let NTP set it; decisions use the store's clock, but logs and beat use this host's",
    )  # fmt: skip


def about_controller(ticked_ms: int | None, now_ms: int, every_s: float) -> Finding:
    """Whether somebody carries out the periodic health check."""
    what = "health check"
    advice = (
        "nodes and controllers carry it out; start one, "
        "with `celery -A fixwurx_celery.controller worker -B`"
    )
    if ticked_ms is None:
        return warn(what, "there was none for a long time, if ever", advice)
    silent_ms = now_ms - ticked_ms
    if silent_ms > 3000 * every_s + 1000:
        return warn(what, f"the last health check was {age(silent_ms)} ago", advice)
    return ok(what, f"the last health check was {age(silent_ms)} ago")


def about_nodes(
    snapshot: Snapshot, settings: Settings, answering: frozenset[str] | None
) -> list[Finding]:
    """Each node that is in trouble, or one line that all is well.

    `answering` are the nodes that answered over the broker; None when they could not be asked.
    """
    live = snapshot.live
    start = "start one with `celery -A fixwurx_celery worker -n node1@%h`"
    if not live:
        if snapshot.waiting:
            return [fail("nodes", f"none is in service, and {bugs(snapshot.waiting)} wait", start)]
        return [warn("nodes", "none is in service", start)]
    found = []
    for node in live:
        found += about_node(node, snapshot.now_ms, settings, answering)
    draining = sum(node.state is WorkerState.STOPPING for node in live)
    summary = (
        f"{len(live)} in service, {snapshot.free_agents} of {snapshot.total_agents} agents free"
        + (f", {draining} draining" if draining else "")
    )
    return [ok("nodes", summary), *found]


def about_node(
    node: WorkerNode, now_ms: int, settings: Settings, answering: frozenset[str] | None
) -> list[Finding]:
    """What is wrong with this node."""
    what, found = f"node {node.worker_id}", []
    silent_ms = now_ms - node.last_heartbeat * 1000
    if silent_ms > 1000 * settings.heartbeat_interval_sec * 3 + 1000:
        found.append(warn(
            what, f"its last heartbeat was {age(silent_ms)} ago",
            f"after {settings.heartbeat_timeout_sec:g} s it is lost and its bugs go elsewhere; "
            "look at its host and log",
        ))  # fmt: skip
    elif answering is not None and node.worker_id not in answering:
        found.append(warn(
            what, "it beats, and does not answer over the broker: it may get no doorbells",
            "look at its log; is its FIXWURX_BROKER_URL that of the others?",
        ))  # fmt: skip
    if node.health <= SICK:
        found.append(warn(
            what, f"its health is {node.health:.2f}: processes die on it, so it is only probed",
            "look at its memory and log; it recovers in two quiet minutes",
        ))  # fmt: skip
    return found


def about_waiting(snapshot: Snapshot, most_waiting: int) -> list[Finding]:
    """The waiting lines, and those in which nothing can ever move."""
    what, found = "waiting bugs", []
    stuck = 0
    for line in snapshot.lines:
        if trouble := unservable(str(line["class"]), snapshot.live):
            stuck += int(line["waiting"])
            found.append(fail(
                what, f"{bugs(int(line['waiting']))} can never start: {trouble}",
                f"start a node that can take them, or cancel them (the first is {line['head']})",
            ))  # fmt: skip
    if found:
        return found
    waiting = snapshot.waiting
    if waiting > 0.8 * most_waiting:
        return [warn(
            what, f"{waiting}, of at most {most_waiting}: more will be refused",
            "start more nodes, or raise FIXWURX_MAX_WAITING",
        )]  # fmt: skip
    since = [int(line["head_since_ms"]) for line in snapshot.lines if line.get("head_since_ms")]
    oldest = f", the first for {age(snapshot.now_ms - min(since))}" if since else ""
    return [ok(what, f"{waiting}{oldest}" if waiting else "none")]


def unservable(bug_class: str, nodes: Sequence[WorkerNode]) -> str:
    """Why no node could ever run a bug of this class; empty when one could, or none is there."""
    agents_text, _, labels_text = bug_class.partition("|")
    agents, labels = int(agents_text), {label for label in labels_text.split(",") if label}
    if not nodes or any(
        node.total_agents >= agents and labels <= node.capabilities for node in nodes
    ):
        return ""
    able = [node for node in nodes if labels <= node.capabilities]
    if able:
        largest = max(node.total_agents for node in able)
        return f"{agents} agents on one node are needed, and the largest that fits has {largest}"
    lacking = min((labels - node.capabilities for node in nodes), key=len, default=labels)
    names = ", ".join(sorted(lacking))
    return f"no node has all that is required (the nearest lacks {names})"


def bugs(count: float) -> str:
    """`1 bug`, `2 bugs`."""
    return f"{math.floor(count)} bug{'' if count == 1 else 's'}"
