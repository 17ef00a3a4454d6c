"""A cluster whose nodes a provider starts."""

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fixwurx_celery.domain.nodes import NodeSpec, WorkerNode, WorkerState
from fixwurx_celery.providers import (
    LaunchOrder,
    ProvidedNode,
    ProvidedState,
    Provider,
    open_provider,
)
from fixwurx_celery.settings import Settings
from tests.support.node_cluster import NodeCluster
from tests.support.own_cluster import QUICK
from tests.support.provider_beds import Bed
from tests.support.waiting import wait_until

__all__ = ["SPEC", "ProvidedCluster"]

SPEC = NodeSpec(agents=3, capabilities=frozenset({"python", "quick"}))
PATIENCE_S = 40.0


class ProvidedCluster(NodeCluster):
    """A namespace in the store, and a cluster id at the provider, of a test's own."""

    def __init__(
        self,
        bed: Bed,
        redis_url: str,
        folder: Path,
        given: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        """`given` are settings, `options` the provider's."""
        self.bed, self.id = bed, f"c{uuid.uuid4().hex[:8]}"
        settings = Settings(
            redis_url=redis_url,
            namespace=f"t{uuid.uuid4().hex[:12]}",
            engine="tests.support.engines:Scripted",
            **QUICK,
            **bed.settings(**options),
            **(given or {}),
        )
        super().__init__(settings, folder)
        self.provider = self.another()
        self._others: list[Provider] = []

    def another(self, cluster: str = "", **given: Any) -> Provider:
        """The provider as another process of the cluster has it, or one of another cluster."""
        settings = Settings.from_environment(self.settings.environment(), **given)
        provider = open_provider(settings, cluster or self.id)
        assert provider is not None
        return provider

    def order(self, name: str, spec: NodeSpec = SPEC, **environment: str) -> LaunchOrder:
        given = {**self.settings.environment(), **environment}
        return LaunchOrder(name=name, spec=spec, environment=given)

    def launch(self, name: str, **environment: str) -> str:
        """Its Celery node name."""
        self.provider.launch(self.order(name, **environment))
        return self.provider.worker_id(name)

    # -- as the provider sees it -----------------------------------------------------------

    def node(self, name: str) -> ProvidedNode | None:
        """The one listed under that name."""
        found = [node for node in self.provider.list() if node.name == name]
        assert len(found) <= 1, f"{name} is listed {len(found)} times"
        return found[0] if found else None

    def is_over(self, name: str) -> bool:
        """Whether it has ended, or was removed because it had."""
        node = self.node(name)
        return node is None or node.state is ProvidedState.ENDED

    def waits_for(self, name: str, state: ProvidedState) -> ProvidedNode:
        return self._sees(
            f"{name} is {state}", name, lambda node: node is not None and node.state is state
        )  # type: ignore[return-value]

    def waits_until_over(self, name: str) -> None:
        wait_until(f"{name} is over", lambda: self.is_over(name), within_s=PATIENCE_S)

    def waits_until_unlisted(self, name: str) -> None:
        self._sees(f"{name} is not listed", name, lambda node: node is None)

    def _sees(
        self, what: str, name: str, is_so: Callable[[ProvidedNode | None], bool]
    ) -> ProvidedNode | None:
        last: list[ProvidedNode | None] = []

        def look() -> bool:
            last[:] = [self.node(name)]
            return is_so(last[0])

        try:
            wait_until(what, look, within_s=PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; listed: {last}") from None
        return last[0]

    # -- as the store sees it --------------------------------------------------------------

    def registered(self, name: str) -> WorkerNode | None:
        worker_id = self.provider.worker_id(name)
        nodes = self.store.snapshot().nodes
        return next((node for node in nodes if node.worker_id == worker_id), None)

    def waits_until_registered(self, name: str) -> WorkerNode:
        def look() -> WorkerNode | None:
            node = self.registered(name)
            return node if node is not None and node.state is WorkerState.READY else None

        try:
            return wait_until(f"{name} registers", look, within_s=PATIENCE_S)
        except AssertionError as error:
            raise AssertionError(f"{error}; listed: {self.provider.list()}") from None

    def waits_until_offline(self, name: str) -> None:
        def look() -> bool:
            node = self.registered(name)
            return node is not None and node.state is WorkerState.OFFLINE

        wait_until(f"{name} is OFFLINE", look, within_s=PATIENCE_S)

    def long_bug(self) -> tuple[str, Path]:
        """A bug that runs until the test makes that file."""
        gate = self.bed.shared / uuid.uuid4().hex
        bug_id = self.submit({"phase": "REPRO", "until": str(gate)}, agents=3)
        self.running(bug_id)
        return bug_id, gate

    def close(self) -> None:
        """Nothing is left of its nodes."""
        for node in self.provider.list():
            self.provider.remove(node.name)
        wait_until(
            f"nothing is left of {self.id}", lambda: not self.bed.things(self.id), within_s=90
        )
        self.provider.close()
        self.connection.close()
