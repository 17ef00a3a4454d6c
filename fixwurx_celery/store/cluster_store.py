"""One method per script, of the same name, and the reads: all that anyone does with the store.

Safe to call again: ids come from the caller (bug, node, incarnation, epoch, runner), so a call that
the client library sends twice changes nothing more. Every method raises `StoreUnavailable` when the
server cannot be reached within `socket_timeout` and a few retries.
"""

import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from fixwurx_celery.domain.bugs import Assignment, Bug, BugState
from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerNode, WorkerState
from fixwurx_celery.errors import BugUnknown, NodeUnknown, StoreUnavailable
from fixwurx_celery.settings import Settings, without_password
from fixwurx_celery.store.scripts import Script, load_all

__all__ = ["BugRecord", "ClusterStore", "Event", "Snapshot", "Started", "Submission", "connect"]

CHUNK = 1000
"""Bugs per round trip. A chunk of small bugs holds the server for about 30 ms."""

SWEEP_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Submission:
    """What became of one bug: `status` ASSIGNED (detail: node), PENDING, KNOWN (its state), or
    refused as FULL (the bound), CLASSES (the bound) or UNSATISFIABLE (the largest node's agents)."""

    bug_id: str
    status: str
    detail: str

    @property
    def is_refused(self) -> bool:
        """Whether the bug was not taken."""
        return self.status in ("FULL", "CLASSES", "UNSATISFIABLE")


@dataclass(frozen=True, slots=True)
class Started:
    """A run that may begin: what was submitted, and where an earlier run got to."""

    spec: Mapping[str, Any]
    checkpoint: Any
    run: int


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the event log. `id` orders it and resumes after it."""

    id: str
    action: str
    bug: str
    node: str
    epoch: str
    detail: str

    @property
    def at_ms(self) -> int:
        """When, by the store's clock."""
        return int(self.id.partition("-")[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class BugRecord:
    """A bug as the store knows it. Times in ms since 1970 by the store's clock, or None."""

    id: str
    state: BugState
    bug_class: str
    worker_id: str | None
    epoch: int
    attempts: int
    losses: int
    runs: int
    phase: str
    cancelling: bool
    priority: int
    waiting_ms: int | None
    assigned_ms: int | None
    started_ms: int | None
    finished_ms: int | None
    outcome: Any
    history: Sequence[Mapping[str, Any]]
    spec: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The stable keys of `bug list --json`, and the rest."""
        return {
            "id": self.id,
            "state": str(self.state),
            "worker_id": self.worker_id,
            "epoch": self.epoch,
            "attempts": self.attempts,
            "losses": self.losses,
            "runs": self.runs,
            "phase": self.phase,
            "outcome": self.outcome,
            "class": self.bug_class,
            "priority": self.priority,
            "waiting_ms": self.waiting_ms,
            "assigned_ms": self.assigned_ms,
            "started_ms": self.started_ms,
            "finished_ms": self.finished_ms,
            "history": list(self.history),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The cluster at one instant."""

    now_ms: int
    strategy: BalancingStrategy
    nodes: Sequence[WorkerNode]
    lines: Sequence[Mapping[str, Any]]
    stats: Mapping[str, int]
    live_nodes: int
    delayed: int
    finished: int

    @property
    def waiting(self) -> int:
        """Bugs in line or backing off."""
        return self.delayed + sum(line["waiting"] for line in self.lines)

    @property
    def live(self) -> Sequence[WorkerNode]:
        """The nodes in service."""
        return [node for node in self.nodes if node.state is not WorkerState.OFFLINE]

    @property
    def total_agents(self) -> int:
        """Agents of the nodes in service."""
        return sum(node.total_agents for node in self.live)

    @property
    def free_agents(self) -> int:
        """Agents that no bug holds, of the nodes in service."""
        return sum(node.free_agents for node in self.live)


@dataclass(slots=True)
class Sweep:
    """What a sweep or a heartbeat asks of its caller."""

    gone: list[str] = field(default_factory=list)
    cancelling: list[str] = field(default_factory=list)
    assignments: list[Assignment] = field(default_factory=list)


def connect(url: str, *, socket_timeout: float = 5.0) -> "redis.Redis":
    """A client for this process. Connects lazily; make it after a fork, not before.

    Scripts are idempotent, so the client may send one again after a reply that did not come.
    """
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        socket_timeout=socket_timeout,
        socket_connect_timeout=socket_timeout,
        socket_keepalive=True,
        health_check_interval=10,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), 5),
    )


def assignments(flat: Sequence[str]) -> list[Assignment]:
    """The assignments that a script lists as node, bug, epoch, node, ..."""
    return [Assignment(flat[i], flat[i + 1], int(flat[i + 2])) for i in range(0, len(flat), 3)]


class ClusterStore:
    """The cluster's state under one namespace of one server."""

    def __init__(
        self,
        client: "redis.Redis",
        settings: Settings,
        *,
        rng: random.Random | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """`rng` feeds the RANDOM strategy; `clock_ms` replaces the server's clock, for tests."""
        self.client = client
        self.prefix = f"{{{settings.namespace}}}:"
        self._scripts = load_all()
        self._limits = json.dumps(settings.limits())
        self._url = settings.redis_url
        self._rng = rng or random.Random(os.urandom(8))  # noqa: S311 - balances, does not protect
        self._clock_ms = clock_ms

    @classmethod
    def from_settings(cls, settings: Settings, *, socket_timeout: float = 5.0) -> "ClusterStore":
        """The store that the settings name."""
        return cls(connect(settings.redis_url, socket_timeout=socket_timeout), settings)

    def close(self) -> None:
        """Closes this process's connections."""
        self.client.close()

    # -- calling ---------------------------------------------------------------------------

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError) as error:
            raise StoreUnavailable(
                f"cannot reach the store at {without_password(self._url)}: {error}; is it running, "
                "and is FIXWURX_REDIS_URL right?"
            ) from error
        except redis.ResponseError as error:
            if str(error).startswith("OOM"):
                raise StoreUnavailable(
                    "the store is out of memory and refuses writes; raise its maxmemory, or lower "
                    "FIXWURX_MAX_WAITING"
                ) from error
            raise

    def _call(self, script: Script, **given: Any) -> list[Any]:
        now = "" if self._clock_ms is None else str(self._clock_ms())
        argv = script.bind(self._limits, now, given)
        with self._reaching():
            try:
                reply = self.client.evalsha(script.sha, 1, self.prefix + "config", *argv)
            except redis.exceptions.NoScriptError:
                reply = self.client.eval(script.source, 1, self.prefix + "config", *argv)
        return list(reply)  # type: ignore[arg-type]

    def _seed(self) -> int:
        return self._rng.getrandbits(31)

    # -- transitions -----------------------------------------------------------------------

    def submit(self, bugs: Sequence[Bug]) -> tuple[list[Submission], list[Assignment]]:
        """Takes in the bugs, a thousand per round trip; answers in their order.

        The second value is what must be rung. Many calls of one submission are ordered as a whole.
        """
        results: list[Submission] = []
        to_ring: list[Assignment] = []
        batch = 0
        for start in range(0, len(bugs), CHUNK):
            chunk = bugs[start : start + CHUNK]
            reply = self._call(
                self._scripts["submit"],
                bugs=json.dumps([_entry(bug) for bug in chunk], separators=(",", ":")),
                batch=batch,
                seed=self._seed(),
            )
            batch, count = int(reply[1]), int(reply[2])
            pairs = reply[3 : 3 + 2 * count]
            results += [
                Submission(bug.id, pairs[2 * i], pairs[2 * i + 1]) for i, bug in enumerate(chunk)
            ]
            to_ring += assignments(reply[3 + 2 * count :])
        return results, to_ring

    def start(
        self, bug_id: str, node: str, incarnation: str, epoch: int, runner: str
    ) -> Started | str:
        """The run that may begin, or why not: CANCELLED or STALE."""
        reply = self._call(
            self._scripts["start"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, runner=runner,
        )  # fmt: skip
        if reply[0] != "STARTED":
            return str(reply[0])
        checkpoint = json.loads(reply[2]) if reply[2] else None
        return Started(json.loads(reply[1]), checkpoint, int(reply[3]))

    def report(
        self,
        bug_id: str,
        node: str,
        incarnation: str,
        epoch: int,
        runner: str,
        *,
        phase: str = "",
        checkpoint: str = "",
        log: str = "",
    ) -> str:
        """CONTINUE, CANCELLED or STALE. Renews the lease when it answers one of the first two."""
        return str(self._call(
            self._scripts["report"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, runner=runner,
            phase=phase, checkpoint=checkpoint, log=log,
        )[0])  # fmt: skip

    def finish(
        self,
        bug_id: str,
        node: str,
        incarnation: str,
        epoch: int,
        runner: str,
        state: BugState,
        outcome: Any,
    ) -> list[Assignment] | None:
        """The node's next assignments, to ring; None when the run is not its owner's any more."""
        reply = self._call(
            self._scripts["finish"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, runner=runner,
            state=str(state), outcome=json.dumps(outcome),
        )  # fmt: skip
        return None if reply[0] == "STALE" else assignments(reply[1:])

    def fail_attempt(
        self, bug_id: str, node: str, incarnation: str, epoch: int, charge: str, reason: str
    ) -> tuple[str, list[Assignment]]:
        """PENDING, ESCALATED, CANCELLED or STALE, and what to ring."""
        reply = self._call(
            self._scripts["fail_attempt"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, charge=charge,
            reason=reason,
        )  # fmt: skip
        return str(reply[0]), assignments(reply[1:])

    def cancel(self, bug_id: str) -> tuple[str, list[Assignment]]:
        """CANCELLED, CANCELLING (it runs: its group is being killed), RELEASED, or the terminal
        state it had; and what to ring. Raises BugUnknown."""
        reply = self._call(self._scripts["cancel"], bug=bug_id)
        if reply[0] == "UNKNOWN":
            raise BugUnknown(bug_id)
        if reply[0] == "ENDED":
            return str(reply[1]), []
        return str(reply[0]), assignments(reply[1:])

    def retry(self, bug_id: str) -> tuple[str, list[Assignment]]:
        """PENDING, or the live state in which it is; and what to ring. Raises BugUnknown."""
        reply = self._call(self._scripts["retry"], bug=bug_id, seed=self._seed())
        if reply[0] == "UNKNOWN":
            raise BugUnknown(bug_id)
        if reply[0] == "LIVE":
            return str(reply[1]), []
        return "PENDING", assignments(reply[1:])

    def reserve(self, bug_id: str, bug_class: str, holder: str) -> tuple[str, str]:
        """(RESERVED, node), (HELD, state) or (NO_ROOM, '')."""
        reply = self._call(
            self._scripts["reserve"], bug=bug_id, **{"class": bug_class}, holder=holder,
            seed=self._seed(),
        )  # fmt: skip
        return str(reply[0]), str(reply[1]) if len(reply) > 1 else ""

    def renew(self, bug_ids: Sequence[str], holder: str) -> list[str]:
        """Renews the holder's reservations; the ids that are not (or no more) its own."""
        reply = self._call(self._scripts["renew"], bugs=json.dumps(list(bug_ids)), holder=holder)
        return [str(bug) for bug in reply[1:]]

    def release(self, bug_id: str) -> tuple[str, list[Assignment]]:
        """RELEASED, the terminal state, or UNKNOWN; and what to ring."""
        reply = self._call(self._scripts["release"], bug=bug_id)
        if reply[0] == "ENDED":
            return str(reply[1]), []
        return str(reply[0]), assignments(reply[1:])

    def register(
        self, node: str, incarnation: str, profile: str, facts: Mapping[str, Any]
    ) -> list[Assignment] | str:
        """What to ring, or the incarnation of the live node that has this name."""
        reply = self._call(
            self._scripts["register"],
            node=node, incarnation=incarnation, profile=profile, facts=json.dumps(facts),
        )  # fmt: skip
        return str(reply[1]) if reply[0] == "DUPLICATE" else assignments(reply[1:])

    def heartbeat(self, node: str, incarnation: str, facts: Mapping[str, Any]) -> Sweep | None:
        """What the node must do; None when the store does not know this life of it."""
        reply = self._call(
            self._scripts["heartbeat"], node=node, incarnation=incarnation, facts=json.dumps(facts)
        )
        if reply[0] == "UNKNOWN":
            return None
        cut = 2 + int(reply[1])
        return Sweep(cancelling=list(reply[2:cut]), assignments=assignments(reply[cut:]))

    def drain(self, node: str) -> tuple[int, list[Assignment]]:
        """How many bugs the node still runs, and what to ring. Raises NodeUnknown."""
        reply = self._call(self._scripts["drain"], node=node, seed=self._seed())
        if reply[0] == "UNKNOWN":
            raise NodeUnknown(node)
        return int(reply[1]), assignments(reply[2:])

    def resume(self, node: str) -> list[Assignment]:
        """What to ring. Raises NodeUnknown."""
        reply = self._call(self._scripts["resume"], node=node)
        if reply[0] == "UNKNOWN":
            raise NodeUnknown(node)
        return assignments(reply[1:])

    def retire(self, node: str, incarnation: str) -> list[Assignment]:
        """What to ring. Does nothing when another life of the node is in service."""
        reply = self._call(
            self._scripts["retire"], node=node, incarnation=incarnation, seed=self._seed()
        )
        return assignments(reply[1:])

    def sweep(self, most: int = SWEEP_AT_ONCE) -> Sweep:
        """Nodes now gone, and what to ring. Bounded: at most `most` of each kind."""
        reply = self._call(self._scripts["sweep"], most=most, seed=self._seed())
        cut = 2 + int(reply[1])
        return Sweep(gone=list(reply[2:cut]), assignments=assignments(reply[cut:]))

    def set_strategy(self, strategy: BalancingStrategy) -> BalancingStrategy:
        """The strategy before."""
        reply = self._call(self._scripts["set_strategy"], strategy_name=str(strategy))
        return BalancingStrategy(reply[1])

    def claim_tick(self, name: str, holder: str, period_ms: int) -> int | None:
        """The term under which the caller carries out this tick; None when somebody else does."""
        reply = self._call(
            self._scripts["claim_tick"], name=name, holder=holder, period_ms=period_ms
        )
        return int(reply[1]) if reply[0] == "CLAIMED" else None

    # -- reads -----------------------------------------------------------------------------

    def snapshot(self, *, most_nodes: int = 100_000) -> Snapshot:
        """The cluster at one instant; with `most_nodes=0` its totals without the nodes."""
        seen = json.loads(self._call(self._scripts["snapshot"], most=most_nodes)[1])
        return Snapshot(
            now_ms=int(seen["now_ms"]),
            strategy=BalancingStrategy(seen["strategy"]),
            nodes=[_node(entry) for entry in seen["nodes"] or []],
            lines=list(seen["lines"] or []),
            stats={key: int(value) for key, value in seen["stats"].items()},
            live_nodes=int(seen["live_nodes"]),
            delayed=int(seen["delayed"]),
            finished=int(seen["finished"]),
        )

    def bug(self, bug_id: str) -> BugRecord:
        """The bug's record. Raises BugUnknown."""
        with self._reaching():
            fields: dict[str, str] = self.client.hgetall(f"{self.prefix}bug:{bug_id}")  # type: ignore[assignment]
        if not fields:
            raise BugUnknown(bug_id)
        return _record(bug_id, fields)

    def bugs(self, bug_ids: Sequence[str]) -> list[BugRecord]:
        """The records of those that are known, in the order given; one round trip per thousand."""
        records: list[BugRecord] = []
        for start in range(0, len(bug_ids), CHUNK):
            chunk = bug_ids[start : start + CHUNK]
            with self._reaching():
                pipe = self.client.pipeline(transaction=False)
                for bug_id in chunk:
                    pipe.hgetall(f"{self.prefix}bug:{bug_id}")
                replies = pipe.execute()
            records += [
                _record(bug, fields) for bug, fields in zip(chunk, replies, strict=True) if fields
            ]
        return records

    def bug_ids(self, most: int = 1000) -> list[str]:
        """Ids of live bugs, those on nodes first, then of finished ones, the newest first."""
        snapshot = self.snapshot()
        ids = [bug for node in snapshot.nodes for bug in node.bugs]
        with self._reaching():
            for line in snapshot.lines:
                if len(ids) < most:
                    seats = self.client.zrange(
                        f"{self.prefix}line:{line['class']}", 0, most - len(ids) - 1
                    )
                    ids += [seat[17:] for seat in seats]  # type: ignore[union-attr]
            if len(ids) < most:
                ids += self.client.zrange(f"{self.prefix}delayed", 0, most - len(ids) - 1)  # type: ignore[arg-type]
            if len(ids) < most:
                ids += self.client.zrevrange(f"{self.prefix}finished", 0, most - len(ids) - 1)  # type: ignore[arg-type]
        return list(dict.fromkeys(ids))

    def log(self, bug_id: str, run: int) -> str:
        """What that run printed, up to its last report; its last megabyte."""
        with self._reaching():
            chunks: list[str] = self.client.lrange(f"{self.prefix}log:{bug_id}:{run}", 0, -1)  # type: ignore[assignment]
        return "".join(chunks)

    def strategy(self) -> BalancingStrategy:
        """How nodes are chosen now."""
        with self._reaching():
            name = self.client.hget(f"{self.prefix}config", "strategy")
        return BalancingStrategy(str(name or json.loads(self._limits)["default_strategy"]))

    def last_event_id(self) -> str:
        """Where the event log ends now: `events` after this answers only what comes later."""
        with self._reaching():
            last: list[tuple[str, Any]] = self.client.xrevrange(f"{self.prefix}events", count=1)  # type: ignore[assignment]
        return last[0][0] if last else "0-0"

    def events(self, after: str, *, wait_ms: int = 0, most: int = 1000) -> list[Event]:
        """What happened after that id; waits up to `wait_ms` (at most 4 s) when nothing did."""
        with self._reaching():
            reply: Any = self.client.xread(
                {f"{self.prefix}events": after}, count=most, block=min(wait_ms, 4000) or None
            )
        if not reply:
            return []
        entries = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
        return [Event(id=entry_id, **fields) for entry_id, fields in entries]

    def orders(self, node: str, incarnation: str) -> "redis.client.PubSub":
        """A subscription to what this life of the node is told; its being there says it lives."""
        with self._reaching():
            listening = self.client.pubsub(ignore_subscribe_messages=True)
            listening.subscribe(f"{self.prefix}orders:{node}:{incarnation}")
        return listening

    def ping(self) -> Mapping[str, Any]:
        """The server's own words about itself (INFO)."""
        with self._reaching():
            return self.client.info()  # type: ignore[return-value]


def _entry(bug: Bug) -> list[Any]:
    expected_ms = int((bug.expected_s or 0) * 1000)
    spec = {
        "agents": bug.agents,
        "requires": sorted(bug.requires),
        "priority": bug.priority,
        "timeout_s": bug.timeout_s,
        "payload": bug.payload,
    }
    return [
        bug.id, bug.bug_class, bug.priority, expected_ms, json.dumps(spec, separators=(",", ":"))
    ]  # fmt: skip


def _record(bug_id: str, fields: Mapping[str, str]) -> BugRecord:
    def number(name: str) -> int | None:
        return int(fields[name]) if fields.get(name) else None

    spec = json.loads(fields.get("spec") or "{}")
    return BugRecord(
        id=bug_id,
        state=BugState(fields["state"]),
        bug_class=fields["class"],
        worker_id=fields.get("node") or None,
        epoch=number("epoch") or 0,
        attempts=number("attempts") or 0,
        losses=number("losses") or 0,
        runs=number("runs") or 0,
        phase=fields.get("phase", "WAIT"),
        cancelling="cancelling" in fields,
        priority=spec.get("priority", 0),
        waiting_ms=number("waiting_ms"),
        assigned_ms=number("assigned_ms"),
        started_ms=number("started_ms"),
        finished_ms=number("finished_ms"),
        outcome=json.loads(fields["outcome"]) if "outcome" in fields else None,
        history=json.loads(fields.get("history") or "[]"),
        spec=spec,
    )


def _node(entry: Mapping[str, Any]) -> WorkerNode:
    total, _, labels = entry["profile"].partition("|")
    free = int(entry["free"])
    facts = json.loads(entry.get("facts") or "{}")
    state = WorkerState(entry["state"])
    if state is WorkerState.READY and free == 0:
        state = WorkerState.BUSY
    return WorkerNode(
        worker_id=entry["worker_id"],
        hostname=facts.get("hostname", ""),
        state=state,
        total_agents=int(total),
        free_agents=free,
        capabilities=frozenset(label for label in labels.split(",") if label),
        cpu_cores=facts.get("cpu_cores", 0),
        memory_mb=facts.get("memory_mb", 0),
        last_heartbeat=int(entry["heartbeat_ms"]) / 1000,
        health=float(entry["health"]),
        response_time_ms=float(entry["response_s"]) * 1000,
        last_used=int(entry["used"]),
        incarnation=entry["incarnation"],
        bugs={bug: int(agents) for bug, agents in (entry["held"] or {}).items()},
        metrics=json.loads(entry.get("load") or "{}"),
    )
