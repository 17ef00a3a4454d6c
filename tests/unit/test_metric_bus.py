"""MetricBus: whatever is sent, the program that sends it goes on, and the page stays legal."""

import logging
import math
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.metrics import MetricBus
from fixwurx_celery.metrics import bus as module
from fixwurx_celery.metrics.prometheus import BusCollector, page_of
from tests.support.pages import by, series, value


@pytest.fixture
def bus() -> Iterator[MetricBus]:
    made = MetricBus()
    yield made
    made.stop()


def page(bus: MetricBus) -> bytes:
    return page_of(BusCollector(bus))()


def sent(bus: MetricBus) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """What is shown of what was sent."""
    return {key: value for key, value in series(page(bus)).items() if "metric_bus" not in key[0]}


def dropped(bus: MetricBus) -> dict[str, float]:
    found = by(page(bus), "fixwurx_metric_bus_dropped_total", "reason")
    return {reason: count for reason, count in found.items() if count}


def test_what_is_sent_last_is_shown(bus: MetricBus) -> None:
    bus.send("triangulum.tick_count", 16)
    bus.send("triangulum.tick_count", 17)
    bus.send("triangulum.agent_utilization", 0.5, tags={"agent_id": "a1"})
    bus.send("triangulum.agent_utilization", 0.25, tags={"agent_id": "a2"})

    assert value(page(bus), "triangulum_tick_count") == 17
    assert by(page(bus), "triangulum_agent_utilization", "agent_id") == {"a1": 0.5, "a2": 0.25}
    assert bus.read("triangulum.tick_count") == 17
    assert bus.read("triangulum.agent_utilization", {"agent_id": "a2"}) == 0.25
    assert bus.read("triangulum.agent_utilization") is None
    assert bus.read("never.sent") is None


def test_a_metric_may_be_sent_with_differing_tags_and_those_are_told_apart(bus: MetricBus) -> None:
    bus.send("m", 1)
    bus.send("m", 2, {"a": "x"})
    bus.send("m", 3, {"b": "y", "a": "x"})
    bus.send("m", 4, {"a": "x", "b": "y"})
    bus.send("m", 5, {"a": ""})

    assert {labels: value for (_, labels), value in sent(bus).items()} == {
        frozenset(): 5,
        frozenset({("a", "x")}): 2,
        frozenset({("a", "x"), ("b", "y")}): 4,
    }


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("a.b-c d", "a_b_c_d"),
        ("9lives", "_9lives"),
        ("a:b", "a_b"),
        ("größe", "gr__e"),
        ("__name__", "__name__"),
        ("...", "___"),
        ("fixwurx.up", "fixwurx_up_2"),
        ("lone \ud800 half", "lone___half"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_every_name_becomes_a_legal_one(bus: MetricBus, name: str, legal: str) -> None:
    bus.send(name, 1)

    assert sent(bus) == {(legal, frozenset()): 1}
    assert bus.read(name) == 1


def test_two_names_that_become_the_same_are_told_apart(bus: MetricBus) -> None:
    for number, name in enumerate(("a.b", "a_b", "a-b", "c.total", "c_total")):
        bus.send(name, number)

    assert {name: value for (name, _), value in sent(bus).items()} == {
        "a_b": 0, "a_b_2": 1, "a_b_3": 2, "c_total": 3, "c_2_total": 4,
    }  # fmt: skip


def test_names_and_values_of_tags_become_legal_labels(bus: MetricBus) -> None:
    bus.send("m", 1, {"agent.id": 7, "agent_id": None, "__name__": "x", "2nd": 'a\nb"c\\'})
    bus.send("n", 1, {"lone": "\ud800", "long": "y" * 5000})

    shown = {name: dict(labels) for name, labels in sent(bus)}

    assert shown["m"] == {
        "agent_id": "7", "agent_id_2": "None", "_name__": "x", "_2nd": "a\nb\"c\\",
    }  # fmt: skip
    assert shown["n"] == {"lone": "?", "long": "y" * 200}


def test_a_name_that_ends_in_total_is_a_counter_and_all_others_are_gauges(bus: MetricBus) -> None:
    bus.send("bugs.total", 3)
    bus.send("bugs", -2)

    lines = page(bus).decode().splitlines()

    assert "# TYPE bugs_total counter" in lines
    assert "# TYPE bugs gauge" in lines
    assert "bugs_total 3.0" in lines
    assert "bugs -2.0" in lines


class Odd:
    def __float__(self) -> float:
        raise RuntimeError("an odd value")


@pytest.mark.parametrize(
    "value",
    [math.nan, math.inf, -math.inf, None, "3", b"3", [1], {}, object(), 1j, 10**400, Odd()],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_a_value_that_is_no_finite_number_is_dropped_counted_and_changes_nothing(
    bus: MetricBus, value: Any, is_known: bool
) -> None:
    if is_known:
        bus.send("m", 1)

    bus.send("m", value)

    assert bus.read("m") == (1 if is_known else None)
    assert dropped(bus) == {"value": 1}


@pytest.mark.parametrize("number", [True, Decimal("0.5"), 2**60, -0.0])
def test_whatever_is_a_number_is_taken(bus: MetricBus, number: Any) -> None:
    bus.send("m", number)
    bus.send("m", number)

    assert bus.read("m") == float(number)
    assert dropped(bus) == {}


def test_a_total_below_zero_is_no_total(bus: MetricBus) -> None:
    bus.send("bugs.total", 1)
    bus.send("bugs.total", -1)
    bus.send("other.total", -1)
    bus.send("subtotal", -1)

    assert {name: value for (name, _), value in sent(bus).items()} == {
        "bugs_total": 1,
        "subtotal": -1,
    }
    assert dropped(bus) == {"value": 2}


@pytest.mark.parametrize(
    ("name", "tags", "reason"),
    [
        ("", None, "name"),
        (None, None, "name"),
        (7, {"a": "b"}, "name"),
        ("m", ["a"], "tags"),
        ("m", "a=b", "tags"),
        ("m", {str(i): i for i in range(17)}, "tags"),
    ],
)
def test_what_is_no_name_or_no_tags_is_dropped(
    bus: MetricBus, name: Any, tags: Any, reason: str
) -> None:
    bus.send(name, 1, tags)

    assert dropped(bus) == {reason: 1}
    assert sent(bus) == {}


def test_tags_whose_values_have_no_hash_are_taken(bus: MetricBus) -> None:
    for number in (1, 2):
        bus.send("m", number, {"path": ["a", "b"]})

    assert sent(bus) == {("m", frozenset({("path", "['a', 'b']")})): 2}


def test_series_are_bounded_and_the_first_that_is_too_many_is_logged(
    bus: MetricBus, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(module.MOST_SERIES_OF_ONE + 50):
        bus.send("m", i, {"bug": f"b{i}"})
    bus.send("m", -1, {"bug": "b3"})
    bus.send("another", 1)

    assert len(sent(bus)) == module.MOST_SERIES_OF_ONE + 1
    assert bus.read("m", {"bug": "b3"}) == -1
    assert dropped(bus) == {"series": 50}
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "give tags few values" in caplog.text


def test_metrics_and_series_are_bounded_in_all(bus: MetricBus) -> None:
    for i in range(module.MOST_METRICS + 3):
        bus.send(f"m{i}", 1)
    for i in range(20):
        for j in range(600):
            bus.send(f"m{i}", 1, {"j": j})

    assert len(sent(bus)) == module.MOST_SERIES
    assert dropped(bus)["metrics"] == 3
    assert dropped(bus)["series"] == module.MOST_METRICS + 20 * 600 - module.MOST_SERIES


def test_series_that_nobody_sends_any_more_make_room_for_new_ones(
    bus: MetricBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    for i in range(module.MOST_SERIES_OF_ONE):
        bus.send("m", i, {"bug": f"b{i}"})
    now[0] += module.FORGET_AFTER_S + 1
    bus.send("m", 0, {"bug": "b0"})

    bus.send("m", 1, {"bug": "new"})

    assert sorted(by(page(bus), "m", "bug")) == ["b0", "new"]
    assert dropped(bus) == {}


def test_many_threads_send_while_the_page_is_read(bus: MetricBus) -> None:
    stop, trouble = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                page(bus)
            except Exception as error:
                trouble.append(error)

    def send(thread: int) -> None:
        for i in range(3000):
            bus.send(f"m{i % 50}", i, {"thread": thread, "i": i % 10})
            bus.send("n", float("nan"))

    readers = [threading.Thread(target=read) for _ in range(2)]
    senders = [threading.Thread(target=send, args=(i,)) for i in range(4)]
    for thread in readers + senders:
        thread.start()
    for thread in senders:
        thread.join(60)
    stop.set()
    for thread in readers:
        thread.join(60)

    assert trouble == []
    assert len(sent(bus)) == 50 * 4
    assert bus.read("m49", {"thread": 3, "i": 9}) == 2999
    assert dropped(bus) == {"value": 4 * 3000}


def test_it_is_served_until_it_is_stopped(bus: MetricBus) -> None:
    url = bus.serve("127.0.0.1:0")
    bus.send("m", 1)

    with urllib.request.urlopen(url, timeout=5) as answer:
        seen = answer.read()
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    bus.stop()
    bus.stop()

    assert value(seen, "m") == 1
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(url, timeout=5)


def test_it_is_not_served_to_other_hosts_by_mistake(bus: MetricBus) -> None:
    with pytest.raises(ValueError, match="open to other hosts"):
        bus.serve("0.0.0.0:0")
    with pytest.raises(ValueError, match="must be host:port"):
        bus.serve("9465")

    assert bus.serve("0.0.0.0:0", token="a token").startswith("http://0.0.0.0:")
    assert bus.serve("0.0.0.0:0", allow_remote=True).endswith("/metrics")


def test_a_bus_without_a_cluster_says_so(bus: MetricBus) -> None:
    with pytest.raises(FixwurxError, match="knows no cluster"):
        bus.cluster()
    assert bus.read("fixwurx_agents") is None
