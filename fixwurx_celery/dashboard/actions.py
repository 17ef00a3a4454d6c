"""What can be done from the page. Blocking: each runs in a thread, and tells what it did."""

from fixwurx_celery.cluster import Connection
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.domain.words import counted
from fixwurx_celery.errors import InputError

__all__ = ["drain", "resume", "set_strategy"]


def drain(connection: Connection, worker_id: str) -> str:
    """Gives the node no more bugs. Raises NodeUnknown, StoreUnavailable."""
    grace_s = connection.settings.drain_timeout_sec
    running, assignments = connection.store.drain(worker_id, grace_s)
    connection.ring(assignments)
    still = f"it still runs {counted(running, 'bug')}, for at most {grace_s:g} s"
    return f"{worker_id} takes no more bugs; {still if running else 'it runs none'}"


def resume(connection: Connection, worker_id: str) -> str:
    """Lets a drained node take bugs again. Raises NodeUnknown, StoreUnavailable."""
    connection.ring(connection.store.resume(worker_id))
    return f"{worker_id} takes bugs again"


def set_strategy(connection: Connection, name: str) -> str:
    """Changes how nodes are chosen. Raises InputError, StoreUnavailable."""
    if name not in BalancingStrategy.__members__:
        raise InputError([f"no strategy {name}: there are {', '.join(BalancingStrategy)}"])
    before = connection.store.set_strategy(BalancingStrategy(name))
    return f"nodes are chosen by {name} (before: {before})"
