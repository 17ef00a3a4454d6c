"""Every key of the store: its Redis type, what it holds, and when it goes.

The scripts build the names themselves (lua/lib/1_core.lua, the one place where they do); a test
compares the two. Run as a module, this writes docs/redis-keys.md.
"""

import re
from dataclasses import dataclass

__all__ = ["KEYS", "Key", "key_of"]


@dataclass(frozen=True, slots=True)
class Key:
    """One kind of key. `lua` is its name in 1_core.lua; `<...>` in `name` stands for an id."""

    lua: str
    name: str
    redis_type: str
    holds: str
    goes: str
    expires: bool = False

    @property
    def pattern(self) -> "re.Pattern[str]":
        """Matches the names of such keys, without the prefix."""
        return re.compile(re.sub(r"<[^>]+>", "(.+)", re.escape(self.name)))


KEYS = (
    Key(
        "CONFIG",
        "config",
        "hash",
        "`strategy`: how nodes are chosen, once `strategy set` has said so; `cluster`: the "
        "cluster's id, for providers. Its name is KEYS[1] of every script and carries the hash tag "
        "that all keys share",
        "stays",
    ),
    Key(
        "bug_key",
        "bug:<bug>",
        "hash",
        "the bug's record: `state`, `class`, `spec` (what was submitted, JSON), its place in "
        "line (`rank`, `seat`, and `priority` where that was changed), whose it is (`node`, "
        "`incarnation`, `epoch`, `runner`), how far it is (`phase`, `checkpoint`, `runs`, "
        "`ran_on`, `cancelling`, `logged`), what it cost (`attempts`, `losses`, `history`), how "
        "it ended (`outcome`), when (`waiting_ms`, `assigned_ms`, `started_ms`, `printed_ms`, "
        "`finished_ms`), and its clocks: what each has counted (`waited_ms`, `setup_ms`, "
        "`run_ms`, `verify_ms`), since when the one of its run counts (`since_ms`), and how "
        "long it may wait (`wait_limit_ms`, where that is limited)",
        "when it is released, or FIXWURX_KEEP_FINISHED_SEC after it ended, by a sweep",
    ),
    Key(
        "node_key",
        "node:<node>",
        "hash",
        "the node's record: `state`, `incarnation`, `profile`, `free`, `bugs`, `used`, `shelf`, "
        "`kept_for`, `health` and `health_at`, `probe_at`, `response_s`, `heartbeat_ms`, "
        "`registered_ms`, `idle_ms` (since when it holds no bug), `drain_until_ms`, `deaf` (bugs "
        "given to it and not started since it last started one), and what is only shown: `facts`, "
        "`load`, `told` (by programs), `observed` (the last call that told a latency)",
        "an hour after the node went, by a sweep",
    ),
    Key(
        "held_key",
        "held:<node>",
        "hash",
        "bug → agents, for every bug that the node holds",
        "with its last bug",
    ),
    Key(
        "shelf_key",
        "shelf:<shelf>",
        "sorted set",
        "the nodes of one profile that have the same number of free agents and may be given bugs "
        "(`<profile>:<free>`), by the score that the strategy gives them, the lowest first",
        "with its last node",
    ),
    Key(
        "levels_key",
        "levels:<profile>",
        "sorted set",
        "the numbers of free agents for which that profile has a shelf with nodes on it",
        "with its last shelf",
    ),
    Key(
        "line_key",
        "line:<class>",
        "sorted set",
        "the bugs of one class that wait: seats (expected duration, arrival, bug) by rank "
        "(priority, submission), the lowest first",
        "with its last bug",
    ),
    Key(
        "log_key",
        "log:<bug>:<run>",
        "list",
        "what that run printed, a report an element; the last 256",
        "expires FIXWURX_KEEP_FINISHED_SEC after the last report",
        expires=True,
    ),
    Key(
        "took_key",
        "took:<bug>",
        "string",
        "how long the bug took when it was last done, in ms: what to expect the next time",
        "expires with the records of finished bugs, FIXWURX_KEEP_FINISHED_SEC later",
        expires=True,
    ),
    Key(
        "tick_key",
        "tick:<name>",
        "hash",
        "`holder`, `term` and `at_ms` of the last tick of this name, and whether it `ended`",
        "expires a hundred periods later",
        expires=True,
    ),
    Key(
        "NODES",
        "nodes",
        "sorted set",
        "nodes in service, by when they are taken for lost",
        "with its last node",
    ),
    Key(
        "HEARD",
        "heard",
        "hash",
        "node → incarnation, for the nodes that were seen to listen on their life's channel since "
        "the server started: when nobody listens there any more, the node is lost",
        "each with its node; all when the server restarts",
    ),
    Key(
        "UNHEARD",
        "unheard",
        "sorted set",
        "nodes whose connection dropped, by when that was noticed",
        "each when it is back, or lost a fifth of a second later",
    ),
    Key(
        "DRAINING",
        "draining",
        "sorted set",
        "draining nodes, by when what they still run is taken from them: 5 s after the grace time; "
        "after that, the year 2100",
        "each when it serves again, or goes",
    ),
    Key(
        "QUEUES",
        "queues",
        "sorted set",
        "nodes that went, or were to come, and whose queue is at the broker, by when to delete it",
        "each when it was deleted half a minute after the node went, or the node serves",
    ),
    Key(
        "SERVER",
        "server",
        "hash",
        "the server's `run_id` at the last sweep, when that was (`swept_ms`), and when silence was "
        "last forgiven (`forgiven_ms`): silence counts only while somebody could hear",
        "stays",
    ),
    Key(
        "GONE",
        "gone",
        "sorted set",
        "nodes that went and are still shown, by when they went",
        "each after an hour, by a sweep",
    ),
    Key(
        "PROFILES",
        "profiles",
        "hash",
        "profile → number of nodes in service that have it",
        "with its last node",
    ),
    Key(
        "EJECTED",
        "ejected",
        "set",
        "nodes whose health is too low: given single probes only",
        "each when it is well again, or goes",
    ),
    Key("LINES", "lines", "set", "classes that have bugs in line", "with its last class"),
    Key(
        "STARVING",
        "starving",
        "hash",
        "class → the node that is kept for its head",
        "each when its head is assigned, or nothing waits",
    ),
    Key(
        "OUTBOX",
        "outbox",
        "sorted set",
        "assigned bugs that have not started, by when to ring again",
        "each when it starts, or is given back",
    ),
    Key(
        "LEASES",
        "leases",
        "sorted set",
        "running and reserved bugs, by when they are taken for dead",
        "each when it ends, or is given back",
    ),
    Key(
        "DELAYED",
        "delayed",
        "sorted set",
        "bugs that back off after failures, by when they join their line",
        "each when it is due, by a sweep",
    ),
    Key(
        "PATIENCE",
        "patience",
        "sorted set",
        "bugs with a waiting limit that are in line, back off or are assigned, by when it is over",
        "each when it starts, or ends; when it is due, by a sweep",
    ),
    Key(
        "FINISHED",
        "finished",
        "sorted set",
        "bugs that have ended, by when",
        "each with its record",
    ),
    Key(
        "STATS",
        "stats",
        "hash",
        "counters: `sequence`, `epoch`, `batch`, `runs`, and bugs ended by state",
        "stays",
    ),
    Key(
        "TALLY",
        "tally",
        "hash",
        "what has happened, for metrics: each `action` of the event log; bugs `ended:` by state "
        "and outcome, `given_back:` by charge, `refused:` by reason; calls that were `stale:`; "
        "nodes that went, `node_gone:`; `decision:` by action; `report` and `lease_over`; and "
        "durations, by bucket and in all (`wait:`, `answer:`, `run:`). These numbers only rise. A "
        "report and a refused call that are sent twice may count twice",
        "stays",
    ),
    Key(
        "LAUNCHES",
        "launches",
        "hash",
        "node → what the controllers know of a node that they launched (JSON): `name` and `scope` "
        "at its provider, `profile`, `stage`, `term`, `at_ms`, `since_ms`",
        "each when its provider does not list it any more",
    ),
    Key(
        "BOOTS",
        "boots",
        "list",
        "how long the last 20 launched nodes took to register, in ms, the newest first",
        "stays",
    ),
    Key(
        "DURATIONS",
        "durations",
        "hash",
        "class → how long its bugs run, in ms: an exponential average",
        "stays; all when there are more than 1 024 classes",
    ),
    Key(
        "PROVIDER",
        "provider",
        "hash",
        "the provider's troubles: `failures` in a row, the last `error` and when (`error_ms`), "
        "until when nothing is asked of it (`pause_until_ms`), `failed_term`",
        "stays",
    ),
    Key(
        "NEEDED",
        "needed",
        "sorted set",
        "nodes by profile (JSON) that each scaling tick of the window needed, by when",
        "each when the window has passed, by a tick",
    ),
    Key(
        "DECISIONS",
        "decisions",
        "stream",
        "the scaling decisions: term, action, reason, and all their inputs; about the last 3 000",
        "stays",
    ),
    Key(
        "EVENTS",
        "events",
        "stream",
        "the event log: action, bug, node, epoch, detail; about the last 100 000",
        "stays",
    ),
)


def key_of(name: str) -> Key | None:
    """The kind of the key that has this name (without the prefix), or None."""
    return next((key for key in KEYS if key.pattern.fullmatch(name)), None)


def markdown() -> str:
    """docs/redis-keys.md."""
    rows = "\n".join(
        f"| `{key.name}` | {key.redis_type} | {key.holds} | {key.goes} |"
        for key in sorted(KEYS, key=lambda key: key.name)
    )
    return f"""# Keys in the store

Written by `python -m fixwurx_celery.store.keys`; do not edit.

Every key begins with `{{<namespace>}}:` (FIXWURX_NAMESPACE, `fixwurx` by default). The braces make
it the hash tag, so that all keys of one cluster lie in one slot. Only scripts write them. Artifacts
that are kept in the store (`artifact:<sha256>`, strings that expire) are not part of the state.

A node's life also has a channel, `life:<node>:<incarnation>`. Nothing is ever said there: that
somebody listens says that the node lives.

| key | type | holds | goes |
|---|---|---|---|
{rows}
"""


if __name__ == "__main__":
    print(markdown(), end="")  # a document on stdout is what this module is run for
