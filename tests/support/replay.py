"""A store whose every call is sent twice, as a client library does after a slow reply."""

from typing import Any

from fixwurx_celery.store import ClusterStore
from fixwurx_celery.store.scripts import Script
from tests.support.state import dump, without_tries


class ReplayingStore(ClusterStore):
    """Fails when a call's repetition changes anything, or answers what its header does not say.

    `last` is the first reply of the last call, `again` the reply to its repetition.
    """

    last_script = ""
    last: list[Any]
    again: list[Any]

    def _call(self, script: Script, **given: Any) -> list[Any]:
        self.last_script = script.name
        self.last = super()._call(script, **given)
        assert self.last[0] in script.statuses, (
            f"{script.name} answers {self.last[0]}, undocumented"
        )
        once = without_tries(dump(self))
        self.again = super()._call(script, **given)
        assert self.again[0] in script.statuses
        twice = without_tries(dump(self))
        assert twice == once, (
            f"{script.name} sent twice changed what it had done: {_delta(once, twice)}"
        )
        return self.last


def _delta(once: dict[str, Any], twice: dict[str, Any]) -> dict[str, Any]:
    changed = (key for key in once.keys() | twice.keys() if once.get(key) != twice.get(key))
    return {key: (once.get(key), twice.get(key)) for key in sorted(changed)[:8]}
