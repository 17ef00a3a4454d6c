"""One method per script, of the same name, and the reads: all that anyone does with the store.

Safe to call again: ids come from the caller (bug, node, incarnation, epoch, runner), so a call that
the client library sends twice changes nothing more. Every method raises `StoreUnavailable` when the
server cannot be reached within `socket_timeout` and a few retries.
"""

import json
import math
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from fixwurx_celery.domain.bugs import (
    MAX_PAYLOAD_BYTES,
    TERMINAL,
    Assignment,
    Bug,
    BugState,
    verdict,
)
from fixwurx_celery.domain.clocks import BugClock
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.errors import (
    BugUnknown,
    NodeUnknown,
    NotPermitted,
    StoreRefuses,
    StoreUnavailable,
)
from fixwurx_celery.redis_client import WrongAddress, follow, open_client, primary_of
from fixwurx_celery.settings import Settings, without_password
from fixwurx_celery.store.measurement import Measurement
from fixwurx_celery.store.records import (
    Beat,
    BugRecord,
    Event,
    Happening,
    Running,
    Snapshot,
    Started,
    Submission,
    Sweep,
    assignments,
    bug_of,
    bug_record,
    running,
)
from fixwurx_celery.store.records import snapshot as as_snapshot
from fixwurx_celery.store.scripts import Script, load_all

__all__ = [
    "BugRecord",
    "ClusterStore",
    "Event",
    "Snapshot",
    "Started",
    "Submission",
    "Sweep",
    "connect",
]

CHUNK = 1000
"""Bugs per round trip. A chunk of small bugs holds the server for about 30 ms."""

CHUNK_BYTES = 4 * 2**20
"""Of one call. Servers refuse arguments above 512 MB, and stand still while they read one."""

SWEEP_AT_ONCE = 100

MEND_AT_ONCE = 40_000
"""Keys that one round of mending looks at: a tenth of a second of the server's time."""
NOT_PERMITTED = (
    "ermissions to ", "ACL failure in script", "executing the script can't run this command",
)  # fmt: skip
"""How servers say that their user may not: to a command, and from within a script."""
TOO_FEW_REPLICAS = (
    "the store refuses writes because too few replicas keep up with it (min-replicas-to-write); "
    "look at its replicas"
)


def connect(url: str, *, socket_timeout: float = 5.0, retries: int = 5) -> "redis.Redis":
    """A client for this process. Connects lazily; make it after a fork, not before.

    A call takes at most `socket_timeout` (s) for each try, and a pause of up to a second between
    them. Scripts are idempotent, so the client may send one again after a reply that did not come.
    """
    over_network = {} if url.startswith("unix://") else {"socket_keepalive": True}
    return open_client(
        url,
        decode_responses=True,
        encoding_errors="replace",  # a log with half a character in it must not stop a report
        socket_timeout=socket_timeout,
        socket_connect_timeout=socket_timeout,
        health_check_interval=10,
        **over_network,
        retry=Retry(ExponentialWithJitterBackoff(base=0.05, cap=1.0), retries),
    )


class ClusterStore:
    """The cluster's state under one namespace of one server."""

    def __init__(
        self,
        client: "redis.Redis",
        settings: Settings,
        *,
        bell: Mapping[str, str] | None = None,
        rng: random.Random | None = None,
        clock_ms: Callable[[], int] | None = None,
    ) -> None:
        """`bell` is the doorbell that scripts ring themselves, where the broker is this server;
        without it (or empty) the caller rings what a method answers. `rng` feeds the RANDOM
        strategy; `clock_ms` replaces the server's clock, for tests."""
        self.client = client
        self.prefix = f"{{{settings.namespace}}}:"
        self._scripts = load_all()
        self._limits = json.dumps(settings.limits())
        self._bell = json.dumps(dict(bell)) if bell else ""
        self._url = settings.redis_url
        self._rng = rng or random.Random(os.urandom(8))  # noqa: S311 - balances, does not protect
        self._clock_ms = clock_ms
        self._mending = ("bug", "0")

    @classmethod
    def from_settings(
        cls,
        settings: Settings,
        *,
        bell: Mapping[str, str] | None = None,
        is_patient: bool = True,
    ) -> "ClusterStore":
        """The store that the settings name. Those who do something else while it is away, and ask
        again, are not patient: they have their answer, or StoreUnavailable, within seconds."""
        if is_patient:
            return cls(connect(settings.redis_url), settings, bell=bell)
        timeout_s = min(2.0, settings.alone_sec / 4)
        client = connect(settings.redis_url, socket_timeout=timeout_s, retries=1)
        return cls(client, settings, bell=bell)

    def close(self) -> None:
        """Closes this process's connections."""
        self.client.close()

    @property
    def primary(self) -> tuple[str, int] | None:
        """Where the primary was at the last call; None where no sentinels were asked."""
        return primary_of(self.client)

    def follow(self) -> None:
        """For who only listens: the next look goes to the primary, if that has moved."""
        follow(self.client)

    # -- calling ---------------------------------------------------------------------------

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turns what the client raises when the server fails into StoreUnavailable, or into
        StoreRefuses, which is one that certainly did nothing."""
        try:
            yield
        except (redis.ConnectionError, redis.TimeoutError, redis.ReadOnlyError) as error:
            if str(error).startswith("NOREPLICAS"):
                raise StoreRefuses(TOO_FEW_REPLICAS) from error
            raise StoreUnavailable(
                f"cannot reach the store at {without_password(self._url)}: {error}; is it running, "
                "and is FIXWURX_REDIS_URL right?"
            ) from error
        except WrongAddress as error:
            url = without_password(self._url)
            raise StoreUnavailable(f"FIXWURX_REDIS_URL={url} {error}") from error
        except redis.exceptions.OutOfMemoryError as error:
            raise StoreRefuses(
                "the store is out of memory and refuses writes; raise its maxmemory, or lower "
                "FIXWURX_MAX_WAITING"
            ) from error
        except redis.ResponseError as error:
            if str(error).startswith("MISCONF"):
                raise StoreRefuses(
                    f"the store refuses writes because it cannot write its own files: {error}; "
                    "look at its disk"
                ) from error
            if str(error).startswith("NOREPLICAS"):
                raise StoreRefuses(TOO_FEW_REPLICAS) from error
            if any(words in str(error) for words in NOT_PERMITTED):
                raise NotPermitted(
                    "the user in FIXWURX_REDIS_URL may not do this; docs/security.md has what the "
                    f"cluster needs: {error}"
                ) from error
            raise

    def _call(self, script: Script, **given: Any) -> list[Any]:
        now = "" if self._clock_ms is None else str(self._clock_ms())
        argv = script.bind(self._limits, self._bell, now, given)
        with self.reaching():
            try:
                reply = self.client.evalsha(script.sha, 1, self.prefix + "config", *argv)
            except redis.exceptions.NoScriptError:
                reply = self.client.eval(script.source, 1, self.prefix + "config", *argv)
        return list(reply)

    def call(self, script: str, /, **given: Any) -> list[Any]:
        """What the script of that name answers: for those that keep state of their own here."""
        return self._call(self._scripts[script], **given)

    def _seed(self) -> int:
        return self._rng.getrandbits(31)

    # -- transitions -----------------------------------------------------------------------

    def submit(
        self, bugs: Sequence[Bug], traces: Mapping[str, str] | None = None
    ) -> tuple[list[Submission], list[Assignment]]:
        """Takes in the bugs, a thousand per round trip; answers in their order. `traces` has the
        traceparent of each that is traced, by its id.

        The second value is what must be rung. Many calls of one submission are ordered as a whole.
        Raises TypeError or ValueError for a payload that is no JSON, or too large, before anything
        is sent.
        """
        results: list[Submission] = []
        to_ring: list[Assignment] = []
        batch = 0
        traces = traces or {}
        for chunk in _chunks([_entry(bug, traces.get(bug.id)) for bug in bugs]):
            reply = self._call(
                self._scripts["submit"], bugs=f"[{','.join(chunk)}]", batch=batch, seed=self._seed()
            )
            batch, count = int(reply[1]), int(reply[2])
            flat = reply[3 : 3 + 2 * count]
            results += [
                Submission(bug.id, status, detail)
                for bug, status, detail in zip(
                    bugs[len(results) : len(results) + count], flat[::2], flat[1::2], strict=True
                )
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
        return Started(json.loads(reply[1]), checkpoint, int(reply[3]), int(reply[4]))

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
        """CONTINUE, CANCELLED, MOVED (give it back: the node drains) or STALE. Renews the lease
        unless it is stale."""
        return str(self._call(
            self._scripts["report"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, runner=runner,
            phase=phase, checkpoint=checkpoint, log=log, call=self._rng.getrandbits(53),
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
        """The node's next assignments, to ring; None when the run is not its owner's any more.

        Raises ValueError when `state` is not a terminal one.
        """
        if state not in TERMINAL:
            raise ValueError(f"cannot finish bug {bug_id} as {state}: that is not a terminal state")
        reply = self._call(
            self._scripts["finish"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, runner=runner,
            state=str(state), outcome=json.dumps(outcome), verdict=verdict(outcome),
        )  # fmt: skip
        return None if reply[0] == "STALE" else assignments(reply[1:])

    def fail_attempt(
        self,
        bug_id: str,
        node: str,
        incarnation: str,
        epoch: int,
        charge: str,
        reason: str,
        *,
        runner: str = "",
    ) -> tuple[str, list[Assignment]]:
        """PENDING, ESCALATED, CANCELLED or STALE, and what to ring. With `runner` it is STALE also
        when another run of this epoch has started."""
        reply = self._call(
            self._scripts["fail_attempt"],
            bug=bug_id, node=node, incarnation=incarnation, epoch=epoch, runner=runner,
            charge=charge, reason=reason, seed=self._seed(),
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
        lost: list[str] = []
        for start in range(0, len(bug_ids), CHUNK):
            bugs = json.dumps(list(bug_ids[start : start + CHUNK]))
            lost += self._call(self._scripts["renew"], bugs=bugs, holder=holder)[1:]
        return lost

    def release(self, bug_id: str) -> tuple[str, list[Assignment]]:
        """RELEASED, the terminal state, or UNKNOWN; and what to ring."""
        reply = self._call(self._scripts["release"], bug=bug_id)
        if reply[0] == "ENDED":
            return str(reply[1]), []
        return str(reply[0]), assignments(reply[1:])

    def prioritise(self, priorities: Mapping[str, int]) -> dict[str, BugState]:
        """Gives the bugs these priorities, a thousand per round trip; the states of those that are
        live. Only one that is PENDING changes its place by it."""
        states: dict[str, BugState] = {}
        given = list(priorities.items())
        for start in range(0, len(given), CHUNK):
            chunk = given[start : start + CHUNK]
            reply = self._call(self._scripts["prioritise"], bugs=json.dumps(chunk))
            for (bug_id, _), state in zip(chunk, reply[1:], strict=True):
                if state:
                    states[bug_id] = BugState(state)
        return states

    def register(
        self, node: str, incarnation: str, profile: str, facts: Mapping[str, Any]
    ) -> list[Assignment] | str:
        """What to ring, or the incarnation of the live node that has this name."""
        reply = self._call(
            self._scripts["register"],
            node=node, incarnation=incarnation, profile=profile, facts=json.dumps(facts),
            seed=self._seed(),
        )  # fmt: skip
        return str(reply[1]) if reply[0] == "DUPLICATE" else assignments(reply[1:])

    def heartbeat(self, node: str, incarnation: str, facts: Mapping[str, Any]) -> Beat | None:
        """What the node must know; None when the store does not know this life of it."""
        reply = self._call(
            self._scripts["heartbeat"], node=node, incarnation=incarnation, facts=json.dumps(facts)
        )
        return None if reply[0] == "UNKNOWN" else Beat(int(reply[1]), assignments(reply[2:]))

    def observe_latency(self, node: str, latency_ms: float) -> bool:
        """Counts how long the node took to respond; False when it is not in service."""
        reply = self._call(
            self._scripts["observe_latency"],
            node=node, latency_ms=int(latency_ms), call=self._rng.getrandbits(53),
        )  # fmt: skip
        return str(reply[0]) == "OBSERVED"

    def tell_metrics(self, node: str, metrics: Mapping[str, Any]) -> bool:
        """Keeps what a program measured on the node; False when it is not in service."""
        reply = self._call(
            self._scripts["tell_metrics"], node=node, metrics=json.dumps(dict(metrics))
        )
        return str(reply[0]) == "TOLD"

    def drain(self, node: str, grace_s: float) -> tuple[int, list[Assignment]]:
        """How many bugs the node still runs, and what to ring. Those that still run `grace_s` from
        now go elsewhere then; drained again, the grace can only get shorter. Raises NodeUnknown."""
        reply = self._call(
            self._scripts["drain"], node=node, grace_ms=int(grace_s * 1000), seed=self._seed()
        )
        if reply[0] == "UNKNOWN":
            raise NodeUnknown(node)
        return int(reply[1]), assignments(reply[2:])

    def resume(self, node: str) -> list[Assignment]:
        """What to ring. Raises NodeUnknown."""
        reply = self._call(self._scripts["resume"], node=node)
        if reply[0] == "UNKNOWN":
            raise NodeUnknown(node)
        return assignments(reply[1:])

    def retire(self, node: str, incarnation: str) -> list[Assignment] | None:
        """What to ring; None when another life of the node is in service: nothing was done."""
        reply = self._call(
            self._scripts["retire"], node=node, incarnation=incarnation, seed=self._seed()
        )
        return None if reply[0] == "STALE" else assignments(reply[1:])

    def sweep(
        self,
        most: int = SWEEP_AT_ONCE,
        *,
        node: str = "",
        incarnation: str = "",
        can_ring: bool = True,
    ) -> Sweep:
        """Nodes now gone, queues to delete, and what to ring. Bounded: at most `most` of each kind.

        A node that sweeps says who it is: that it calls shows that it lives. One that cannot reach
        the broker leaves all bells to whoever sweeps next.
        """
        _, live, *rest = self._call(
            self._scripts["sweep"], node=node, incarnation=incarnation, most=most,
            can_ring=int(can_ring), seed=self._seed(),
        )  # fmt: skip
        gone, rest = _counted(rest)
        queues, rest = _counted(rest)
        told, rest = _counted(rest)
        happened = [Happening(*told[i : i + 5]) for i in range(0, len(told), 5)]
        return Sweep(int(live), gone, queues, happened, assignments(rest))

    def expect_node(self, node: str) -> None:
        """Notes that the node is about to declare its queue; a sweep asks to delete that if it does
        not register within a minute."""
        self._call(self._scripts["expect_node"], node=node)

    def forget_queue(self, node: str) -> None:
        """Notes that the queue of a node that went is deleted; until then sweeps ask for it."""
        self._call(self._scripts["forget_queue"], node=node)

    def mend(self, most: int = MEND_AT_ONCE) -> tuple[int, list[Assignment]]:
        """How many things were not where the records say, and what to ring.

        Looks at all records, a thousand keys a call, as far as `most` keys go: the next call of
        this object goes on from there.
        """
        mended, to_ring = 0, []
        for _ in range(0, most, CHUNK):
            kind, cursor = self._mending
            _, cursor, count, *rest = self._call(
                self._scripts["mend"], kind=kind, cursor=cursor, most=CHUNK, seed=self._seed()
            )
            mended += int(count)
            to_ring += assignments(rest)
            if cursor == "0":
                self._mending = ("node" if kind == "bug" else "bug", "0")
                if kind == "node":
                    break
            else:
                self._mending = (kind, str(cursor))
        return mended, to_ring

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

    def end_tick(self, name: str, term: int) -> bool:
        """Notes that the tick was carried out; False when somebody else has claimed it since. One
        that is not ended within a second is claimed again by the next caller."""
        return str(self._call(self._scripts["end_tick"], name=name, term=term)[0]) == "ENDED"

    # -- reads -----------------------------------------------------------------------------

    def snapshot(self, *, most_nodes: int = 100_000, with_progress: bool = False) -> Snapshot:
        """The cluster at one instant; with `most_nodes=0` its totals without the nodes. How far
        each bug on a node is, is read only when asked for."""
        reply = self._call(self._scripts["snapshot"], most=most_nodes, progress=int(with_progress))
        return as_snapshot(json.loads(reply[1]))

    def measure(self, most_nodes: int) -> Measurement:
        """The cluster at one instant as monitoring shows it, with so many nodes one by one. Costs
        the server a fraction of a snapshot, however many bugs run."""
        return Measurement.of(json.loads(self._call(self._scripts["measure"], most=most_nodes)[1]))

    def bug(self, bug_id: str) -> BugRecord:
        """The bug's record. Raises BugUnknown."""
        with self.reaching():
            fields: dict[str, str] = self.client.hgetall(f"{self.prefix}bug:{bug_id}")  # type: ignore[assignment]
        if not fields:
            raise BugUnknown(bug_id)
        return bug_record(bug_id, fields)

    def bugs(self, bug_ids: Sequence[str]) -> list[BugRecord]:
        """The records of those that are known, in the order given; one round trip per thousand."""
        records: list[BugRecord] = []
        for start in range(0, len(bug_ids), CHUNK):
            chunk = bug_ids[start : start + CHUNK]
            with self.reaching():
                pipe = self.client.pipeline(transaction=False)
                for bug_id in chunk:
                    pipe.hgetall(f"{self.prefix}bug:{bug_id}")
                replies = pipe.execute()
            records += [
                bug_record(bug, fields)
                for bug, fields in zip(chunk, replies, strict=True)
                if fields
            ]
        return records

    def states(self, bug_ids: Sequence[str]) -> dict[str, BugState]:
        """The states of those that are known; one light round trip per ten thousand."""
        states: dict[str, BugState] = {}
        for start in range(0, len(bug_ids), 10 * CHUNK):
            chunk = bug_ids[start : start + 10 * CHUNK]
            with self.reaching():
                pipe = self.client.pipeline(transaction=False)
                for bug_id in chunk:
                    pipe.hget(f"{self.prefix}bug:{bug_id}", "state")
                replies = pipe.execute()
            states |= {
                bug: BugState(state) for bug, state in zip(chunk, replies, strict=True) if state
            }
        return states

    def bug_ids(self, most: int = 1000) -> list[str]:
        """Ids of live bugs, those on nodes first, then of finished ones, the newest first."""
        snapshot = self.snapshot()
        ids = [bug for node in snapshot.nodes for bug in node.bugs]
        with self.reaching():
            for line in snapshot.lines:
                if len(ids) < most:
                    seats: list[str] = self.client.zrange(  # type: ignore[assignment]
                        f"{self.prefix}line:{line['class']}", 0, most - len(ids) - 1
                    )
                    ids += [bug_of(seat) for seat in seats]
            if len(ids) < most:
                ids += self.client.zrange(f"{self.prefix}delayed", 0, most - len(ids) - 1)  # type: ignore[arg-type]
            if len(ids) < most:
                ids += self.client.zrevrange(f"{self.prefix}finished", 0, most - len(ids) - 1)  # type: ignore[arg-type]
        return list(dict.fromkeys(ids))

    def ended(self, most: int = 50) -> list[tuple[str, int]]:
        """Bugs that have ended, and when (ms since 1970 by the store's clock); the last first."""
        with self.reaching():
            found: Any = self.client.zrevrange(
                f"{self.prefix}finished", 0, most - 1, withscores=True
            )
        return [(bug_id, int(at_ms)) for bug_id, at_ms in found]

    def log(self, bug_id: str, run: int) -> str:
        """What that run printed, up to its last report; its last megabyte."""
        with self.reaching():
            chunks: list[str] = self.client.lrange(f"{self.prefix}log:{bug_id}:{run}", 0, -1)  # type: ignore[assignment]
        return "".join(chunks)

    def running(self, bug_ids: Sequence[str]) -> list[Running]:
        """Those of the bugs that run, in the order given; one light round trip."""
        fields = ("state", "node", "phase", "runs", "started_ms", "since_ms", "printed_ms")
        with self.reaching():
            pipe = self.client.pipeline(transaction=False)
            pipe.time()
            for bug_id in bug_ids:
                pipe.hmget(f"{self.prefix}bug:{bug_id}", *fields)
            (seconds, microseconds), *replies = pipe.execute()
        now_ms = seconds * 1000 + microseconds // 1000
        return [
            running(bug_id, now_ms, dict(zip(fields, reply, strict=True)))
            for bug_id, reply in zip(bug_ids, replies, strict=True)
            if reply[0] == BugState.RUNNING
        ]

    def strategy(self) -> BalancingStrategy:
        """How nodes are chosen now."""
        with self.reaching():
            name = self.client.hget(f"{self.prefix}config", "strategy")
        return BalancingStrategy(str(name or json.loads(self._limits)["default_strategy"]))

    def last_event_id(self) -> str:
        """Where the event log ends now: `events` after this answers only what comes later."""
        with self.reaching():
            last: Any = self.client.xrevrange(f"{self.prefix}events", count=1)
        return str(last[0][0]) if last else "0-0"

    def last_events(self, most: int = 1000) -> list[Event]:
        """The last events, the oldest first."""
        with self.reaching():
            entries: Any = self.client.xrevrange(f"{self.prefix}events", count=most)
        return [Event(id=entry_id, **fields) for entry_id, fields in reversed(entries)]

    def events(self, after: str, *, wait_ms: int = 0, most: int = 1000) -> list[Event]:
        """What happened after that id; waits up to `wait_ms` (at most 4 s) when nothing did."""
        with self.reaching():
            reply: Any = self.client.xread(
                {f"{self.prefix}events": after}, count=most, block=min(wait_ms, 4000) or None
            )
        if not reply:
            return []
        entries = next(iter(reply.values()))[0] if isinstance(reply, dict) else reply[0][1]
        return [Event(id=entry_id, **fields) for entry_id, fields in entries]

    def listen(self, node: str, incarnation: str) -> "redis.client.PubSub":
        """A subscription to the channel of this life of the node, on which nothing is ever said:
        that it is there says that the node lives."""
        with self.reaching():
            listening: redis.client.PubSub = self.client.pubsub()  # type: ignore[no-untyped-call]
            listening.subscribe(f"{self.prefix}life:{node}:{incarnation}")
        return listening

    def ping(self) -> Mapping[str, Any]:
        """The server's own words about itself (INFO)."""
        with self.reaching():
            return self.client.info()


def _counted(flat: Sequence[str]) -> tuple[list[str], list[str]]:
    """A list that follows its own length, and the rest."""
    cut = 1 + int(flat[0])
    return list(flat[1:cut]), list(flat[cut:])


def _entry(bug: Bug, trace: str | None) -> str:
    expected_ms = int((bug.expected_s or 0) * 1000)
    spec = {
        "agents": bug.agents,
        "requires": sorted(bug.requires),
        "priority": bug.priority,
        "timeout_s": bug.timeout_s,
        "payload": bug.payload,
    }
    if bug.limits:
        spec["limits"] = dict(bug.limits)
    if trace:
        spec["trace"] = trace
    try:
        written = json.dumps(spec, separators=(",", ":"))
    except (TypeError, ValueError) as error:
        raise type(error)(f"the payload of bug {bug.id} is no JSON: {error}") from error
    if len(written) > MAX_PAYLOAD_BYTES:
        raise ValueError(
            f"the payload of bug {bug.id} is {len(written) >> 10} KiB of JSON; at most "
            f"{MAX_PAYLOAD_BYTES >> 10}: give what is large as a source, or as fewer patches"
        )
    # The spec goes in as text, so that Lua never reads and rewrites what is in it.
    entry = [bug.id, bug.bug_class, bug.priority, expected_ms, written]
    if (wait_limit_s := bug.limits.get(BugClock.WAITING)) is not None:
        entry.append(math.ceil(wait_limit_s * 1000))
    return json.dumps(entry, separators=(",", ":"))


def _chunks(entries: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for entry in entries:
        if chunk and (len(chunk) == CHUNK or size + len(entry) > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(entry)
        size += len(entry)
    if chunk:
        yield chunk
