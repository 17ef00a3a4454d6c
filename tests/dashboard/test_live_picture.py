"""One picture for all viewers: how often the store is asked, and what they see while it is away."""

import asyncio
import gzip
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fixwurx_celery.dashboard import live as live_module
from fixwurx_celery.dashboard.live import LivePicture
from fixwurx_celery.dashboard.reader import Reading
from fixwurx_celery.errors import StoreUnavailable
from tests.support import views


class Store:
    """A store that counts how often it is read, and can be slow, away or broken."""

    def __init__(self) -> None:
        self.reads = 0
        self.waiting = 0
        self.trouble: Exception | None = None
        self.gate = threading.Event()
        self.gate.set()

    def read(self) -> Reading:
        self.reads += 1
        self.gate.wait(timeout=20)
        if self.trouble:
            raise self.trouble
        snapshot = views.snapshot(views.node(), waiting={"3|": self.waiting})
        return Reading(snapshot=snapshot, ended=[], ticks=[])


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store()
    yield made
    made.gate.set()


def see(
    store: Store, script: Callable[[LivePicture], Any], monkeypatch: pytest.MonkeyPatch,
    refresh_s: float = 0.0,
) -> Any:  # fmt: skip
    """Runs the script on a loop of its own."""
    monkeypatch.setattr(live_module, "REFRESH_S", refresh_s)
    with ThreadPoolExecutor(1) as executor:

        async def main() -> Any:
            return await script(LivePicture(store.read, executor))

        try:
            return asyncio.run(main())
        finally:
            store.gate.set()


def shown(live: LivePicture) -> dict[str, Any]:
    body = live.body(list(live.parts()), is_gzip=False)
    return {name: content for name, (_, content) in json.loads(body).items()}


def test_fifty_viewers_cost_one_read(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(live: LivePicture) -> None:
        for _ in range(5):
            await asyncio.gather(*(live.refresh() for _ in range(50)))

    see(store, script, monkeypatch, refresh_s=60)

    assert store.reads == 1


def test_who_comes_while_it_is_read_gets_what_is_read(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.gate.clear()

    async def script(live: LivePicture) -> list[int]:
        viewers = [asyncio.ensure_future(live.refresh()) for _ in range(10)]
        await asyncio.sleep(0.05)
        store.gate.set()
        await asyncio.gather(*viewers)
        return [shown(live)["totals"]["nodes"]]

    assert see(store, script, monkeypatch) == [1]
    assert store.reads == 1


def test_an_action_makes_the_next_picture_a_new_one(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LivePicture) -> list[int]:
        await live.refresh()
        store.waiting = 7
        await live.refresh()
        before = shown(live)["totals"]["waiting"]
        live.expire()
        await live.refresh()
        return [before, shown(live)["totals"]["waiting"]]

    assert see(store, script, monkeypatch, refresh_s=60) == [0, 7]


def test_viewers_are_told_when_there_will_be_a_new_picture(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LivePicture) -> tuple[int, int, int]:
        unseen = live.due_ms
        await live.refresh()
        at_once = live.due_ms
        await asyncio.sleep(0.3)
        await live.refresh()
        return unseen, at_once, live.due_ms

    unseen, at_once, later = see(store, script, monkeypatch, refresh_s=10)

    assert unseen == 0
    assert 9000 < at_once <= 10_000
    assert at_once - 2000 < later <= at_once - 300


def test_only_parts_that_changed_have_other_versions(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LivePicture) -> set[str]:
        await live.refresh()
        before = live.parts()
        store.waiting = 7
        await live.refresh()
        after = live.parts()
        return {name for name in after if after[name].version != before[name].version}

    assert see(store, script, monkeypatch) == {"totals", "lines"}


def test_parts_that_are_alike_are_told_apart_by_their_names(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LivePicture) -> list[str]:
        await live.refresh()
        return [part.version for part in live.parts().values()]

    versions = see(store, script, monkeypatch)

    assert len(set(versions)) == len(versions)


def test_while_the_store_is_away_the_last_picture_stays_with_what_is_the_matter(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LivePicture) -> list[dict[str, Any]]:
        await live.refresh()
        seen = [shown(live)]
        store.trouble = StoreUnavailable("cannot reach the store at redis://store:6379")
        await live.refresh()
        seen.append(shown(live))
        store.trouble = None
        await live.refresh()
        await asyncio.sleep(0.1)  # who knows that it is away does not wait for it
        seen.append(shown(live))
        return seen

    before, away, after = see(store, script, monkeypatch)

    assert away == {
        **before,
        "trouble": {
            "text": "cannot reach the store at redis://store:6379",
            "last_ms": views.NOW_MS,
        },
    }
    assert after == before


def test_a_store_that_was_never_there_is_said_to_be_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.trouble = StoreUnavailable("no answer")

    async def script(live: LivePicture) -> dict[str, Any]:
        await live.refresh()
        return shown(live)

    assert see(store, script, monkeypatch) == {"trouble": {"text": "no answer", "last_ms": None}}


def test_viewers_do_not_wait_long_for_a_store_that_hangs(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "PATIENCE_S", 0.1)

    async def script(live: LivePicture) -> tuple[float, float, str, str]:
        await live.refresh()
        store.gate.clear()
        began = time.monotonic()
        await live.refresh()
        first_s = time.monotonic() - began
        await live.refresh()
        again_s = time.monotonic() - began - first_s
        trouble = live.trouble
        store.gate.set()
        await asyncio.sleep(0.1)
        return first_s, again_s, trouble, live.trouble

    first_s, again_s, trouble, later = see(store, script, monkeypatch)

    assert 0.1 <= first_s < 1
    assert again_s < 0.05
    assert trouble == "the store has not answered for 0.1 s"
    assert later == ""
    assert store.reads == 2  # nobody asked a second time while the first answer was missing


def test_a_defect_of_ours_is_shown_and_does_not_end_the_page(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def script(live: LivePicture) -> tuple[str, str]:
        store.trouble = KeyError("view")
        await live.refresh()
        trouble = live.trouble
        store.trouble = None
        await live.refresh()
        await asyncio.sleep(0.1)
        return trouble, live.trouble

    trouble, later = see(store, script, monkeypatch)

    assert trouble == "the cluster cannot be shown: KeyError: 'view'"
    assert later == ""
    assert "the cluster cannot be shown" in caplog.text


def test_the_stores_clock_goes_on_while_it_is_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def script(live: LivePicture) -> int:
        await live.refresh()
        store.trouble = StoreUnavailable("no answer")
        await asyncio.sleep(0.2)
        await live.refresh()
        return live.now_ms - views.NOW_MS

    assert 200 <= see(store, script, monkeypatch) < 2000


def test_what_is_compressed_says_the_same(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(live: LivePicture) -> tuple[bytes, bytes]:
        await live.refresh()
        names = ["nodes", "totals"]
        return live.body(names, is_gzip=False), live.body(names, is_gzip=True)

    plain, packed = see(store, script, monkeypatch)

    assert gzip.decompress(packed) == plain
    assert set(json.loads(plain)) == {"nodes", "totals"}
