"""What a scaling decision depends on: the cluster, in numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.words import counted

__all__ = ["Candidate", "ClusterView", "Demand", "Draining", "ScalingPolicy", "Supply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """`count` nodes in service that are alike: the same spec, and as many agents free."""

    spec: NodeSpec
    free: int
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """Waiting bugs that are alike. `run_s` is how long such a bug runs, where that was measured."""

    agents: int
    requires: frozenset[str] = frozenset()
    waiting: int
    run_s: float | None = None

    def __str__(self) -> str:
        labels = f" that require {','.join(sorted(self.requires))}" if self.requires else ""
        return f"{counted(self.waiting, 'bug')} of {counted(self.agents, 'agent')}{labels}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A node of ours that may be scaled in. `holds` has the agents of each bug on it; `idle_s` is
    for how long it has held none."""

    worker_id: str
    spec: NodeSpec
    holds: tuple[int, ...] = ()
    idle_s: float = 0.0

    @property
    def use(self) -> float:
        """The share of its agents at work."""
        return sum(self.holds) / self.spec.agents


@dataclass(frozen=True, slots=True, kw_only=True)
class Draining:
    """A node of ours that is being scaled in and can still be had back. `held` are its agents that
    are still at work."""

    worker_id: str
    spec: NodeSpec
    held: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """All that a decision depends on.

    `supply` are the nodes that take bugs, the `candidates` among them; `starting` counts nodes that
    were launched and have not registered, by spec. `others` are nodes that exist and take no bugs:
    drained by an operator, too sick. `needed` is what was needed at each tick of the window, by
    profile. `boot_s` is how long nodes took to start, None where none has yet. `may_launch` is how
    many may be launched now, where the provider is in trouble, and `trouble` says what it has.
    """

    supply: Sequence[Supply] = ()
    starting: Mapping[NodeSpec, int] = field(default_factory=dict)
    draining: Sequence[Draining] = ()
    candidates: Sequence[Candidate] = ()
    others: int = 0
    demand: Sequence[Demand] = ()
    needed: Sequence[Mapping[str, int]] = ()
    boot_s: float | None = None
    may_launch: int | None = None
    trouble: str = ""

    @property
    def in_service(self) -> int:
        """Nodes that take bugs."""
        return sum(supply.count for supply in self.supply)

    @property
    def serving(self) -> int:
        """Nodes that take bugs, and those that start."""
        return self.in_service + sum(self.starting.values())

    @property
    def nodes(self) -> int:
        """All that exist, and those that start."""
        return self.serving + len(self.draining) + self.others

    @property
    def total_agents(self) -> int:
        """Agents of the nodes that take bugs."""
        return sum(supply.spec.agents * supply.count for supply in self.supply)

    @property
    def held_agents(self) -> int:
        """Those of them at work."""
        return sum((supply.spec.agents - supply.free) * supply.count for supply in self.supply)

    @property
    def waiting_agents(self) -> int:
        """Agents that the waiting bugs ask for."""
        return sum(one.agents * one.waiting for one in self.demand)

    def as_dict(self) -> dict[str, Any]:
        """As JSON types: what a recorded decision has as its inputs."""
        return {
            "supply": [
                {"profile": one.spec.profile, "free": one.free, "count": one.count}
                for one in self.supply
            ],
            "starting": {spec.profile: count for spec, count in self.starting.items()},
            "draining": [
                {"worker_id": one.worker_id, "profile": one.spec.profile, "held": one.held}
                for one in self.draining
            ],
            "candidates": [
                {
                    "worker_id": one.worker_id,
                    "profile": one.spec.profile,
                    "holds": list(one.holds),
                    "idle_s": one.idle_s,
                }
                for one in self.candidates
            ],
            "others": self.others,
            "demand": [asdict(one) | {"requires": sorted(one.requires)} for one in self.demand],
            "needed": [dict(one) for one in self.needed],
            "boot_s": self.boot_s,
            "may_launch": self.may_launch,
            "trouble": self.trouble,
        }

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "ClusterView":
        """The view that `as_dict` wrote: a recorded decision can be taken again."""
        spec = NodeSpec.of_profile
        return cls(
            supply=[
                Supply(spec=spec(one["profile"]), free=one["free"], count=one["count"])
                for one in told["supply"]
            ],
            starting={spec(profile): count for profile, count in told["starting"].items()},
            draining=[
                Draining(
                    worker_id=one["worker_id"],
                    spec=spec(one["profile"]),
                    held=one.get("held", 0),
                )
                for one in told["draining"]
            ],
            candidates=[
                Candidate(
                    worker_id=one["worker_id"],
                    spec=spec(one["profile"]),
                    holds=tuple(one["holds"]),
                    idle_s=one["idle_s"],
                )
                for one in told["candidates"]
            ],
            others=told["others"],
            demand=[
                Demand(**{**one, "requires": frozenset(one["requires"])}) for one in told["demand"]
            ],
            needed=told["needed"],
            boot_s=told["boot_s"],
            may_launch=told["may_launch"],
            trouble=told["trouble"],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingPolicy:
    """What the operator wants. `specs` are the kinds of nodes that can be launched, the usual one
    first; `target` is the utilisation aimed at. While demand still falls, nodes are removed only
    where even the window's highest demand used less than `scale_down_threshold` of their agents.
    No node is started for a bug that one at work will serve within `acceptable_wait_s`."""

    specs: Sequence[NodeSpec]
    min_workers: int = 1
    max_workers: int = 5
    target: float = 0.8
    window_s: float = 60.0
    scale_down_threshold: float = 0.3
    acceptable_wait_s: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.min_workers <= self.max_workers:
            raise ValueError(
                f"min_workers {self.min_workers} must lie between 0 and max_workers "
                f"{self.max_workers}"
            )
        if not 0 < self.target <= 1:
            raise ValueError(f"target {self.target} must lie above 0 and not above 1")
        if not 0 <= self.scale_down_threshold < 1:
            raise ValueError(
                f"scale_down_threshold {self.scale_down_threshold} must lie within 0 and 1"
            )

    @property
    def most_use(self) -> float:
        """The utilisation above which nodes are added for headroom alone, up to the target: half of
        it has been used up by then. Were it the target, every single bug more would be a change."""
        return (1 + self.target) / 2

    def as_dict(self) -> dict[str, Any]:
        """As JSON types."""
        return asdict(self) | {"specs": [spec.profile for spec in self.specs]}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> "ScalingPolicy":
        """The policy that `as_dict` wrote."""
        specs = [NodeSpec.of_profile(profile) for profile in told["specs"]]
        return cls(**{**told, "specs": specs})
