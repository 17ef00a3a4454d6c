"""A real Prometheus scrapes a real cluster whose bugs wait, run and end: every query has data."""

import dataclasses
import math
import shutil
from collections.abc import Iterator

import pytest

from tests.support.controllers import controller, running_process
from tests.support.dashboards import alerts, queries
from tests.support.live_cluster import LiveCluster
from tests.support.prometheus import Prometheus, prometheus
from tests.support.server import NoServer, free_port, start_server
from tests.support.surroundings import environment
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("prometheus"), reason="needs prometheus (apt install prometheus)"
    ),
]
TOKEN = "a token of the tests"
INTERVAL = "20s"
"""Over which rates are taken: a scrape comes every second."""


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveCluster, Prometheus]]:
    """A store with a limit, a node at work with more bugs than it can run, a controller that serves
    the metrics, and a Prometheus that scrapes it with the token."""
    folder = tmp_path_factory.mktemp("watched")
    target = f"127.0.0.1:{free_port()}"
    try:
        server = start_server(folder / "server", maxmemory="1gb")
    except NoServer as error:
        pytest.skip(str(error))
    with server:
        cluster = LiveCluster(folder, redis_url=server.url)
        told = dataclasses.replace(
            cluster.settings,
            metrics_listen=target,
            metrics_token=TOKEN,
            scaling_interval_sec=1,
            health_check_interval_sec=1,
        )
        line, env = controller(folder), environment(told)
        with (
            running_process(line, env, folder),
            cluster.node("a@here"),
            prometheus(folder, target, TOKEN) as scraping,
        ):
            for _ in range(200):
                cluster.submit({"phase": "PATCH", "sleep_s": 0.3}, agents=3)
            yield cluster, scraping
        cluster.close()


@pytest.mark.timeout(180)
def test_every_query_of_the_dashboard_has_data_while_bugs_wait_run_and_end(
    watched: tuple[LiveCluster, Prometheus],
) -> None:
    _, scraping = watched
    asked = queries(interval=INTERVAL)

    def without_data() -> list[str]:
        return [
            f"{name}: {expression}"
            for name, expression in asked.items()
            if not any(math.isfinite(value) for value in scraping.ask(expression))
        ]

    assert len(asked) > 40
    missing: list[str] = []

    def all_have() -> bool:
        nonlocal missing
        missing = without_data()
        return not missing

    try:
        wait_until("every query has data", all_have, within_s=60)
    except AssertionError as error:
        raise AssertionError("no data for\n" + "\n".join(missing)) from error


def test_what_prometheus_has_is_what_the_store_holds(
    watched: tuple[LiveCluster, Prometheus],
) -> None:
    cluster, scraping = watched
    wait_until("it was scraped", lambda: scraping.ask("fixwurx_up") == [1], within_s=30)

    assert scraping.ask("fixwurx_agents") == [3]
    assert scraping.ask("fixwurx_bugs_submitted_total") == [200]
    assert scraping.ask('fixwurx_node_agents{node="a@here"}') == [3]
    tally = cluster.store.measure(0).tallied
    assert scraping.ask("fixwurx_runs_started_total")[0] <= tally["bug_started"]


def test_all_alerts_are_evaluated_and_none_has_an_error(
    watched: tuple[LiveCluster, Prometheus],
) -> None:
    _, scraping = watched

    def evaluated() -> dict[str, str]:
        (group,) = scraping.get("rules")["groups"]
        return {rule["name"]: rule["health"] for rule in group["rules"]}

    wait_until(
        "all are evaluated", lambda: evaluated() == dict.fromkeys(alerts(), "ok"), within_s=30
    )
