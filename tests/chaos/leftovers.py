"""What a cluster must not leave behind: processes, folders, queues, keys."""

import contextlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import psutil

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore, connect
from fixwurx_celery.store.keys import key_of
from tests.chaos.engine import CHILD
from tests.chaos.fleet import Fleet
from tests.support.waiting import wait_until

__all__ = [
    "left_children",
    "left_in_store",
    "left_of_fleet",
    "left_when_expired",
    "names_in",
    "queues_are_deleted",
    "sweep_later",
]

LEARNED = ("boots", "decisions", "durations", "needed", "provider")
STAYS = ("config", "stats", "tally", "events", "server", *LEARNED)
OF_LIVE_NODES = (
    "nodes",
    "queues",
    "heard",
    "profiles",
    "ejected",
    "shelf:<shelf>",
    "levels:<profile>",
)
SHOWN_FOR_AN_HOUR = ("gone", "node:<node>")
KEPT = ("bug:<bug>", "finished", "log:<bug>:<run>", "took:<bug>", "tick:<name>", *STAYS)
GONE_WITHIN_S = 20.0


def left_children(fleet: Fleet) -> list[str]:
    """Processes that runs left behind, while the cluster is up and all bugs have ended."""
    return _lasting(
        lambda: [_described(process) for process in fleet.processes() if _is_child(process)]
    )


def left_of_fleet(fleet: Fleet) -> list[str]:
    """Processes and folders, once the whole fleet was stopped."""
    processes = _lasting(lambda: [_described(process) for process in fleet.processes()])
    base = Path(fleet.settings.work_dir)
    spool = base / f"spool-{fleet.settings.namespace}"  # stays, and is empty
    folders = _lasting(
        lambda: sorted(str(p) for p in [*base.glob("*"), *spool.glob("*")] if p != spool)
    )
    return processes + [f"folder {path}" for path in folders]


def left_in_store(store: ClusterStore, live: list[str]) -> list[str]:
    """Keys that none of the `live` workers explains, once all bugs have ended."""
    wrong = []
    for name in names_in(store):
        if name.startswith("celery:"):
            wrong += _left_in_broker(store, name, live)
            continue
        kind = key_of(name)
        allowed = (*KEPT, *SHOWN_FOR_AN_HOUR)
        if live:
            allowed += OF_LIVE_NODES
        if kind is None or kind.name not in allowed:
            wrong.append(f"key {name}")
        elif kind.expires and store.client.ttl(store.prefix + name) == -1:
            wrong.append(f"key {name} never expires")
    return wrong


def queues_are_deleted(store: ClusterStore) -> bool:
    """Whether no queue of a node that went is still to be deleted."""
    return not store.client.exists(f"{store.prefix}queues")


def sweep_later(settings: Settings) -> None:
    """Sweeps as they will be when finished bugs and dead nodes are past their keep, by somebody who
    deletes the queues that a sweep names."""
    later_ms = int(time.time() * 1000) + 40 * 86_400_000
    store = ClusterStore(connect(settings.redis_url), settings, clock_ms=lambda: later_ms)
    while (swept := store.sweep(1000)).queues or store.snapshot().finished:
        for node in swept.queues:
            store.forget_queue(node)
    store.close()


def left_when_expired(settings: Settings) -> list[str]:
    """Keys that stay for ever, though nothing lives any more. Sweeps as of a later day."""
    sweep_later(settings)
    store = ClusterStore.from_settings(settings)
    wrong = []
    for name in names_in(store):
        kind = key_of(name)
        if name.startswith("celery:") or (kind is not None and kind.name in STAYS):
            continue
        if store.client.ttl(store.prefix + name) == -1:
            wrong.append(f"key {name} outlives its time")
    store.close()
    return wrong


def names_in(store: ClusterStore) -> list[str]:
    """The names of all keys of the cluster, without their prefix."""
    keys = store.client.scan_iter(match=f"{store.prefix}*", count=1000)
    return sorted({str(key)[len(store.prefix) :] for key in keys})


def _left_in_broker(store: ClusterStore, name: str, live: list[str]) -> list[str]:
    key = f"{store.prefix}{name}"
    queue = re.fullmatch(r"celery:fixwurx\.node\.(.+?)(\x06\x16\d)?", name)
    if queue:
        messages = [] if queue[1] in live else store.client.lrange(key, 0, 2)
        return [f"queue {name}: {json.loads(message)['body']}" for message in messages]
    if not name.startswith("celery:_kombu.binding."):
        return []
    bound = {str(member).rpartition("\x16")[2] for member in store.client.smembers(key)}
    dead = sorted(queue for queue in bound if "@" in queue and not _is_of(queue, live))
    return [f"{name} binds {len(dead)} queues of dead nodes, as {dead[0]}"] if dead else []


def _is_of(queue: str, live: list[str]) -> bool:
    return any(worker in queue for worker in live)


def _lasting(look: Callable[[], list[str]]) -> list[str]:
    """What is still there after the time in which it must go."""
    with contextlib.suppress(AssertionError):
        wait_until("nothing is left", lambda: not look(), within_s=GONE_WITHIN_S)
    return look()


def _is_child(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return CHILD in process.cmdline()
    return False


def _described(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return (
            f"process {process.pid} (parent {process.ppid()}, {process.status()}): "
            f"{' '.join(process.cmdline())[:160]}"
        )
    return f"process {process.pid}"
