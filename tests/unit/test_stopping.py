"""How far a node is with stopping, told by signals."""

import os
import threading

import pytest

from fixwurx_celery.worker import stopping as module
from fixwurx_celery.worker.stopping import Stage, Stopping


@pytest.fixture
def stopping() -> Stopping:
    return Stopping()


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two signals are two orders, however close."""
    monkeypatch.setattr(module, "ONE_ORDER_S", -1.0)


@pytest.mark.parametrize(
    ("names", "stage"),
    [
        (["SIGTERM"], Stage.DRAINING),
        (["SIGINT"], Stage.DRAINING),
        (["SIGQUIT"], Stage.HURRYING),
        (["SIGTERM", "SIGTERM"], Stage.HURRYING),
        (["SIGINT", "SIGTERM"], Stage.HURRYING),
        (["SIGTERM", "SIGQUIT"], Stage.HURRYING),
    ],
)
@pytest.mark.usefixtures("at_once")
def test_the_first_signal_drains_and_the_next_one_hurries(
    stopping: Stopping, names: list[str], stage: Stage
) -> None:
    for name in names:
        stopping.hear(name)

    assert stopping.stage is stage


def test_signals_within_a_moment_are_one_order(stopping: Stopping) -> None:
    for _ in range(5):
        stopping.hear("SIGTERM")

    assert stopping.stage is Stage.DRAINING


def test_an_order_by_other_means_does_not_count_as_a_signal(stopping: Stopping) -> None:
    stopping.rise_to(Stage.DRAINING)
    stopping.hear("SIGTERM")

    assert stopping.stage is Stage.DRAINING


def test_a_term_that_stands_for_quit_hurries(
    stopping: Stopping, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMAP_SIGTERM", "SIGQUIT")

    stopping.hear("SIGTERM")

    assert stopping.stage is Stage.HURRYING


def test_a_stage_only_rises_and_forked_processes_see_it(stopping: Stopping) -> None:
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.read(ours, 1)
        os._exit(stopping.stage)

    stopping.rise_to(Stage.HURRYING)
    stopping.rise_to(Stage.DRAINING)
    os.write(theirs, b".")

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == Stage.HURRYING
    os.close(ours)
    os.close(theirs)


def test_who_waits_for_a_stage_is_woken_by_it(stopping: Stopping) -> None:
    reached = threading.Event()
    waiting = threading.Thread(
        target=lambda: reached.set() if stopping.wait_for(Stage.HURRYING) else None
    )
    waiting.start()

    assert not stopping.wait_for(Stage.DRAINING, 0.01)
    stopping.rise_to(Stage.DRAINING)
    assert not reached.wait(0.05)
    stopping.rise_to(Stage.HURRYING)

    assert reached.wait(5)
    waiting.join()
    assert stopping.wait_for(Stage.HURRYING, 0)
