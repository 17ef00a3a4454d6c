"""Every error that a user can meet; the message says what was refused and the way out."""

from typing import ClassVar

__all__ = [
    "BugUnknown",
    "ConfigurationError",
    "FixwurxError",
    "InputError",
    "LineFull",
    "NodeUnknown",
    "NotBuilt",
    "ProviderError",
    "ReadOnly",
    "StoreRefuses",
    "StoreUnavailable",
    "Unsatisfiable",
    "WaitTimeout",
]


class FixwurxError(Exception):
    """The operation was refused."""

    exit_status: ClassVar[int] = 1


class ConfigurationError(FixwurxError, ValueError):
    """A setting is wrong. All problems are in `problems`, one line each."""

    exit_status = 2

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class InputError(FixwurxError):
    """Bad input, refused whole before anything started. One line per problem in `problems`."""

    exit_status = 2

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class StoreUnavailable(FixwurxError):
    """The store cannot be reached, or refused to work."""

    exit_status = 3


class StoreRefuses(StoreUnavailable):
    """The store answered that it does not work now: nothing was done."""


class NotPermitted(FixwurxError):
    """The user of the store's address may not do this; the store has changed nothing."""


class NotBuilt(FixwurxError):
    """No server binary for the embedded store exists on this machine."""

    exit_status = 3


class LineFull(FixwurxError):
    """Too many bugs wait already."""

    def __init__(self, bug_id: str, bound: int) -> None:
        self.bug_id, self.bound = bug_id, bound
        super().__init__(
            f"cannot take bug {bug_id}: {bound} bugs wait already, the most that "
            "FIXWURX_MAX_WAITING allows; retry when some have ended, or raise it"
        )


class Unsatisfiable(FixwurxError):
    """No node could ever run the bug."""

    def __init__(
        self, bug_id: str, agents: int, largest: int, requires: frozenset[str] = frozenset()
    ) -> None:
        self.bug_id, self.agents, self.largest = bug_id, agents, largest
        labels = f" with {', '.join(sorted(requires))}" if requires else ""
        if largest:
            why = (
                f"it needs {agents} agents at once and the largest node{labels} has {largest}; "
                "lower `agents`, or start a larger node"
            )
        else:
            why = (
                f"no node{labels} is there, and none can be started; add such a node to "
                "FIXWURX_NODE_SPECS, or start one"
            )
        super().__init__(f"cannot take bug {bug_id}: {why}")


class BugUnknown(FixwurxError):
    """The store holds no such bug: never submitted, or ended and past its keep, or lost by it."""

    def __init__(self, bug_id: str) -> None:
        self.bug_id = bug_id
        super().__init__(
            f"no bug {bug_id}: it was never submitted, it ended longer ago than finished bugs are "
            "kept, or a store that failed over lost it (submit it again then); see "
            "`fixwurx-celery bug list`"
        )


class NodeUnknown(FixwurxError):
    """No node of that name is registered."""

    def __init__(self, worker_id: str) -> None:
        self.worker_id = worker_id
        super().__init__(f"no node {worker_id}; see `fixwurx-celery node list`")


class WaitTimeout(FixwurxError, TimeoutError):
    """The bug had not ended when the caller's patience had."""


class ReadOnly(FixwurxError, AttributeError, TypeError):
    """What was to be changed is a picture of the cluster: it changes only where the cluster does.
    Also an AttributeError and a TypeError, as frozen objects and read-only mappings raise."""


class ProviderError(FixwurxError):
    """The provider of nodes could not be reached, or refused."""

    exit_status = 3
