"""What `doctor` makes of what it sees: pure judgements, each with its meaning and the way out."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from fixwurx_celery.addresses import SENTINEL_SCHEME
from fixwurx_celery.cli.table import age
from fixwurx_celery.domain.nodes import LaunchStage, NodeSpec, WorkerNode, WorkerState
from fixwurx_celery.domain.words import counted
from fixwurx_celery.settings import Settings, without_password
from fixwurx_celery.store import Snapshot
from fixwurx_celery.store.scaling_state import Decision

__all__ = [
    "Finding",
    "about_broker",
    "about_clock",
    "about_controller",
    "about_nodes",
    "about_waiting",
    "fail",
    "ok",
    "warn",
]

SICK: Final = 0.5
"""At this health or below a node is only probed."""
CLOCK_OFF_MS: Final = 2000
BROKERS: Final[Mapping[str, str]] = {
    "redis": "Redis", "rediss": "Redis", "unix": "Redis", "redis+socket": "Redis",
    SENTINEL_SCHEME: "Redis", "sentinel": "Redis",
    "amqp": "RabbitMQ", "amqps": "RabbitMQ", "pyamqp": "RabbitMQ",
}  # fmt: skip


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


def about_clock(here_ms: float, there_ms: float) -> Finding:
    """How far this host's clock is from the store's, which is the one that counts."""
    what, off_ms = "clock", here_ms - there_ms
    if abs(off_ms) <= CLOCK_OFF_MS:
        return ok(what, "this host's and the store's agree")
    return warn(
        what, f"this host's is {off_by(off_ms)} the store's",
        "let NTP set it; decisions use the store's clock, but logs and beat use this host's",
    )  # fmt: skip


def off_by(off_ms: float) -> str:
    """`3 s ahead of`, `2 h behind`."""
    return f"{age(abs(off_ms))} {'ahead of' if off_ms > 0 else 'behind'}"


def about_broker(settings: Settings, trouble: str) -> Finding:
    """Whether doorbells can be rung: `trouble` is what reaching the broker met, if anything."""
    what, url = "broker", without_password(settings.broker)
    kind = BROKERS.get(settings.broker.partition("://")[0], "")
    if trouble:
        advice = "bugs wait until it is back; none is lost, and none fails for it"
        if kind == "RabbitMQ":
            advice += (
                "; on its host `rabbitmq-diagnostics status` tells of alarms (memory, disk), in "
                "which it takes no message, and `rabbitmqctl list_permissions` who may do what"
            )
        return fail(what, trouble, advice)
    if settings.broker == settings.redis_url:
        return ok(what, "the store itself: a doorbell is rung in the same step as the assignment")
    if not kind:
        return warn(
            what, f"{url} answers, and is neither Redis nor RabbitMQ: nobody has tried it",
            "use the store itself (leave FIXWURX_BROKER_URL empty), or RabbitMQ",
        )  # fmt: skip
    return ok(what, f"{kind} at {url} answers; what it loses is rung again by a sweep")


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
        return warn(what, f"the last was {age(silent_ms)} ago", advice)
    return ok(what, f"the last was {age(silent_ms)} ago")


def about_scaling(last: Decision | None, now_ms: int, settings: Settings) -> list[Finding]:
    """Whether somebody decides how many nodes there are, and whether that can be carried out.

    Where nothing starts nodes, nobody needs to.
    """
    what = "scaling"
    controller = "start a controller with `celery -A fixwurx_celery.controller worker -B`"
    provider = last.told["provider"] if last else settings.provider
    if provider == "none":
        return [ok(what, "nothing starts nodes by itself (FIXWURX_PROVIDER=none)")]
    if last is None:
        return [warn(what, "no controller has decided anything yet", controller)]
    ago_ms, every_s = now_ms - last.at_ms, last.told["interval_s"]
    if ago_ms > 3000 * every_s + 5000:
        return [warn(what, f"the last decision was {age(ago_ms)} ago", controller)]
    found = []
    if last.told["trouble"]:
        found.append(warn(
            what, f"{provider} is in trouble: {last.told['trouble']}",
            "no node is started or stopped until it answers again, which is tried ever more "
            "seldom, at least every ten minutes; `fixwurx-celery scale explain` has the inputs",
        ))  # fmt: skip
    for demand in last.told["impossible"]:
        found.append(warn(
            what, f"{demand} cannot be served by any node, nor by one that could be started",
            "add a kind of node to FIXWURX_NODE_SPECS, start such a node, or cancel them",
        ))  # fmt: skip
    return found or [ok(what, f"{last.action}, {age(ago_ms)} ago: {last.reason}")]


def about_nodes(
    snapshot: Snapshot, settings: Settings, answering: frozenset[str] | None
) -> list[Finding]:
    """Each node that is in trouble, or one line that all is well.

    `answering` are the nodes that answered over the broker; None when they could not be asked.
    """
    live = snapshot.live
    start = "start one with `celery -A fixwurx_celery worker -n node1@%h`"
    starting = sum(one.stage is LaunchStage.STARTING for one in snapshot.launches.values())
    if not live and starting:
        return [ok("nodes", f"none is in service, {starting} start")]
    if not live:
        if snapshot.waiting and not settings.launchable:
            return [fail("nodes", f"none is in service, and {bugs(snapshot.waiting)} wait", start)]
        if settings.launchable:
            return [ok("nodes", "none is in service; they are started when bugs wait")]
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
    if node.unstarted:
        found.append(warn(
            what, f"it beats, but did not start {bugs(node.unstarted)} that it was given; others "
            "were given them",
            "it looks into this itself, and begins anew when its consumer is deaf; if it is still "
            "so in a minute, look at its log, and restart it",
        ))  # fmt: skip
    pool = int(node.metrics.get("pool_processes", node.total_agents))
    if pool < node.total_agents:
        found.append(warn(
            what, f"only {pool} of the {node.total_agents} pool processes that its agents need "
            "are alive",
            "one that died is replaced within a second; if they stay few, its log says what ends "
            "them at their start (memory, an engine that cannot be imported)",
        ))  # fmt: skip
    kept = int(node.metrics.get("spooled_endings", 0))
    if kept:
        found.append(warn(
            what, f"it keeps {kept} ending{'' if kept == 1 else 's'} of bugs on its disk which the "
            "store has not taken yet",
            "they are delivered at its next heartbeats; if they stay, its log says why; do not "
            "delete its FIXWURX_WORK_DIR meanwhile",
        ))  # fmt: skip
    if "clock_ms" in node.metrics:
        off_ms = int(node.metrics["clock_ms"]) - 1000 * node.last_heartbeat
        if abs(off_ms) > CLOCK_OFF_MS:
            found.append(ok(
                what, f"its clock is {off_by(off_ms)} the store's: harmless, for the store's alone "
                "decides; only the times in its log are wrong",
            ))  # fmt: skip
    if why := node.metrics.get("unconfined"):
        found.append(warn(
            what, f"it runs commands of repositories with all rights of its user: {why}",
            "install bubblewrap 0.8 or later on it, or run it where only trusted repositories come "
            "(docs/security.md); FIXWURX_SANDBOX=bwrap makes it refuse instead",
        ))  # fmt: skip
    if node.health <= SICK:
        found.append(warn(
            what, f"its health is {node.health:.2f}: processes die on it, so it is only probed",
            "look at its memory and log; it recovers in two quiet minutes",
        ))  # fmt: skip
    return found


def about_waiting(
    snapshot: Snapshot, most_waiting: int, launchable: Sequence[NodeSpec] = ()
) -> list[Finding]:
    """The waiting lines, and those in which nothing can ever move."""
    what, found = "waiting bugs", []
    stuck = 0
    for line in snapshot.lines:
        wanted = NodeSpec.of_profile(str(line["class"]))
        if any(spec.can_run(wanted.agents, wanted.capabilities) for spec in launchable):
            continue
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
    wanted = NodeSpec.of_profile(bug_class)
    agents, labels = wanted.agents, wanted.capabilities
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
    return counted(math.floor(count), "bug")
