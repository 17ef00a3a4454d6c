"""Which targets can be built together, and which have to wait."""

from collections.abc import Mapping


class CycleError(ValueError):
    """Some targets wait for each other."""

    def __init__(self, targets: list[str]) -> None:
        super().__init__(f"targets wait for each other: {', '.join(targets)}")
        self.targets = targets


def build_layers(needs: Mapping[str, list[str]]) -> list[list[str]]:
    """Layers of targets, each of which needs only earlier layers; sorted inside."""
    waiting: dict[str, set[str]] = {}
    for target, required in needs.items():
        waiting.setdefault(target, set()).update(required)
        for name in required:
            waiting.setdefault(name, set())
    layers = []
    done: set[str] = set()
    while waiting:
        ready = sorted(name for name, required in waiting.items() if required < done)
        if not ready:
            raise CycleError(sorted(waiting))
        layers.append(ready)
        done.update(ready)
        for name in ready:
            del waiting[name]
    return layers


def affected_by(changed: str, needs: Mapping[str, list[str]]) -> set[str]:
    """Everything that has to be built again when one target changes."""
    affected = {changed}
    grows = True
    while grows:
        before = len(affected)
        affected |= {t for t, required in needs.items() if affected & set(required)}
        grows = len(affected) > before
    return affected - {changed}
