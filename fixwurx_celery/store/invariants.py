"""What must be true of a store at any instant, checked on a live one.

1. Of each node: 0 ≤ free ≤ total, and total - free is what the bugs that it holds need.
2. A bug is in exactly one place: in line (or backing off), on one node, or finished.
3. The event log tells a lawful history (history.py): one end for each submission, never two
   runners, agents within totals at every instant.
4. No bug that was taken is absent.
5. No bug waits while a node in service has room for its class, unless the node is kept for another
   class, or left out as sick.

Each object is read in one transaction with all that it must agree with, so the cluster may go on
working. Rule 5 alone can be untrue for an instant: after a change that freed more room than one
script hands out. What is found is therefore looked at again for as long as `patience_s` allows.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import Any

from fixwurx_celery.store.cluster_store import ClusterStore
from fixwurx_celery.store.event_log import log_violations
from fixwurx_celery.store.keys import key_of
from fixwurx_celery.store.records import bug_of

__all__ = ["violations"]

BUG_FIELDS = (
    "state", "class", "node", "incarnation", "rank", "seat", "outcome", "epoch", "wait_limit_ms",
)  # fmt: skip
NODE_FIELDS = ("state", "profile", "free", "bugs", "kept_for", "shelf", "incarnation")
CHUNK = 200
TRIES = 5

Found = dict[str, str]


def violations(store: ClusterStore, *, most: int = 10_000, patience_s: float = 0.0) -> list[str]:
    """What is wrong, a line each; empty when nothing is.

    Looks at up to `most` nodes, bugs, keys and events. Changes nothing.
    """
    found = _look(store, most)
    until = time.monotonic() + patience_s
    while found and time.monotonic() < until:
        time.sleep(min(0.3, patience_s))
        again = set(_look(store, most))
        found = [line for line in found if line in again]
    return found


def _look(store: ClusterStore, most: int) -> list[str]:
    audit = Audit(store, most)
    with store.reaching():
        return [
            *audit.indexes(),
            *audit.of_each(audit.nodes, audit.node),
            *audit.of_each(sorted(audit.bugs), audit.bug),
            *audit.idle(),
            *log_violations(store, most),
        ]


class Audit:
    """One look. What is suspected in passing is always read again as a whole."""

    def __init__(self, store: ClusterStore, most: int) -> None:
        self.client: Any = store.client  # its own types do not know `decode_responses`
        self.prefix, self.most = store.prefix, most
        self.nodes: list[str] = []
        self.lines: list[str] = []
        self.bugs: set[str] = set()

    # -- which objects there are -----------------------------------------------------------

    def indexes(self) -> list[str]:
        """Finds the nodes, lines and bugs; and keys that belong to nobody or never expire."""
        wrong: list[str] = []
        names: set[str] = set()
        lines: set[str] = set()
        shelves: set[str] = set()
        for name in self._keys():
            kind = key_of(name)
            subject = name.partition(":")[2]
            if name.startswith("bug:"):
                self.bugs.add(subject)
            elif name.startswith(("node:", "held:")):
                names.add(subject)
            elif name.startswith("line:"):
                lines.add(subject)
            elif name.startswith("shelf:"):
                shelves.add(subject)
            elif name.startswith("levels:"):
                shelves.update(f"{subject}:{level}" for level in self._members(name))
            elif name.startswith(("artifact:", "celery:")):
                continue
            elif kind is None:
                wrong.append(f"key {name} is nobody's")
            elif kind.expires and self.client.ttl(self.prefix + name) == -1:
                wrong.append(f"key {name} never expires")
        names |= set(self._members("nodes")) | set(self._members("gone"))
        lines |= set(self.client.smembers(self.prefix + "lines"))
        self.nodes, self.lines = sorted(names), sorted(lines)
        for index in ("outbox", "leases", "delayed", "patience", "finished"):
            self.bugs.update(self._members(index))
        for line in self.lines:
            self.bugs.update(bug_of(seat) for seat in self._members(f"line:{line}"))
        for node in self.nodes:
            self.bugs.update(self.client.hkeys(f"{self.prefix}held:{node}"))
        return [
            *wrong,
            *self.of_each(self.lines, self.line),
            *self.of_each(sorted(shelves), self.shelf),
            *self.of_each(["profiles"], self.profiles),
        ]

    def _keys(self) -> Iterable[str]:
        keys = self.client.scan_iter(match=f"{self.prefix}*", count=1000)
        return (str(key)[len(self.prefix) :] for key in islice(keys, self.most))

    def _members(self, index: str) -> list[str]:
        members: list[str] = self.client.zrange(self.prefix + index, 0, self.most - 1)
        return members

    def of_each(
        self, subjects: Sequence[str], check: Callable[[str], list[str] | None]
    ) -> list[str]:
        """What is wrong with each; a check answers None when its subject changed as it was read."""
        wrong: list[str] = []
        for subject in subjects[: self.most]:
            for _ in range(TRIES):
                answer = check(subject)
                if answer is not None:
                    wrong += answer
                    break
        return wrong

    def _at_once(self, *commands: tuple[Any, ...]) -> list[Any]:
        with self.client.pipeline(transaction=True) as pipe:
            for name, key, *rest in commands:
                pipe.execute_command(name, self.prefix + key, *rest)
            replies: list[Any] = pipe.execute()
        return replies

    # -- one object of each kind -----------------------------------------------------------

    def line(self, name: str) -> list[str] | None:
        """A class that has bugs in line is listed, and only such."""
        size, listed = self._at_once(("ZCARD", f"line:{name}"), ("SISMEMBER", "lines", name))
        if bool(size) == bool(listed):
            return []
        return [f"line {name} has {size} bugs and is {'' if listed else 'not '}listed"]

    def shelf(self, name: str) -> list[str] | None:
        """A shelf that has nodes is one of its profile's levels, and only such."""
        profile, _, free = name.rpartition(":")
        size, level = self._at_once(
            ("ZCARD", f"shelf:{name}"), ("ZSCORE", f"levels:{profile}", free)
        )
        if (size > 0) == (level is not None):
            return []
        return [f"shelf {name} has {size} nodes and is {'not ' if size else ''}a level"]

    def profiles(self, _: str) -> list[str] | None:
        """The count of each profile is that of the nodes in service which have it."""
        names = self._members("nodes")
        reads = [("HGET", f"node:{name}", "profile") for name in names]
        now, counted, *profiles = self._at_once(
            ("ZRANGE", "nodes", 0, self.most - 1), ("HGETALL", "profiles"), *reads
        )
        if now != names:
            return None
        real: dict[str, str] = {}
        for profile in profiles:
            real[str(profile)] = str(int(real.get(str(profile), 0)) + 1)
        if real == counted or len(names) == self.most:
            return []
        return [f"profiles are counted as {counted}, and are {real}"]

    def node(self, name: str) -> list[str] | None:
        """Invariant 1, and that the node is where its record says."""
        shelf, kept_for = self.client.hmget(f"{self.prefix}node:{name}", "shelf", "kept_for")
        fields, held, live, gone, ejected, on_shelf, kept = self._at_once(
            ("HMGET", f"node:{name}", *NODE_FIELDS),
            ("HGETALL", f"held:{name}"),
            ("ZSCORE", "nodes", name),
            ("ZSCORE", "gone", name),
            ("SISMEMBER", "ejected", name),
            ("ZSCORE", f"shelf:{shelf}", name),
            ("HGET", "starving", kept_for or ""),
        )
        record: Found = {k: v for k, v in zip(NODE_FIELDS, fields, strict=True) if v is not None}
        if record.get("shelf") != shelf or record.get("kept_for") != kept_for:
            return None
        if not record:
            return [f"node {name} is listed or holds bugs, and has no record"]
        total, free = int(record["profile"].partition("|")[0]), int(record["free"])
        needed = sum(int(agents) for agents in held.values())
        if record["state"] == "OFFLINE":
            at_rest = not held and gone is not None and live is None and not shelf and not ejected
            return [] if at_rest else [f"node {name} is OFFLINE and still somewhere: {record}"]
        open_to_all = record["state"] == "READY" and free > 0 and not kept_for
        right_shelf = f"{record['profile']}:{free}" if open_to_all else ""
        checks = (
            (0 <= free <= total, f"has {free} of {total} agents free"),
            (total - free == needed, f"has {free} of {total} free, and holds bugs for {needed}"),
            (int(record["bugs"]) == len(held), f"counts {record['bugs']} bugs, holds {len(held)}"),
            (live is not None and gone is None, "is in service, and not listed so"),
            (shelf == right_shelf or (ejected and not shelf), f"is on shelf {shelf!r}"),
            (not shelf or on_shelf is not None, f"is not on its shelf {shelf!r}"),
            (not kept_for or kept == name, f"is kept for {kept_for}, which {kept} is kept for"),
        )
        return [f"node {name} {wrong}" for is_right, wrong in checks if not is_right]

    def bug(self, name: str) -> list[str] | None:
        """Invariant 2: in exactly one place, the one that its state says."""
        key = f"bug:{name}"
        known = self.client.hmget(f"{self.prefix}{key}", "class", "seat", "node")
        bug_class, seat, node = known
        fields, rank, due, bell, lease, ended, patience, agents, owner = self._at_once(
            ("HMGET", key, *BUG_FIELDS),
            ("ZSCORE", f"line:{bug_class}", seat or ""),
            ("ZSCORE", "delayed", name),
            ("ZSCORE", "outbox", name),
            ("ZSCORE", "leases", name),
            ("ZSCORE", "finished", name),
            ("ZSCORE", "patience", name),
            ("HGET", f"held:{node}", name),
            ("HMGET", f"node:{node}", "incarnation", "state"),
        )
        record: Found = {k: v for k, v in zip(BUG_FIELDS, fields, strict=True) if v is not None}
        if [record.get("class"), record.get("seat"), record.get("node")] != known:
            return None
        places = {
            place
            for place, where in (
                ("line", rank), ("delayed", due), ("outbox", bell), ("leases", lease),
                ("finished", ended), ("node", agents),
            )
            if where is not None
        }  # fmt: skip
        if not record:
            places |= {"patience"} if patience is not None else set()
            return self._without_record(name, places)
        state = record.get("state", "")
        allowed: dict[str, tuple[set[str], ...]] = {
            "PENDING": ({"line"}, {"delayed"}),
            "ASSIGNED": ({"node", "outbox"},),
            "RUNNING": ({"node", "leases"},),
            "RESERVED": ({"node", "leases"},),
        }
        wrong = []
        if places not in allowed.get(state, ({"finished"},)):
            wrong.append(f"is {state}, and is in {', '.join(sorted(places)) or 'no place'}")
        is_limited = state in ("PENDING", "ASSIGNED") and "wait_limit_ms" in record
        if (patience is not None) != is_limited:
            wrong.append(f"is {state}, and its waiting {'does not end' if is_limited else 'ends'}")
        if rank is not None and int(rank) != int(record["rank"]):
            wrong.append(f"has rank {record['rank']}, and stands in line as {int(rank)}")
        if agents is not None and agents != record["class"].partition("|")[0]:
            wrong.append(f"of class {record['class']} holds {agents} agents")
        if agents is not None and owner[0] != record.get("incarnation"):
            wrong.append(f"is held by another life of node {node}")
        if agents is not None and owner[1] not in ("READY", "STOPPING"):
            wrong.append(f"is held by node {node}, which is {owner[1]}")
        if (state not in allowed) != ("outcome" in record):
            wrong.append(f"is {state} with{'' if 'outcome' in record else 'out'} an outcome")
        return [f"bug {name} {text}" for text in wrong]

    def _without_record(self, name: str, places: set[str]) -> list[str] | None:
        # Read after the others: a bug that was released meanwhile is in no place at all.
        in_line = any(
            any(bug_of(seat) == name for seat in self._members(f"line:{line}"))
            for line in self.lines
        )
        held = any(self.client.hexists(f"{self.prefix}held:{node}", name) for node in self.nodes)
        if not places and not in_line and not held:
            return []
        if self.client.exists(f"{self.prefix}bug:{name}"):
            return None
        return [f"bug {name} is in some place, and has no record"]

    # -- all together ----------------------------------------------------------------------

    def idle(self) -> list[str]:
        """Invariant 5."""
        wrong: list[str] = []
        for start in range(0, len(self.nodes), CHUNK):
            names = self.nodes[start : start + CHUNK]
            replies = self._at_once(
                ("SMEMBERS", "ejected"),
                *(("ZRANGE", f"line:{line}", 0, 0) for line in self.lines),
                *(("HMGET", f"node:{name}", *NODE_FIELDS) for name in names),
            )
            ejected, heads, nodes = (
                replies[0],
                replies[1 : 1 + len(self.lines)],
                replies[1 + len(self.lines) :],
            )
            for line, head in zip(self.lines, heads, strict=True):
                for name, fields in zip(names, nodes, strict=True):
                    node = dict(zip(NODE_FIELDS, fields, strict=True))
                    if head and name not in ejected and _is_open(node, line):
                        wrong.append(
                            f"bug {bug_of(head[0])} waits, while node {name} has {node['free']} "
                            "agents free"
                        )
        return wrong


def _is_open(node: Found, line: str) -> bool:
    if node["state"] != "READY" or node["kept_for"] not in ("", line):
        return False
    agents, _, labels = line.partition("|")
    total, _, offered = node["profile"].partition("|")
    wanted = {label for label in labels.split(",") if label}
    return int(agents) <= min(int(total), int(node["free"])) and wanted <= set(offered.split(","))
