"""The clocks of one run, and what bounds each."""

import pytest

from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.domain.clocks import BugClock, RunClocks, clock_of


@pytest.mark.parametrize(
    ("phase", "clock"),
    [
        ("TRIAGE", BugClock.SETUP),
        ("REPRO", BugClock.RUN),
        ("ANALYZE", BugClock.RUN),
        ("PATCH", BugClock.RUN),
        ("VERIFY", BugClock.VERIFY),
        ("WAIT", BugClock.RUN),
        ("of my own", BugClock.RUN),
        ("", BugClock.RUN),
    ],
)
def test_each_phase_has_its_clock(phase: str, clock: BugClock) -> None:
    assert clock_of(phase) is clock


def test_set_up_has_its_own_limit_and_is_not_charged_to_the_timeout() -> None:
    clocks = RunClocks(300, {}, now=1000)
    set_up = clocks.deadline

    clocks.enter("REPRO", 1500)

    assert (set_up, clocks.deadline) == (1600, 1800)


def test_clocks_without_a_limit_share_the_timeout() -> None:
    clocks = RunClocks(300, {}, now=0)
    clocks.enter("REPRO", 10)
    clocks.enter("VERIFY", 110)
    in_verify = clocks.deadline
    clocks.enter("ANALYZE", 160)

    assert (in_verify, clocks.deadline) == (310, 310)


def test_a_clock_with_a_limit_is_bounded_by_that_alone_over_all_its_stays() -> None:
    clocks = RunClocks(300, {"setup": 20, "verify": 30}, now=0)
    set_up = clocks.deadline
    clocks.enter("REPRO", 5)
    clocks.enter("VERIFY", 105)
    first = clocks.deadline
    clocks.enter("ANALYZE", 125)
    run = clocks.deadline
    clocks.enter("VERIFY", 225)

    assert (set_up, first, run, clocks.deadline) == (20, 135, 325, 235)


def test_a_long_limit_outlasts_a_short_timeout() -> None:
    clocks = RunClocks(10, {"run": 900}, now=0)
    clocks.enter("REPRO", 0)

    assert clocks.deadline == 900


def test_waiting_bounds_no_run() -> None:
    clocks = RunClocks(300, {"waiting": 1}, now=0)
    clocks.enter("REPRO", 0)

    assert clocks.deadline == 300


@pytest.mark.parametrize(
    ("limits", "phase", "said"),
    [
        ({}, "TRIAGE", "its set-up limit of 600 s"),
        ({"setup": 0.5}, "TRIAGE", "its set-up limit of 0.5 s"),
        ({"run": 20}, "PATCH", "its run limit of 20 s"),
        ({"verify": 20}, "VERIFY", "its verify limit of 20 s"),
        ({}, "REPRO", "its time limit of 300 s (the run clock has none of its own)"),
        ({"run": 20}, "VERIFY", "its time limit of 300 s (the verify clock has none of its own)"),
    ],
)
def test_what_sets_the_deadline_is_said(limits: dict[str, float], phase: str, said: str) -> None:
    clocks = RunClocks(300, limits, now=0)
    clocks.enter(phase, 0)

    assert clocks.bound == said


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"steup": 1}, "limits names no clock with 'steup'; did you mean setup?"),
        ({"queue": 1}, "'queue'; clocks are waiting, setup, run, verify"),
        ({1: 1}, "limits names no clock with 1; clocks are"),
        (300, "limits 300 must be seconds by clock, e.g. {'setup': 900}"),
        ({"run": 0}, "limits.run 0 must lie above 0 s and within 7 days"),
        ({"run": 604_801}, "limits.run 604801 must"),
        ({"run": float("nan")}, "limits.run nan must"),
        ({"run": "5"}, "limits.run '5' must"),
        ({"run": True}, "limits.run True must"),
        ({"run": None}, "limits.run None must"),
    ],
)
def test_a_bug_with_wrong_limits_is_refused(limits: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=r"^limits") as caught:
        Bug(id="a", limits=limits)

    assert said in str(caught.value)


def test_a_bug_may_have_a_limit_on_each_clock() -> None:
    limits = {"waiting": 0.1, "setup": 1, "run": 2.5, "verify": 604_800}

    assert Bug(id="a", limits=limits).limits == limits
