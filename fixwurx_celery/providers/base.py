"""What a provider is: whatever can start a node somewhere and make it go.

One node is one thing of the provider's (a supervised process, a container, a pod), named and
labelled as this cluster's. `list` is the truth, memory is not: a caller that died half-way finds
everything there. Each call is harmless when repeated for the same name, and bounded in time.

    launch ──▶ STARTING ──▶ RUNNING ──stop──▶ STOPPING ──▶ ENDED ──remove──▶ not listed
                   └──────────┴── ends by itself ──────────▲
                   └──────────┴──────┴── remove (SIGKILL) ───────────────▶ not listed

Who clears away by itself what it was told to stop, as Kubernetes does, lists it no more instead of
ENDED.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from fixwurx_celery.domain.nodes import NodeSpec

__all__ = ["LaunchOrder", "ProvidedNode", "ProvidedState", "Provider"]


class ProvidedState(StrEnum):
    """How far a provided node is, as its provider sees it. Whether the node works, the store
    knows: it registers there."""

    STARTING = "STARTING"
    RUNNING = "RUNNING"
    STOPPING = "STOPPING"
    ENDED = "ENDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOrder:
    """A node to start. `name` is unique in the cluster, letters and digits, at most 40;
    `environment` has its FIXWURX_* settings, the address of the store with its password among
    them."""

    name: str
    spec: NodeSpec
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvidedNode:
    """A node as its provider lists it. `age_s` counts from its launch; `detail` says why it ended,
    or why it does not start: a status, the end of its log."""

    name: str
    spec: NodeSpec
    state: ProvidedState
    age_s: float
    detail: str = ""


class Provider(Protocol):
    """Starts and stops nodes of one cluster. Every method raises ProviderError when the provider
    does not do it, within `timeout_s` of its construction."""

    name: str
    """As FIXWURX_PROVIDER names it."""

    @property
    def scope(self) -> str:
        """What its list covers, for example a host. A launch of another scope is not its own. The
        provider may have to ask for it, and then raises as its methods do."""

    def worker_id(self, name: str) -> str:
        """The Celery node name under which the node of this name registers."""

    def is_gone(self, scope: str) -> bool:
        """Whether another scope is known to have ended, with all its nodes. Asks nobody."""

    def list(self) -> Sequence[ProvidedNode]:
        """All nodes of this cluster here, however they came about; those that ended included."""

    def launch(self, order: LaunchOrder) -> None:
        """Starts the node, unless one of its name is there. Does not wait until it registers."""

    def stop(self, name: str) -> None:
        """Tells it to end (SIGTERM to its main process), which it does in its own time. It gets one
        SIGTERM however often it is told: a second one would hurry it."""

    def remove(self, name: str) -> None:
        """Kills it if it still runs, and removes it from the list with all that belongs to it. When
        this returns it is not listed any more, and its name is free."""

    def close(self) -> None:
        """Closes this process's connections. The nodes go on."""
