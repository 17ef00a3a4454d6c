"""What `doctor` makes of what it sees."""

from collections.abc import Mapping
from typing import Any

import pytest

from fixwurx_celery.cli.advice import about_violation
from fixwurx_celery.cli.findings import (
    Finding,
    about_broker,
    about_clock,
    about_controller,
    about_nodes,
    about_scaling,
    about_waiting,
    unservable,
)
from fixwurx_celery.cli.server_findings import about_replicas, about_server
from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.scaling_state import Decision
from tests.support.views import NOW_MS, node, snapshot

GOOD: Mapping[str, Any] = {
    "redis_version": "7.0.15", "redis_mode": "standalone", "role": "master", "maxmemory": 0,
    "maxmemory_policy": "noeviction", "used_memory": 1_000_000, "aof_enabled": 1,
    "aof_last_write_status": "ok", "uptime_in_seconds": 86_400, "loading": 0,
}  # fmt: skip


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.level, finding.what) for finding in findings if finding.level != "OK"]


def test_a_good_server_gives_no_warning() -> None:
    assert bad(about_server(GOOD)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"redis_version": "6.0.16"}, ("FAIL", "store version")),
        ({"redis_version": "6.2.0"}, None),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.2"}, None),
        ({"redis_mode": "cluster"}, ("FAIL", "store mode")),
        ({"redis_mode": None, "server_mode": "cluster"}, ("FAIL", "store mode")),
        ({"role": "slave"}, ("FAIL", "store mode")),
        ({"maxmemory_policy": "allkeys-lru"}, ("WARN", "store memory")),
        ({"maxmemory_policy": "allkeys-lru", "maxmemory": 2**30}, ("FAIL", "store memory")),
        ({"maxmemory": 1_100_000}, ("WARN", "store memory")),
        ({"maxmemory": 2**30}, None),
        ({"aof_enabled": 0}, ("WARN", "store persistence")),
        ({"aof_last_write_status": "err"}, ("FAIL", "store persistence")),
        ({"uptime_in_seconds": 599}, ("WARN", "store start")),
        ({"uptime_in_seconds": 600}, None),
        ({"loading": 1}, ("WARN", "store start")),
    ],
)
def test_what_a_server_lacks_is_found(
    change: Mapping[str, Any], expected: tuple[str, str] | None
) -> None:
    found = about_server({**GOOD, **change})

    assert bad(found) == ([expected] if expected else [])
    assert all(finding.advice for finding in found if finding.level != "OK")


@pytest.mark.parametrize(("off_ms", "level"), [(0, "OK"), (1999, "OK"), (-2500, "WARN")])
def test_a_clock_may_be_two_seconds_off(off_ms: int, level: str) -> None:
    assert about_clock(NOW_MS + off_ms, NOW_MS).level == level


@pytest.mark.parametrize(
    ("ticked_ms", "level"),
    [(None, "WARN"), (NOW_MS - 60_000, "WARN"), (NOW_MS - 29_000, "OK"), (NOW_MS, "OK")],
)
def test_a_controller_is_missed_after_three_of_its_periods(
    ticked_ms: int | None, level: str
) -> None:
    assert about_controller(ticked_ms, NOW_MS, 10).level == level


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, []),
        ({"last_heartbeat": NOW_MS / 1000 - 6}, [("WARN", "node node1@host")]),
        ({"health": 0.4}, [("WARN", "node node1@host")]),
        ({"state": WorkerState.STOPPING}, []),
        ({"unstarted": 2}, [("WARN", "node node1@host")]),
        ({"metrics": {"pool_processes": 8}}, [("WARN", "node node1@host")]),
        ({"metrics": {"pool_processes": 9, "spooled_endings": 0}}, []),
        ({"metrics": {"spooled_endings": 1}}, [("WARN", "node node1@host")]),
        ({"metrics": {"unconfined": "bwrap not found"}}, [("WARN", "node node1@host")]),
        ({"metrics": {"unconfined": ""}}, []),
    ],
)
def test_nodes_in_trouble_are_named(
    given: Mapping[str, Any], expected: list[tuple[str, str]]
) -> None:
    found = about_nodes(snapshot(node(**given)), Settings(), frozenset({"node1@host"}))

    assert bad(found) == expected
    assert all(finding.advice for finding in found if finding.level != "OK")


@pytest.mark.parametrize(
    ("off_ms", "said"),
    [
        (0, None),
        (-1999, None),
        (3_600_000, "its clock is 60 min ahead of the store's: harmless"),
        (-5000, "its clock is 5 s behind the store's: harmless"),
    ],
)
def test_that_a_nodes_clock_is_wrong_is_told_as_harmless(off_ms: int, said: str | None) -> None:
    seen = node(metrics={"clock_ms": NOW_MS + off_ms})

    found = about_nodes(snapshot(seen), Settings(), None)

    assert bad(found) == []
    assert [finding.found[: len(said or "")] for finding in found[1:]] == ([said] if said else [])


@pytest.mark.parametrize(
    ("url", "trouble", "level", "words"),
    [
        ("", "", "OK", "the store itself"),
        ("redis://queue/1", "", "OK", "Redis at redis://queue/1 answers"),
        ("amqp://me:secret@mq//", "", "OK", "RabbitMQ at amqp://me:***@mq// answers"),
        ("sqs://", "", "WARN", "neither Redis nor RabbitMQ"),
        ("redis://queue/1", "no answer", "FAIL", "none is lost"),
        ("amqp://mq//", "access refused", "FAIL", "rabbitmqctl list_permissions"),
    ],
)
def test_each_kind_of_broker_is_judged_by_its_own_words(
    url: str, trouble: str, level: str, words: str
) -> None:
    finding = about_broker(Settings(redis_url="redis://store/0", broker_url=url), trouble)

    assert finding.level == level
    assert trouble in finding.found
    assert words in f"{finding.found} {finding.advice}"
    assert "secret" not in finding.found


@pytest.mark.parametrize(
    ("violation", "level", "advice"),
    [
        ("bug b1 is RUNNING, and is in node", "FAIL", "look again in a minute"),
        ("bug b1 is RUNNING, and is in node", "FAIL", "report it with `fixwurx-celery bug show b1"),
        ("node n@h has 3 of 9 free, and holds bugs for 3", "FAIL", "fixwurx-celery node show n@h"),
        ("line 9| has 2 bugs and is not listed", "FAIL", "every 7 s"),
        ("profiles are counted as {}, and are {'9|': '1'}", "FAIL", "look again in a minute"),
        ("bug b1 was taken, and is absent", "FAIL", "submit it again"),
        ("bug b1 is in some place, and has no record", "FAIL", "submit it again"),
        ("node n@h is listed or holds bugs, and has no record", "FAIL", "after 21 s"),
        ("bug b1 is DONE without an outcome", "FAIL", "`fixwurx-celery bug retry b1`"),
        ("bug b1 has rank 3, and stands in line as 2", "WARN", "cancel and retry"),
        ("bug b1 waits, while node n@h has 3 agents free", "FAIL", "with its next heartbeat"),
        ("key stray is nobody's", "WARN", "redis-cli DEL {mine}:stray`"),
        ("key took:b1 never expires", "WARN", "redis-cli DEL {mine}:took:b1`"),
        (
            "bug b1: bug_finished at event 12-0 came after its end at event 7-3", "FAIL",
            "`redis-cli XRANGE {mine}:events 7-3 12-0`",
        ),
        (
            "node n@h: bug_assigned at event 12-0 of bug b1 made it hold 12 agents of 9, for the "
            "bugs a, b1", "FAIL", "`fixwurx-celery node show n@h`",
        ),
    ],
)  # fmt: skip
def test_what_must_hold_and_does_not_comes_with_what_to_do(
    violation: str, level: str, advice: str
) -> None:
    settings = Settings(
        namespace="mine", health_check_interval_sec=7, heartbeat_timeout_sec=21
    )  # fmt: skip

    finding = about_violation(violation, settings)

    assert (finding.what, finding.level, finding.found) == ("invariant", level, violation)
    assert advice in finding.advice


def test_a_node_that_is_deaf_on_the_broker_is_named() -> None:
    seen = snapshot(node("a@h"), node("b@h"))

    assert bad(about_nodes(seen, Settings(), frozenset({"a@h"}))) == [("WARN", "node b@h")]
    assert bad(about_nodes(seen, Settings(), None)) == []


def test_no_node_is_a_failure_only_while_bugs_wait() -> None:
    assert bad(about_nodes(snapshot(), Settings(), None)) == [("WARN", "nodes")]
    assert bad(about_nodes(snapshot(waiting={"3|": 1}), Settings(), None)) == [("FAIL", "nodes")]


def test_bugs_that_no_node_could_ever_run_are_a_failure() -> None:
    seen = snapshot(node(), waiting={"3|": 4, "3|gpu,python": 2, "12|": 1})

    found = about_waiting(seen, 1_000_000)

    assert bad(found) == [("FAIL", "waiting bugs")] * 2
    assert "2 bugs" in found[0].found
    assert "gpu" in found[0].found
    assert "b-3|gpu,python" in found[0].advice
    assert "1 bug " in found[1].found
    assert "9" in found[1].found


def test_a_line_that_is_nearly_full_is_a_warning() -> None:
    seen = snapshot(node(), waiting={"3|": 81})

    assert bad(about_waiting(seen, 100)) == [("WARN", "waiting bugs")]
    assert bad(about_waiting(seen, 102)) == []


def test_agents_and_labels_must_be_on_one_node() -> None:
    nodes = [node("a@h", total_agents=12), node("b@h", capabilities=frozenset({"gpu"}))]

    assert unservable("12|python", nodes) == ""
    assert unservable("9|gpu", nodes) == ""
    assert "largest that fits has 9" in unservable("12|gpu", nodes)
    assert "nearest lacks python" in unservable("3|gpu,python", nodes[1:])
    assert unservable("12|gpu", []) == ""


@pytest.mark.parametrize(
    ("info", "level", "said"),
    [
        ({"connected_slaves": 2}, "OK", "2 follow the primary"),
        ({"connected_slaves": 1, "min_slaves_good_slaves": 1}, "OK", "1 follows the primary"),
        ({"connected_slaves": 0}, "WARN", "nothing to fail over to"),
        ({"connected_slaves": 1, "min_slaves_good_slaves": 0}, "WARN", "writes are refused"),
    ],
)
def test_replicas_that_could_not_take_over_are_told(
    info: Mapping[str, Any], level: str, said: str
) -> None:
    finding = about_replicas(info)

    assert finding.level == level
    assert said in finding.found


def decision(ago_s: float = 5, **told: Any) -> Decision:
    told = {"provider": "local", "interval_s": 30.0, "trouble": "", "impossible": [], **told}
    at_ms = int(NOW_MS - ago_s * 1000)
    return Decision(id=f"{at_ms}-0", term=1, action="hold", reason="all is well", told=told)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (decision(), []),
        (decision(94), []),
        (decision(96), ["the last decision was 96 s ago"]),
        (None, ["no controller has decided anything yet"]),
        (decision(trouble="no daemon"), ["local is in trouble: no daemon"]),
        (
            decision(impossible=["1 bug of 30 agents"]),
            ["1 bug of 30 agents cannot be served by any node, nor by one that could be started"],
        ),
    ],
)
def test_scaling_that_does_not_happen_is_told(last: Decision | None, expected: list[str]) -> None:
    findings = about_scaling(last, NOW_MS, Settings(provider="local"))

    assert [one.found for one in findings if one.level == "WARN"] == expected


def test_nobody_needs_to_scale_where_nothing_starts_nodes() -> None:
    assert [one.level for one in about_scaling(None, NOW_MS, Settings())] == ["OK"]
