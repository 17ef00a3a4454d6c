"""Flower behind a real nginx, both as docs/dashboard.md has them."""

import os
import pwd
import re
import shlex
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from fixwurx_celery.domain.nodes import WorkerState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.support import cluster, documented
from tests.support.browser import chromium, page_of
from tests.support.flower import OURS, Flower, flower
from tests.support.nginx import nginx
from tests.support.waiting import wait_until

pytest.importorskip("flower")

PREFIX: Final = "/flower"
UPSTREAM: Final = "http://127.0.0.1:5555"
OF_THE_BROWSER: Final = "proxy_set_header Host $http_host;"


def location(upstream: str) -> str:
    """The block of the page, before that Flower."""
    [block] = documented.shown("dashboard.md", "Behind a proxy", "nginx")
    assert UPSTREAM in block
    return block.replace(UPSTREAM, upstream)


@pytest.fixture(scope="module")
def behind(shown: Settings, folder: Path) -> Iterator[Flower]:
    """The Flower of the page, reached through nginx by somebody at 127.0.0.2."""
    [command] = documented.documented("dashboard.md", "Behind a proxy")
    login, *program, prefix, headers = shlex.split(command)
    variable, _, password = login.partition("=")
    assert program == ["fixwurx-celery", "flower"]
    with (
        flower(shown, folder, prefix, headers, command=OURS, **{variable: password}) as started,
        nginx(location(started.address)) as port,
    ):
        yield replace(started, port=port, login=password, comes_from="127.0.0.2")


def state(store: ClusterStore, node: cluster.Life) -> WorkerState:
    return next(one.state for one in store.snapshot().nodes if one.worker_id == node.node)


@pytest.mark.parametrize("path", ["/", "/workers", "/cluster", "/api/fixwurx/cluster", "/metrics"])
def test_the_login_is_asked_for(behind: Flower, path: str) -> None:
    refusal = behind.ask(PREFIX + path, login="", Authorization="")

    assert refusal.status == 401
    assert refusal.headers["www-authenticate"].startswith("Basic")
    assert behind.ask(PREFIX + path).status == 200


@pytest.mark.parametrize("path", ["/workers", "/tasks", "/broker", "/cluster"])
def test_all_that_a_page_names_is_there_below_the_prefix(behind: Flower, path: str) -> None:
    page = behind.ask(PREFIX + path).text

    named = re.findall(r'(?:href|src)="(/[^"]*)"', page)
    assert {Path(urlsplit(each).path).suffix for each in named} >= {".css", ".ico", ".js"}
    for address in named:
        assert address.startswith(f"{PREFIX}/"), address
        if "/api/" not in address:  # which want to be told of which bug
            assert behind.ask(address).status == 200, address


def test_what_changes_is_seen_and_can_be_changed(
    behind: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    def states() -> dict[str, str]:
        return {one["id"]: one["state"] for one in behind.picture(PREFIX)["nodes"]}

    wait_until("the node is in the picture", lambda: node.node in states())
    origin = f"http://127.0.0.1:{behind.port}"
    headers = {"Origin": origin, "Sec_Fetch_Site": "same-origin"}

    token = behind.open_page(PREFIX)
    drained = behind.act("drain", {"node": node.node}, token, PREFIX, **headers)

    assert drained.json == {"said": f"{node.node} takes no more bugs; it runs none"}
    assert state(shown_store, node) is WorkerState.STOPPING
    wait_until("the picture has it", lambda: states()[node.node] == "STOPPING")
    # As nginx tells it, and `--xheaders=True` believes.
    assert f"'me' from 127.0.0.2 asked for drain '{node.node}'" in behind.log.read_text()


@pytest.mark.parametrize(
    "forged",
    [{"X_XSRFToken": ""}, {"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}],
    ids=["no token", "another origin", "another site"],
)
def test_no_other_page_can_change_it(
    behind: Flower, shown_store: ClusterStore, node: cluster.Life, forged: dict[str, str]
) -> None:
    token = behind.open_page(PREFIX)

    refusal = behind.act("drain", {"node": node.node}, token, PREFIX, **forged)

    assert refusal.status == 403
    assert state(shown_store, node) is WorkerState.READY


def test_where_the_proxy_does_the_login_flower_answers_it_under_its_own_name_alone(
    shown: Settings, folder: Path
) -> None:
    with flower(shown, folder, prefix=PREFIX) as bare:
        as_documented = location(bare.address)
        assert OF_THE_BROWSER in as_documented
        with (
            nginx(as_documented) as told,
            nginx(as_documented.replace(OF_THE_BROWSER, "")) as untold,
        ):
            answers = [
                replace(bare, port=port).ask(f"{PREFIX}/cluster", Host="flower.example").status
                for port in (told, untold)
            ]

    assert answers == [403, 200]


def test_on_a_socket_a_flower_without_a_login_answers_the_proxy_under_any_name(
    shown: Settings, folder: Path
) -> None:
    with tempfile.TemporaryDirectory(prefix="fl", dir="/tmp") as name:
        if os.geteuid() == 0:  # nginx is somebody else, and the folder's group is its own
            os.chown(name, -1, pwd.getpwnam("nobody").pw_gid)
        Path(name).chmod(0o2750)
        door = f"{name}/door"
        with (
            flower(shown, folder, f"--unix_socket={door}", prefix=PREFIX) as bare,
            nginx(location(f"http://unix:{door}:")) as port,
        ):
            page = replace(bare, port=port, door=None).ask(
                f"{PREFIX}/cluster", Host="flower.example"
            )

    assert page.status == 200
    assert "Nodes cannot be drained from here" in page.text


@pytest.mark.browser
def test_the_page_and_its_buttons_work_in_a_browser(
    behind: Flower, shown_store: ClusterStore, node: cluster.Life
) -> None:
    with chromium() as browser, page_of(browser, login=behind.login) as page:
        page.open(behind, PREFIX)
        page.shows("the node is there", lambda drawn: node.node in drawn["nodes"])
        page.page.get_by_role("button", name=f"Drain {node.node}").click()
        page.page.locator("#ask-yes").click()
        wait_until("it drains", lambda: state(shown_store, node) is WorkerState.STOPPING)
        page.shows("the page shows it", lambda drawn: drawn["nodes"][node.node]["state"]
                   == "draining")  # fmt: skip
        page.page.get_by_role("link", name="Workers").click()
        page.page.wait_for_url(f"**{PREFIX}/workers")
