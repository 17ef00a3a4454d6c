"""In this folder every script call is sent twice: the repetition must change nothing."""

import random
from collections.abc import Callable, Iterator

import pytest

from fixwurx_celery.settings import Settings
from fixwurx_celery.store import connect
from tests.support.clock import Clock
from tests.support.replay import ReplayingStore


@pytest.fixture
def make_store(
    redis_url: str, namespace: str, clock: Clock
) -> Iterator[Callable[..., ReplayingStore]]:
    """As the suite's own, but replaying."""
    opened: list[ReplayingStore] = []

    def make(**given: object) -> ReplayingStore:
        settings = Settings.from_environment({}, redis_url=redis_url, namespace=namespace, **given)
        store = ReplayingStore(
            connect(redis_url), settings, rng=random.Random(7), clock_ms=lambda: clock.now_ms
        )
        opened.append(store)
        return store

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(make_store: Callable[..., ReplayingStore]) -> ReplayingStore:
    """A replaying store with default settings."""
    return make_store()
