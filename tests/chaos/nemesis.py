"""What breaks the cluster: a plan drawn from a seed, carried out on real processes."""

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import psutil
import redis

from fixwurx_celery.settings import Settings
from tests.chaos.fleet import Fleet, Supervised

__all__ = ["Freeze", "Nemesis", "Strike", "plan"]

T = TypeVar("T")

KINDS: Mapping[str, int] = {
    "kill main": 8, "kill node": 8, "kill pool": 8, "kill host": 8, "kill child": 3,
    "kill warden": 2, "kill controller": 3, "kill beat": 3,
    "freeze main": 6, "freeze node": 10, "freeze pool": 6, "freeze host": 5, "freeze child": 2,
    "freeze controller": 2, "freeze beat": 2,
    "replace node": 3, "restart node": 3,
    "kill store": 4, "freeze store": 4, "cut connections": 4, "forget broker": 4,
    "lose index": 6,
}  # fmt: skip
"""How often each is drawn, relative to the others."""


INDEXES = (
    "nodes", "profiles", "lines", "outbox", "leases", "delayed", "finished", "gone", "held", "line",
    "shelf", "levels", "heard",
)  # fmt: skip
"""What must be mended when it is lost."""


@dataclass(frozen=True, slots=True)
class Strike:
    """What is done, when, to which of those it can be done to (`pick` of 0 to 1), for how long."""

    at_s: float
    kind: str
    pick: float
    for_s: float


@dataclass(frozen=True, slots=True)
class Freeze:
    """A process that was stopped, from when to when (by the monotonic clock)."""

    pid: int
    since: float
    until: float


def plan(rng: random.Random, seconds: float, settings: Settings) -> Sequence[Strike]:
    """Strikes over that time, three every four seconds or so."""
    strikes, at = [], 2.0
    while at < seconds:
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        # Most freezes outlast the heartbeat timeout, many the lease too; some are hiccups.
        for_s = rng.choice([0.3, 1.5, 1.5, 2.5]) * settings.heartbeat_timeout_sec
        if kind == "kill store":
            for_s = rng.uniform(0, 4)
        elif kind == "freeze store":
            for_s = rng.uniform(0.2, 2 * settings.heartbeat_timeout_sec)
        strikes.append(Strike(at, kind, rng.random(), for_s))
        at += rng.uniform(0.2, 2.4)
    return strikes


@dataclass(slots=True)
class Nemesis:
    """Carries out a plan, and writes down what it did. For the fleet's thread."""

    fleet: Fleet
    strikes: list[Strike]
    began: float = field(default_factory=time.monotonic)
    log: list[str] = field(default_factory=list)
    freezes: list[Freeze] = field(default_factory=list)
    undone: list[tuple[float, Callable[[], None]]] = field(default_factory=list)

    def step(self) -> None:
        """Does what is due."""
        now = time.monotonic()
        for entry in [entry for entry in self.undone if entry[0] <= now]:
            self.undone.remove(entry)
            entry[1]()
        while self.strikes and self.began + self.strikes[0].at_s <= now:
            self.strike(self.strikes.pop(0))

    def calm(self) -> None:
        """Undoes everything that was to be undone later, now."""
        self.strikes.clear()
        while self.undone:
            self.undone.pop(0)[1]()
        self.say("calm")

    def say(self, text: str) -> None:
        self.log.append(f"{time.monotonic():10.2f} {time.monotonic() - self.began:7.2f} s  {text}")

    # -- what is done ----------------------------------------------------------------------

    def strike(self, strike: Strike) -> None:
        """Does it; says so, also when there was nothing to do it to."""
        verb, _, noun = strike.kind.partition(" ")
        match verb, noun:
            case "kill", "store":
                self.kill_store(strike.for_s)
            case "freeze", "store":
                process = self.fleet.server.process
                self.freeze("the store", [psutil.Process(process.pid)] if process else [], strike)
            case "cut", _:
                self.on_store("connections cut", _cut)
            case "forget", _:
                self.on_store("broker keys deleted", lambda c: _forget(c, self.prefix + "celery:*"))
            case "lose", _:
                self.on_store("lost", lambda c: _lose(c, self.prefix, strike.pick))
            case (("replace" | "restart"), _):
                self.end_politely(strike, verb)
            case _:
                what, processes = self.target(noun, strike.pick)
                if verb == "kill":
                    self.kill(what, processes)
                else:
                    self.freeze(what, processes, strike)

    def target(self, noun: str, pick: float) -> tuple[str, list[psutil.Process]]:
        """Which processes of that noun are meant: of one service, or one process of all nodes."""
        if noun in ("controller", "beat"):
            service = _one_of(self.fleet.of(noun), pick)
            return (service.name, service.main()) if service else (noun, [])
        nodes = [node for node in self.fleet.of("node") if node.is_running]
        if noun in ("main", "node"):
            node = _one_of(nodes, pick)
            if node is None:
                return noun, []
            return f"{noun} of {node.name}", node.main() if noun == "main" else node.whole()
        parts: list[tuple[Supervised, psutil.Process]] = []
        for node in nodes:
            found = {
                "pool": node.pool, "host": node.hosts, "child": node.children,
                "warden": node.warden,
            }[noun]()  # fmt: skip
            if noun == "pool":  # those that keep a bug are worth more
                found = [process for process in found if _has_children(process)] or found
            parts += [(node, process) for process in found]
        part = _one_of(parts, pick)
        return (f"{noun} of {part[0].name}", [part[1]]) if part else (noun, [])

    def kill(self, what: str, processes: Sequence[psutil.Process]) -> None:
        """SIGKILL."""
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.kill()
        self.say(f"kill {what}: {_pids(processes)}")

    def freeze(self, what: str, processes: Sequence[psutil.Process], strike: Strike) -> None:
        """SIGSTOP, and SIGCONT after the strike's time."""
        since = time.monotonic()
        for process in processes:
            with contextlib.suppress(psutil.Error):
                process.suspend()

        def thaw() -> None:
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    process.resume()
                self.freezes.append(Freeze(process.pid, since, time.monotonic()))
            self.say(f"thaw {what}: {_pids(processes)}")

        self.undone.append((since + strike.for_s, thaw))
        self.say(f"freeze {what} for {strike.for_s:.1f} s: {_pids(processes)}")

    def kill_store(self, for_s: float) -> None:
        """kill -9, and a new start on the same port and folder."""
        if self.fleet.server.process is None:
            return
        self.fleet.server.kill()

        def start() -> None:
            self.fleet.server.start()
            self.say("the store is back")

        self.undone.append((time.monotonic() + for_s, start))
        self.say(f"kill the store for {for_s:.1f} s")

    @property
    def prefix(self) -> str:
        """How every key of the cluster begins."""
        return f"{{{self.fleet.settings.namespace}}}:"

    def on_store(self, what: str, act: Callable[["redis.Redis"], int | str]) -> None:
        """Does something by a command of the store's own, if it answers now."""
        try:
            with redis.Redis.from_url(
                self.fleet.server.url, socket_timeout=0.5, retry=None
            ) as client:
                self.say(f"{what}: {act(client)}")
        except redis.RedisError as error:
            self.say(f"{what}: not now ({type(error).__name__})")

    def end_politely(self, strike: Strike, verb: str) -> None:
        """SIGTERM to a node; a new one of another name at once, or itself when it has ended."""
        node = _one_of([n for n in self.fleet.of("node") if n.is_running], strike.pick)
        if node is None:
            return
        if verb == "replace":
            node.is_wanted = False
            self.say(f"replace {node.name} by {self.fleet.add_node().name}")
        else:
            self.say(f"restart {node.name}")
        os.kill(node.pid, signal.SIGTERM)


def _one_of(things: Sequence[T], pick: float) -> T | None:
    return things[int(pick * len(things))] if things else None


def _has_children(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.children())
    return False


def _pids(processes: Sequence[psutil.Process]) -> str:
    return ", ".join(str(process.pid) for process in processes) or "nobody"


def _cut(client: "redis.Redis") -> int:
    return sum(int(client.client_kill_filter(_type=kind)) for kind in ("normal", "pubsub"))


def _forget(client: "redis.Redis", pattern: str) -> int:
    return sum(int(client.unlink(key)) for key in client.scan_iter(match=pattern, count=1000))


def _lose(client: "redis.Redis", prefix: str, pick: float) -> str:
    """Deletes one index, of those that are there; records are the truth, and are left."""
    names = [
        str(key.decode())[len(prefix) :] for key in client.scan_iter(match=f"{prefix}*", count=1000)
    ]
    index = _one_of(sorted(name for name in names if name.partition(":")[0] in INDEXES), pick)
    return index if index and client.unlink(prefix + index) else "nothing"
