"""The metrics as a table: names, bounds, that scripts tally what is read, and that docs have it."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from fixwurx_celery.domain.nodes import BalancingStrategy, WorkerState
from fixwurx_celery.metrics import families
from fixwurx_celery.metrics.families import FAMILIES, MOST_CLASSES, OTHERS, Kind
from fixwurx_celery.metrics.prometheus import ClusterCollector, page_of
from fixwurx_celery.metrics.readings import MOST_NODES, Reading
from fixwurx_celery.metrics.reference import table
from fixwurx_celery.store import scripts
from fixwurx_celery.store.measurement import Line, Measurement, NodeReading, ScalingBounds
from tests.support.pages import by, series, value
from tests.support.surroundings import ROOT

LUA = Path(scripts.__file__).parent / "lua"
UNITS = ("seconds", "bytes", "ratio", "info", "total")

SMALL = Measurement(
    now_ms=1_700_000_000_000,
    strategy=BalancingStrategy.RANDOM,
    agents=9,
    free=3,
    states={WorkerState.READY: 1, WorkerState.BUSY: 0, WorkerState.STOPPING: 0},
    ejected=0,
    silent_ms=1500,
    nodes=[NodeReading("n0", WorkerState.READY, 9, 3, 2, 0.75, 0.02, 1500)],
    lines=[Line("3|gpu", 4, 90_000)],
    assigned=1,
    on_runs=1,
    delayed=2,
    kept=5,
    stages={"READY": 1},
    provider_failures=0,
    health_check_age_ms=2000,
    scaling_tick_age_ms=4000,
    scaling=ScalingBounds(2, 1, 5, 30.0),
    used_memory=2**20,
    max_memory=2**30,
    tallied={
        "bug_submitted": 7, "ended:DONE:FIXED": 2, "ended:CANCELLED:FIXED": 1, "stale:finish": 3,
        "run:100": 2, "run:more": 1, "run:sum": 50_000_000,
    },
)  # fmt: skip


class Looked:
    """Readings that are made already."""

    def __init__(self, measured: Measurement | None) -> None:
        self._measured = measured

    def latest(self) -> Reading | None:
        return self._measured and Reading(self._measured, 0.002, "cluster1")


def page(measured: Measurement | None) -> bytes:
    return page_of(ClusterCollector(Looked(measured)))()  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_names_say_what_is_counted_and_in_which_unit(family: families.Family) -> None:
    assert re.fullmatch(r"fixwurx_[a-z]+(_[a-z]+)*", family.name)
    assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
    assert family.help
    assert not family.help.endswith(".")
    assert not re.search(r"_(ms|minutes|mb|percent|count|sum|bucket)$", family.name)


def test_no_name_is_there_twice() -> None:
    names = [family.name for family in FAMILIES]

    assert len(names) == len(set(names))


def test_every_tally_that_is_read_is_written_by_a_script() -> None:
    code = "".join(path.read_text("utf-8") for path in LUA.rglob("*.lua"))
    events = set(re.findall(r"emit\('(\w+)'", code)) | {"bug_reserved", "bug_assigned"}
    whole = set(re.findall(r"tally\('([\w:]+)'\)", code))
    begun = set(re.findall(r"tally\('(\w+:)' \.\.", code)) | {
        f"{what}:" for what in re.findall(r"tally_time\('(\w+)'", code)
    }
    read: set[str] = set()

    class Asked(dict[str, int]):
        def get(self, what: str, default: object = None) -> object:  # type: ignore[override]
            read.add(what)
            return default

    reading = Reading(replace(SMALL, tallied=Asked()), 0.0, "")
    for family in FAMILIES:
        list(family.values(reading))

    strange = {
        what for what in read if what not in events | whole and not what.startswith(tuple(begun))
    }
    assert "bug_submitted" in read
    assert strange == set()


def test_a_page_has_the_values_that_were_measured() -> None:
    seen = page(SMALL)

    assert value(seen, "fixwurx_up") == 1
    assert value(seen, "fixwurx_agents_used") == 6
    assert value(seen, "fixwurx_node_health_ratio", node="n0") == 0.75
    assert value(seen, "fixwurx_bugs_waiting_oldest_seconds", **{"class": "3|gpu"}) == 90
    assert by(seen, "fixwurx_bugs", "state") == {"PENDING": 6, "ASSIGNED": 1, "RUNNING": 1}
    assert value(seen, "fixwurx_bugs_submitted_total") == 7
    assert value(seen, "fixwurx_nodes_wanted") == 2
    assert value(seen, "fixwurx_controller_tick_age_seconds") == 4


def test_ends_are_there_from_the_beginning_and_odd_ones_when_they_come() -> None:
    seen = page(SMALL)

    assert value(seen, "fixwurx_bugs_ended_total", state="DONE", outcome="FIXED") == 2
    assert value(seen, "fixwurx_bugs_ended_total", state="DONE", outcome="NOT_FIXED") == 0
    assert value(seen, "fixwurx_bugs_ended_total", state="CANCELLED", outcome="FIXED") == 1


def test_a_histogram_is_cumulative_and_its_last_bucket_is_its_count() -> None:
    buckets = by(page(SMALL), "fixwurx_bug_run_seconds_bucket", "le")

    assert (buckets["0.05"], buckets["0.1"], buckets["43200.0"], buckets["+Inf"]) == (0, 2, 2, 3)
    assert value(page(SMALL), "fixwurx_bug_run_seconds_count") == 3
    assert value(page(SMALL), "fixwurx_bug_run_seconds_sum") == 50_000


def test_while_the_store_is_away_there_is_one_series_and_it_is_zero() -> None:
    assert series(page(None)) == {("fixwurx_up", frozenset()): 0}


def test_what_there_never_was_is_missing_rather_than_zero() -> None:
    never = replace(SMALL, scaling=None, scaling_tick_age_ms=None, silent_ms=None, max_memory=0)

    names = {name for name, _ in series(page(never))}

    assert not names & {
        "fixwurx_nodes_wanted", "fixwurx_controller_tick_age_seconds",
        "fixwurx_heartbeat_age_max_seconds", "fixwurx_store_memory_limit_bytes",
    }  # fmt: skip


def test_however_large_the_cluster_series_are_bounded_and_sums_are_whole() -> None:
    huge = replace(
        SMALL,
        agents=9 * 10_000,
        free=3 * 10_000,
        states={WorkerState.READY: 10_000},
        nodes=[
            NodeReading(f"n{i}", WorkerState.READY, 9, 3, 2, 1.0, 0.0, 0) for i in range(MOST_NODES)
        ],
        lines=[Line(f"{i}|", 10 + i, 1000 * i) for i in range(1, 257)],
    )

    seen = page(huge)

    assert len(series(seen)) < 2000
    assert sum(by(seen, "fixwurx_node_agents", "node").values()) == 90_000
    assert sum(by(seen, "fixwurx_node_agents_free", "node").values()) == 30_000
    waiting = by(seen, "fixwurx_bugs_waiting", "class")
    assert len(waiting) == MOST_CLASSES + 1
    assert sum(waiting.values()) == sum(line.waiting for line in huge.lines)
    oldest = by(seen, "fixwurx_bugs_waiting_oldest_seconds", "class")
    assert (oldest["256|"], oldest[OTHERS]) == (256, 256 - MOST_CLASSES)


@pytest.mark.skipif(not shutil.which("promtool"), reason="needs promtool (apt install prometheus)")
def test_prometheus_own_checker_finds_nothing_to_say() -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=page(SMALL), capture_output=True, timeout=20, check=False,
    )  # fmt: skip

    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def test_the_table_of_the_documentation_is_up_to_date() -> None:
    written = (ROOT / "docs" / "metrics.md").read_text("utf-8")

    assert table() in written, (
        "docs/metrics.md is stale: put there what python -m fixwurx_celery.metrics.reference prints"
    )
