"""The controller: its beat schedule, and that a provider which hangs holds up nothing else."""

import threading

from fixwurx_celery.controller import OneAtATime, controller_app
from fixwurx_celery.settings import Settings

URL = "redis://127.0.0.1:1/0"  # nothing listens: an application connects to nothing


def test_the_schedule_of_beat_follows_the_settings() -> None:
    settings = Settings(
        redis_url=URL, scaling_interval_sec=7, sync_interval_sec=3, state_path="/tmp/state.json"
    )

    schedule = controller_app(settings).conf.beat_schedule

    every = {
        name: (entry["schedule"], entry["options"]["expires"]) for name, entry in schedule.items()
    }
    assert every == {"sweep": (1.0, 1.0), "scale": (7, 7), "sync": (3, 3)}


def test_nothing_is_synced_where_no_file_is_named() -> None:
    assert "sync" not in controller_app(Settings(redis_url=URL)).conf.beat_schedule


def test_work_that_hangs_is_not_begun_again_and_holds_up_nobody() -> None:
    ended, began = threading.Event(), []

    def hang() -> None:
        began.append(1)
        assert ended.wait(30), "the test ends it"

    work = OneAtATime(hang)

    assert work.start()
    assert not work.start()
    ended.set()
    assert work._thread is not None
    work._thread.join(10)
    assert work.start()
    assert len(began) == 2
