"""The page for everybody: axe finds nothing, and a phone shows all of it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from tests.dashboard.conftest import LOGIN
from tests.support.browser import Page, chromium, page_of
from tests.support.flower import Flower, flower
from tests.support.server import start_server
from tests.support.shown_cluster import ShownCluster, of_everything

pytestmark = pytest.mark.browser

SIZES: Final = {"desktop": (1440, 900), "phone": (360, 740)}
AXE: Final = """async () => {
  const found = await axe.run(document, {
    runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
  });
  return found.violations.map((one) =>
    [one.id, one.help, one.nodes.map((node) => `${node.html} ${node.failureSummary}`)]);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def everything(shown_store: ClusterStore) -> Iterator[ShownCluster]:
    """A cluster with something of everything, whose hearts beat."""
    shown = of_everything(shown_store)
    over = threading.Event()

    def beat() -> None:
        while not over.wait(0.7):
            shown.live()

    thread = threading.Thread(target=beat)
    thread.start()
    yield shown
    over.set()
    thread.join()


@pytest.fixture(params=["light", "dark"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=list(SIZES))
def page(
    request: pytest.FixtureRequest, browser: Any, scheme: str, guarded: Flower,
    everything: ShownCluster,
) -> Iterator[Page]:  # fmt: skip
    width, height = SIZES[request.param]
    with page_of(browser, login=LOGIN, width=width, height=height, scheme=scheme) as opened:
        opened.open(guarded)
        opened.shows("all is drawn", lambda drawn: drawn["ended"] and len(drawn["nodes"]) == 6)
        yield opened


def violations(page: Page) -> list[Any]:
    from axe_playwright_python.base import AXE_FILE_PATH

    page.page.evaluate(Path(AXE_FILE_PATH).read_text("utf-8"))
    found: list[Any] = page.page.evaluate(AXE)
    return found


def test_axe_finds_nothing_on_the_page(page: Page) -> None:
    assert violations(page) == []


def test_axe_finds_nothing_on_many_nodes_shown_compactly(page: Page) -> None:
    page.page.locator("#density").click()

    assert violations(page) == []


@pytest.mark.parametrize("dialog", ["ask", "bug", "node"])
def test_axe_finds_nothing_in_dialogs(page: Page, dialog: str) -> None:
    opener = {"ask": ".node .act:visible", "bug": ".bug", "node": ".name-button"}[dialog]
    page.page.locator(opener).first.click()
    page.page.locator(f"#{dialog}").wait_for(state="visible")

    assert violations(page) == []


def test_nothing_is_wider_than_the_screen(page: Page) -> None:
    wide, screen = page.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")

    assert wide <= screen


def test_all_that_can_be_clicked_can_be_reached_by_tab(page: Page) -> None:
    page.page.locator("#strategy-set").evaluate("(button) => button.disabled = false")
    wanted = page.page.evaluate(
        "[...document.querySelectorAll('main :is(a, button, input, select, summary)')]"
        ".filter((e) => e.checkVisibility()).length"
    )

    reached = set()
    page.page.locator("h1").click()
    for _ in range(wanted + 40):
        page.page.keyboard.press("Tab")
        reached.add(
            page.page.evaluate(
                "(() => { const e = document.activeElement; return e.closest('main') ?"
                " [...document.querySelectorAll('*')].indexOf(e) : -1; })()"
            )
        )

    assert len(reached - {-1}) >= wanted


@pytest.mark.parametrize("size", list(SIZES))
def test_axe_finds_nothing_while_the_store_is_away(
    browser: Any, scheme: str, size: str, tmp_path: Path
) -> None:
    width, height = SIZES[size]
    with start_server(tmp_path / "server", append_only=True) as server:
        settings = Settings(redis_url=server.url, heartbeat_timeout_sec=600)
        store = ClusterStore.from_settings(settings)
        of_everything(store)
        with flower(settings, tmp_path, login=LOGIN) as started, page_of(
            browser, login=LOGIN, width=width, height=height, scheme=scheme
        ) as page:  # fmt: skip
            page.open(started)
            server.kill()
            page.becomes("store")
            found = violations(page)
        store.close()

    assert found == []


def test_axe_finds_nothing_on_an_empty_cluster(
    browser: Any, scheme: str, settings: Settings, tmp_path: Path
) -> None:
    with flower(settings, tmp_path) as started, page_of(browser, scheme=scheme) as page:
        page.open(started)
        drawn = page.page.locator("main").inner_text()
        found = violations(page)

    assert found == []
    assert "No node is in service." in drawn
    assert "No bug waits." in drawn
    assert "No controller has decided anything yet." in drawn
    assert "No bug has ended yet." in drawn
