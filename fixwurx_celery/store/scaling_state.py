"""What the controllers know of scaling, in the store: launches, decisions, the provider's troubles.

Whoever acts on a tick says under which term it was claimed. Once a later tick has been claimed, the
store takes nothing of the earlier one any more: `TermOver` is raised, and its holder must stop.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from fixwurx_celery.domain.nodes import LaunchStage
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.store.cluster_store import ClusterStore
from fixwurx_celery.store.records import Launch, launch

__all__ = ["SCALE", "Decision", "Observation", "ScalingState", "ServingNode", "TermOver"]

SCALE: Final = "scale"
"""The name of the tick."""

MOST_CANDIDATES: Final = 100
"""Nodes that one tick looks at for scaling in, the emptiest: the next tick goes on."""


class TermOver(FixwurxError):
    """A later scaling tick has been claimed: this one's holder must not act any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingNode:
    """A node in service. `state` is READY, STOPPING, or SICK (given single probes only). `holds`
    has the agents of each bug on it, where it is a candidate for scaling in."""

    worker_id: str
    profile: str
    state: str
    free: int
    bugs: int
    idle_ms: int
    holds: Sequence[int] = ()

    @classmethod
    def of(cls, told: Sequence[Any]) -> "ServingNode":
        """The node that the script tells so."""
        node, profile, state, free, bugs, idle_ms, *holds = told
        return cls(
            worker_id=node,
            profile=profile,
            state=state,
            free=int(free),
            bugs=int(bugs),
            idle_ms=int(idle_ms),
            holds=[int(agents) for agents in holds[0]] if holds else [],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The cluster at one instant.

    `supply` counts the nodes that take bugs by profile and free agents, `others` those in service
    that take none. The `candidates` for scaling in are in `supply` too. `nodes` are those in
    service whose launch is not READY; `launches` those of both, and those that are not in service;
    `known` has the names of all launches. `waiting` counts bugs by class, `run_ms` is how long they
    run; `boots_ms` has the newest first; `needed` is by profile, for each tick of the window.
    """

    now_ms: int
    cluster: str
    supply: Mapping[tuple[str, int], int]
    others: int
    candidates: Sequence[ServingNode]
    nodes: Sequence[ServingNode]
    launches: Mapping[str, Launch]
    known: frozenset[str]
    waiting: Mapping[str, int]
    run_ms: Mapping[str, int]
    boots_ms: Sequence[int]
    failures: int
    pause_until_ms: int
    error: str
    needed: Sequence[Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One recorded decision. `id` orders it; `told` has everything, its inputs under `view`."""

    id: str
    term: int
    action: str
    reason: str
    told: Mapping[str, Any]

    @property
    def at_ms(self) -> int:
        """When, by the store's clock."""
        return int(self.id.partition("-")[0])


class ScalingState:
    """One method per script, of the same name, and the reads."""

    def __init__(self, store: ClusterStore) -> None:
        self._store = store

    def observe(self, window_s: float, cluster: str) -> Observation:
        """What a decision depends on. `cluster` becomes the cluster's id where it has none."""
        told = json.loads(
            self._store.call(
                "observe", window_ms=int(window_s * 1000), most=MOST_CANDIDATES, cluster=cluster
            )[1]
        )
        provider = told["provider"] or {}
        return Observation(
            now_ms=int(told["now_ms"]),
            cluster=told["cluster"],
            supply={
                (profile, int(free)): int(count)
                for shelf, count in (told["supply"] or {}).items()
                for profile, _, free in [shelf.rpartition(":")]
                if count > 0
            },
            others=int(told["others"]),
            candidates=[ServingNode.of(one) for one in told["candidates"] or ()],
            nodes=[ServingNode.of(one) for one in told["nodes"] or ()],
            launches={node: launch(node, said) for node, said in (told["launches"] or {}).items()},
            known=frozenset(filter(None, told["known"].split("\n"))),
            waiting={name: int(count) for name, count in (told["waiting"] or {}).items()},
            run_ms={name: int(ms) for name, ms in (told["runs"] or {}).items()},
            boots_ms=[int(ms) for ms in told["boots"] or ()],
            failures=int(provider.get("failures", 0)),
            pause_until_ms=int(provider.get("pause_until_ms", 0)),
            error=provider.get("error", ""),
            needed=[json.loads(one.partition(":")[2]) for one in told["needed"] or ()],
        )

    def plan_launch(
        self, term: int, node: str, *, name: str, profile: str, scope: str, most: int
    ) -> str:
        """PLANNED; EXISTS or FULL when it may not be launched. Raises TermOver."""
        return self._under(
            term, "plan_launch", node=node, name=name, profile=profile, scope=scope, most=most
        )

    def adopt_launch(
        self,
        term: int,
        node: str,
        *,
        name: str,
        profile: str,
        scope: str,
        age_s: float,
        stage: LaunchStage = LaunchStage.STARTING,
    ) -> str:
        """ADOPTED, or KNOWN. One that is STARTING is READY where it serves. Raises TermOver."""
        return self._under(
            term, "adopt_launch",
            node=node, name=name, profile=profile, scope=scope, age_ms=int(age_s * 1000),
            stage=str(stage),
        )  # fmt: skip

    def move_launch(self, term: int, node: str, stage: LaunchStage, reason: str) -> str:
        """MOVED, or UNKNOWN. Raises TermOver."""
        return self._under(term, "move_launch", node=node, stage=str(stage), reason=reason)

    def end_launch(self, term: int, node: str, reason: str, *, is_failure: bool = False) -> str:
        """ENDED. Raises TermOver."""
        return self._under(term, "end_launch", node=node, failure=int(is_failure), reason=reason)

    def fail_provider(self, term: int, reason: str) -> str:
        """NOTED. Raises TermOver."""
        return self._under(term, "fail_provider", reason=reason)

    def record_decision(
        self,
        term: int,
        *,
        action: str,
        reason: str,
        needed: Mapping[str, int],
        told: Mapping[str, Any],
        window_s: float,
    ) -> str:
        """RECORDED. Raises TermOver."""
        return self._under(
            term, "record_decision",
            action=action, reason=reason, needed=json.dumps(needed), decision=json.dumps(told),
            window_ms=int(window_s * 1000),
        )  # fmt: skip

    def restore_scaling(self, kept: Mapping[str, Any]) -> bool:
        """Gives an empty store what `kept_state` read of another; False when it has its own."""
        reply = self._store.call("restore_scaling", state=json.dumps(kept))
        return str(reply[0]) == "RESTORED"

    def kept_state(self) -> dict[str, Any]:
        """What controllers know and could not learn again: for a file, as JSON types. Empty where
        no controller has been."""
        names = ("config", "launches", "durations", "provider")
        with self._store.reaching():
            pipe = self._store.client.pipeline()
            for name in names:
                pipe.hgetall(self._store.prefix + name)
            pipe.lrange(self._store.prefix + "boots", 0, -1)
            pipe.zrange(self._store.prefix + "needed", 0, -1, withscores=True)
            *hashes, boots, needed = pipe.execute()
        if not hashes[0].get("cluster"):
            return {}
        flat = [one for member, score in needed for one in (member, int(score))]
        return {**dict(zip(names, hashes, strict=True)), "boots": boots, "needed": flat}

    def _under(self, term: int, script: str, **given: Any) -> str:
        status = str(self._store.call(script, term=term, **given)[0])
        if status == "STALE":
            raise TermOver
        return status

    def decisions(self, most: int = 50, *, changes_only: bool = False) -> list[Decision]:
        """The last decisions, the newest first; only those that changed something, where asked."""
        found: list[Decision] = []
        before = "+"
        while len(found) < most:
            entries = self._read(before, 500 if changes_only else most - len(found))
            if not entries:
                break
            before = f"({entries[-1].id}"
            found += [one for one in entries if one.action != "hold" or not changes_only]
        return found[:most]

    def _read(self, before: str, count: int) -> list[Decision]:
        with self._store.reaching():
            entries: Any = self._store.client.xrevrange(
                self._store.prefix + "decisions", max=before, count=count
            )
        return [
            Decision(
                id=entry,
                term=int(fields["term"]),
                action=fields["action"],
                reason=fields["reason"],
                told=json.loads(fields["decision"]),
            )
            for entry, fields in entries
        ]
