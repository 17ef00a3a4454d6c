"""The chaos suite's seed, and its fleets, each on a store of its own that can be killed."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixwurx_celery.settings import Settings
from tests.chaos.fleet import Fleet
from tests.support.server import NoServer, start_server

MakeFleet = Callable[..., Fleet]


@pytest.fixture(scope="session")
def seed(request: pytest.FixtureRequest) -> int:
    """`--seed`, or one of the clock's."""
    given = request.config.getoption("--seed")
    return int(given) if given else time.time_ns() % 1_000_000


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Tells whoever waits for the suite how far it is."""

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{time.strftime('%H:%M:%S')} {text}", end="", flush=True)

    return tell


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Callable[..., Fleet]]:
    """Makes an empty fleet with these settings, on a store of its own. Nothing of it stays."""
    made: list[Fleet] = []

    def make(**given: object) -> Fleet:
        try:
            # Synced at every write: what the store has answered is there after a kill -9, whatever
            # the disk is busy with.
            server = start_server(tmp_path / "store", append_only=True, appendfsync="always")
        except NoServer as error:
            if os.environ.get("CI"):
                pytest.fail(str(error))
            pytest.skip(str(error))
        (tmp_path / "logs").mkdir()
        settings = Settings(
            redis_url=server.url, namespace="chaos", work_dir=str(tmp_path / "work"), **given
        )  # type: ignore[arg-type]
        made.append(Fleet(settings, server, tmp_path / "logs"))
        return made[-1]

    yield make
    for one in made:
        one.end()
        one.server.__exit__(None, None, None)
