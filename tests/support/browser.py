"""A real browser on the cluster's page, and what it shows there, read as a person would."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

from tests.support.flower import Flower
from tests.support.waiting import wait_until

CHROMIUM: Final = "chromium"

DRAWN: Final = """() => {
  const texts = (root, selector) => [...root.querySelectorAll(selector)].map((e) => e.textContent);
  const seen = (e) => e.checkVisibility();
  const rows = (id) => [...document.querySelectorAll(`#${id} > tr`)].map((row) =>
    [...row.children].map((cell) => cell.textContent));
  return {
    state: document.querySelector("main").dataset.state,
    totals: Object.fromEntries([...document.querySelectorAll(".totals > div")].map((e) =>
      [e.querySelector("dt").textContent, e.querySelector("strong").textContent])),
    nodes: Object.fromEntries([...document.querySelectorAll("#nodes > li")].filter(seen).map((e) =>
      [
      e.querySelector(".node-name").textContent, {
        state: e.querySelector(".state").textContent,
        free: e.querySelectorAll(".cells > .free").length,
        bugs: Object.fromEntries([...e.querySelectorAll(".cells > [data-phase]")].map((cell) => [
          cell.bug,
          [Number(cell.style.getPropertyValue("--span")),
            (cell.querySelector(".phase") ?? cell).textContent],
        ])),
      }])),
    gone: texts(document, "#gone-list > li").map((text) => text.split(",")[0]),
    lines: rows("lines").map(([needs, waiting, head]) => [needs, waiting, head]),
    ended: rows("ended").map(([bug, outcome, what, node, attempts, , , read]) =>
      [bug, outcome, what, node, attempts, read]),
    strategy: document.querySelector("#strategy").value,
    trouble: [...document.querySelectorAll("#trouble")].filter(seen).map((e) => e.textContent)[0]
      ?? "",
  };
}"""


class Page:
    """One page in a browser. What the browser complained of is in `complaints`."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.complaints.append(f"dialog: {dialog.message}"))

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def open(self, flower: Flower, prefix: str = "") -> "Page":
        """Opens it, and returns when it is live."""
        self.page.goto(f"{flower.address}{prefix}/cluster")
        self.becomes("live")
        return self

    def becomes(self, state: str, within_s: float = 20) -> None:
        wait_until(f"the page is {state}", lambda: self.drawn()["state"] == state,
                   within_s=within_s)  # fmt: skip

    def drawn(self) -> dict[str, Any]:
        """What is on the page."""
        found: dict[str, Any] = self.page.evaluate(DRAWN)
        return found

    def shows(self, what: str, is_so: Any, within_s: float = 10) -> dict[str, Any]:
        """What is on the page, once this is so of it."""
        return wait_until(
            what, lambda: drawn if is_so(drawn := self.drawn()) else None, within_s=within_s
        )


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser. Skips where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    binary = shutil.which(CHROMIUM)
    if binary is None:
        pytest.skip("no chromium on the PATH: apt-get install --no-install-recommends chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=binary, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def page_of(
    browser: Any, *, login: str = "", width: int = 1280, height: int = 800, scheme: str = "light"
) -> Iterator[Page]:
    """A page in a browser of its own; it must have nothing to complain of at the end."""
    name, _, password = login.partition(":")
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        http_credentials={"username": name, "password": password} if login else None,
    )
    page = Page(context.new_page())
    yield page
    context.close()
    assert not page.complaints, f"the browser complains: {page.complaints}"
