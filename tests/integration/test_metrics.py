"""The cluster's metrics from a real store: served, guarded, and in nobody's way when it is away."""

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from fixwurx_celery.addresses import ListenAddress
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.metrics import page, readings, register, server_of
from fixwurx_celery.metrics.readings import Readings
from fixwurx_celery.metrics.server import MOST_AT_ONCE, MetricsServer
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support.cluster import bug, finish, node, running
from tests.support.controllers import command, controller, running_process
from tests.support.pages import series, value
from tests.support.server import Server, free_port, start_server
from tests.support.surroundings import ROOT, environment
from tests.support.waiting import wait_until


def get(url: str, token: str = "") -> bytes:
    request = urllib.request.Request(url)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200
        return bytes(answer.read())


def status_of(url: str, token: str = "") -> int:
    try:
        get(url, token)
    except urllib.error.HTTPError as error:
        return error.code
    return 200


@contextmanager
def served(settings: Settings, **given: Any) -> Iterator[str]:
    """The metrics at a URL, until the block ends."""
    given = {"metrics_listen": "127.0.0.1:0", **given}
    server = server_of(dataclasses.replace(settings, **given))
    server.start()
    try:
        yield f"http://{server.address}/metrics"
    finally:
        server.stop()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A store that the test may stop and kill."""
    with start_server(tmp_path / "server") as server:
        yield server


def test_what_is_served_is_what_the_store_holds(
    settings: Settings, live_store: ClusterStore
) -> None:
    life, _ = node(live_store, "n0")
    first, _ = running(live_store, life, bug("a"), bug("b"))
    finish(live_store, first)

    with served(settings) as url:
        seen = get(url)

    assert value(seen, "fixwurx_node_bugs", node="n0") == 1
    assert value(seen, "fixwurx_bugs_ended_total", state="DONE", outcome="FIXED") == 1
    assert value(seen, "fixwurx_bug_start_latency_seconds_count") == 2
    assert 0 < value(seen, "fixwurx_store_round_trip_seconds") < 5
    assert value(seen, "fixwurx_store_memory_used_bytes") > 100_000


def test_the_collector_goes_into_any_registry_and_asks_the_store_when_scraped(
    settings: Settings, live_store: ClusterStore
) -> None:
    registry = CollectorRegistry()
    register(registry, settings)
    node(live_store, "n0")

    assert value(generate_latest(registry), "fixwurx_agents") == 9
    with pytest.raises(ValueError, match="fixwurx_up"):
        register(registry, settings)


def test_metrics_of_no_store_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="no store is named"):
        register(CollectorRegistry(), Settings())


def test_many_scrapes_at_once_cost_the_store_one_look(
    settings: Settings, live_store: ClusterStore
) -> None:
    looks = Readings.of(settings)
    before = calls(live_store)

    first = looks.latest()
    again = [looks.latest() for _ in range(20)]

    assert first is not None
    assert all(one is first for one in again)
    assert calls(live_store) - before <= 2  # the first may have to send the script
    looks.close()


def calls(store: ClusterStore) -> int:
    """Scripts that the server has run."""
    stats: Any = store.client.info("commandstats")
    return sum(
        int(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"]) for name in ("evalsha", "eval")
    )


def test_only_those_who_send_the_token_may_read(settings: Settings) -> None:
    with served(settings, metrics_token="a token of ours") as url:
        assert status_of(url) == 401
        assert status_of(url, "a token of theirs") == 401
        assert status_of(url.replace("/metrics", "/else")) == 401
        assert status_of(url, "a token of ours") == 200


def test_there_is_nothing_but_metrics(settings: Settings) -> None:
    with served(settings) as url:
        assert status_of(url + "?format=text") == 200
        assert status_of(url.replace("/metrics", "/")) == 404
        assert status_of(url.replace("/metrics", "/metrics/more")) == 404
        request = urllib.request.Request(url, data=b"", method="POST")
        with pytest.raises(urllib.error.HTTPError, match="501"):
            urllib.request.urlopen(request, timeout=5)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"metrics_listen": "9464"}, "must be host:port"),
        ({"metrics_listen": ":9464"}, "must be host:port"),
        ({"metrics_listen": "127.0.0.1:99999"}, "must be host:port"),
        ({"metrics_listen": "0.0.0.0:9464"}, "open to other hosts"),
        ({"metrics_listen": "[::]:9464"}, "open to other hosts"),
        ({"metrics_listen": "node.example.org:9464"}, "open to other hosts"),
    ],
)
def test_an_address_that_is_none_or_open_to_all_is_refused(
    given: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ConfigurationError, match=rule):
        Settings(**given)


@pytest.mark.parametrize(
    "given",
    [
        {"metrics_listen": "localhost:9464"},
        {"metrics_listen": "[::1]:9464"},
        {"metrics_listen": "0.0.0.0:9464", "metrics_token": "x"},
        {"metrics_listen": "0.0.0.0:9464", "metrics_allow_remote": True},
    ],
)
def test_an_address_that_nobody_else_reaches_or_is_opened_in_so_many_words_is_taken(
    given: dict[str, Any],
) -> None:
    made = Settings(**given)

    assert Settings.from_environment(made.environment()) == made
    assert "x" not in [entry["value"] for entry in made.describe()]


def test_a_store_that_ends_and_comes_back_is_up_0_and_then_all_again(own_server: Server) -> None:
    settings = Settings(redis_url=own_server.url)
    with served(settings) as url:
        assert value(get(url), "fixwurx_up") == 1
        own_server.kill()
        wait_until("the last look is over", lambda: value(get(url), "fixwurx_up") == 0)
        assert len(series(get(url))) == 1
        own_server.start()
        wait_until("all is there again", lambda: value(get(url), "fixwurx_up") == 1)


def test_a_store_that_stands_still_holds_up_no_scrape_for_long(own_server: Server) -> None:
    assert own_server.process is not None
    with served(Settings(redis_url=own_server.url)) as url:
        get(url)
        os.kill(own_server.process.pid, signal.SIGSTOP)
        try:
            time.sleep(readings.FRESH_S)  # what was looked at is old then
            took_s = []
            for _ in range(3):
                began = time.monotonic()
                assert value(get(url), "fixwurx_up") == 0
                took_s.append(time.monotonic() - began)
        finally:
            os.kill(own_server.process.pid, signal.SIGCONT)
        assert max(took_s) < readings.ANSWER_S + 1, took_s
        wait_until("it answers again", lambda: value(get(url), "fixwurx_up") == 1)


def test_an_address_that_never_answers_at_all_holds_up_no_scrape_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A name server that hangs, for example: no time-out of a client library covers that."""
    monkeypatch.setattr(readings, "ANSWER_S", 0.3)
    began = time.monotonic()
    looks = Readings(lambda: time.sleep(3))

    assert looks.latest() is None
    assert looks.latest() is None

    assert time.monotonic() - began < 2


def test_clients_that_say_nothing_are_left_and_do_not_add_up(settings: Settings) -> None:
    with served(settings) as url:
        host, port = url.split("/")[2].split(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(MOST_AT_ONCE)]
        with contextlib.ExitStack() as stack:
            for one in idle:
                stack.enter_context(one)
            wait_until("no thread is free", lambda: not answers(url))
        wait_until("all are answered again", lambda: answers(url))


def answers(url: str) -> bool:
    try:
        get(url)
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


def test_what_cannot_listen_yet_does_so_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fixwurx_celery.metrics.server.BIND_AGAIN_S", 0.1)
    first = MetricsServer(ListenAddress("127.0.0.1", 0), lambda: b"first\n")
    first.start()
    second = MetricsServer(first.address, lambda: b"second\n")
    second.start_when_possible()
    try:
        assert get(f"http://{first.address}/metrics") == b"first\n"
        first.stop()
        url = f"http://{second.address}/metrics"
        wait_until("the second serves", lambda: answers(url) and get(url) == b"second\n")
    finally:
        second.stop()


def test_one_that_is_stopped_before_it_could_listen_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    first = MetricsServer(ListenAddress("127.0.0.1", 0), lambda: b"")
    first.start()
    second = MetricsServer(first.address, lambda: b"")
    second.start_when_possible()

    second.stop()

    assert second._thread is not None
    assert not second._thread.is_alive()
    first.stop()


# -- processes ----------------------------------------------------------------------------------


def test_the_command_prints_them_once(settings: Settings, live_store: ClusterStore) -> None:
    node(live_store, "n0")

    printed = subprocess.run(
        command("metrics", "--once"),
        env=environment(settings), capture_output=True, timeout=30, check=True,
    ).stdout  # fmt: skip

    assert value(printed, "fixwurx_agents") == 9


def test_the_command_serves_until_it_is_interrupted(settings: Settings, tmp_path: Path) -> None:
    address = f"127.0.0.1:{free_port()}"
    line = command("metrics", "--listen", address)
    with running_process(line, environment(settings), tmp_path) as process:
        url = f"http://{address}/metrics"
        wait_until("it serves", lambda: answers(url), within_s=20)
        assert value(get(url), "fixwurx_up") == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=10) == 130


@pytest.mark.parametrize(
    ("arguments", "more", "status", "said"),
    [
        (["--listen", "0.0.0.0:0"], {}, 2, "open to other hosts"),
        (["--listen", "192.0.2.1:9464", "--allow-remote"], {}, 1, "cannot listen at 192.0.2.1"),
        ([], {"PYTHONPATH": "without"}, 2, "pip install 'fixwurx-celery[metrics]'"),
    ],
)
def test_the_command_says_why_it_does_not_serve(
    settings: Settings, tmp_path: Path, arguments: list[str], more: dict[str, str], status: int,
    said: str,
) -> None:  # fmt: skip
    if more:
        more = {"PYTHONPATH": without_prometheus_client(tmp_path)}
    ended = subprocess.run(
        command("metrics", *arguments), env=environment(settings, **more), capture_output=True,
        text=True, timeout=30, check=False,
    )  # fmt: skip

    assert ended.returncode == status
    assert said in ended.stderr


def without_prometheus_client(folder: Path) -> str:
    """A path on which that package cannot be imported."""
    hidden = folder / "hidden" / "prometheus_client"
    hidden.mkdir(parents=True)
    (hidden / "__init__.py").write_text("raise ImportError('it is not installed')\n")
    return f"{hidden.parent}:{ROOT}"


def test_a_controller_serves_them_and_goes_on_ticking_while_it_does(
    settings: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{free_port()}"
    quick = dataclasses.replace(settings, metrics_listen=address, scaling_interval_sec=1)
    url = f"http://{address}/metrics"
    with running_process(controller(tmp_path), environment(quick), tmp_path):
        wait_until(
            "a tick is seen",
            lambda: answers(url) and b"fixwurx_controller_tick_age_seconds " in get(url),
            within_s=30,
        )
        assert value(get(url), "fixwurx_controller_tick_interval_seconds") == 1
        assert value(get(url), "fixwurx_nodes_max") == settings.max_workers
        assert value(get(url), "fixwurx_scaling_decisions_total", action="hold") >= 0


def test_a_controller_without_an_address_needs_no_client_library(
    settings: Settings, live_store: ClusterStore, tmp_path: Path
) -> None:
    env = environment(settings, PYTHONPATH=without_prometheus_client(tmp_path))
    with running_process(controller(tmp_path), env, tmp_path):
        wait_until(
            "it ticks",
            lambda: live_store.client.exists(f"{live_store.prefix}tick:health_check"),
            within_s=30,
        )


def test_a_controller_with_one_says_what_is_missing(settings: Settings, tmp_path: Path) -> None:
    given = dataclasses.replace(settings, metrics_listen="127.0.0.1:0")
    env = environment(given, PYTHONPATH=without_prometheus_client(tmp_path))

    ended = subprocess.run(
        controller(tmp_path), env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip

    assert ended.returncode != 0
    assert "pip install 'fixwurx-celery[metrics]'" in ended.stderr + ended.stdout


def test_one_page_is_enough_for_a_program(settings: Settings) -> None:
    assert value(page(settings), "fixwurx_up") == 1
