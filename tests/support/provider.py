"""A provider that keeps its nodes in a dictionary, and can be made to fail at any call."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fixwurx_celery.errors import ProviderError
from fixwurx_celery.providers import LaunchOrder, ProvidedNode, ProvidedState


class Died(BaseException):
    """The controller's process ends here."""


@dataclass
class FakeProvider:
    """`fails` has the calls that raise ProviderError; `dies_at` is where the caller dies, before
    (`launch`) or after (`launch!`) the call has done its work; `lies` is what it lists of nodes
    that are there: nothing (`hides`), or that they have ended (`buries`)."""

    name: str = "fake"
    nodes: dict[str, ProvidedNode] = field(default_factory=dict)
    fails: set[str] = field(default_factory=set)
    dies_at: str = ""
    lies: str = ""
    calls: list[str] = field(default_factory=list)

    @property
    def scope(self) -> str:
        if "scope" in self.fails:
            raise ProviderError("scope was refused")
        return "fake:here"

    def worker_id(self, name: str) -> str:
        return f"{name}@fake"

    def is_gone(self, scope: str) -> bool:
        return scope.endswith("gone")

    def list(self) -> list[ProvidedNode]:
        found: list[ProvidedNode] = []
        self._call("list", "", lambda: found.extend(self.nodes.values()))
        match self.lies:
            case "hides":
                return []
            case "buries":
                return [replace(node, state=ProvidedState.ENDED, detail="a lie") for node in found]
            case _:
                return found

    def launch(self, order: LaunchOrder) -> None:
        node = ProvidedNode(
            name=order.name, spec=order.spec, state=ProvidedState.STARTING, age_s=0.0
        )
        self._call("launch", order.name, lambda: self.nodes.setdefault(order.name, node))

    def stop(self, name: str) -> None:
        self._call("stop", name, lambda: self.change(name, ProvidedState.STOPPING))

    def remove(self, name: str) -> None:
        self._call("remove", name, lambda: self.nodes.pop(name, None))

    def close(self) -> None:
        self.calls.append("close")

    def change(self, name: str, state: ProvidedState, detail: str = "") -> None:
        if name in self.nodes:
            self.nodes[name] = replace(self.nodes[name], state=state, detail=detail)

    def _call(self, call: str, name: str, work: Callable[[], object]) -> None:
        self.calls.append(f"{call} {name}".strip())
        if call in self.fails:
            raise ProviderError(f"{call} was refused")
        if self.dies_at == call:
            raise Died
        work()
        if self.dies_at == call + "!":
            raise Died
