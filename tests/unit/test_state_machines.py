"""The diagrams of docs/state-machines.md are the code's transitions."""

import pytest

from fixwurx_celery.domain.bugs import TERMINAL, TRANSITIONS, BugState, Outcome, terminal_state
from tests.support.diagrams import OUTSIDE, edges


def test_the_diagram_of_bugs_is_the_transition_table() -> None:
    table = {(str(a), str(b)) for a, following in TRANSITIONS.items() for b in following}

    shown = edges("state-machines.md", "Bug")
    assert {edge for edge in shown if OUTSIDE not in edge} == table


def test_every_state_but_a_reservation_leads_to_an_end() -> None:
    for state in set(BugState) - {BugState.RESERVED}:
        reached, todo = {state}, [state]
        while todo:
            for following in TRANSITIONS[todo.pop()] - reached:
                reached.add(following)
                todo.append(following)
        assert reached & TERMINAL, f"{state} leads nowhere"


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ({"outcome": Outcome.FIXED}, BugState.DONE),
        ({"outcome": "NOT_REPRODUCED"}, BugState.DONE),
        ({"outcome": "NOT_FIXED"}, BugState.DONE),
        ({"outcome": "TIMED_OUT"}, BugState.ESCALATED),
        ({"outcome": "ERROR"}, BugState.ESCALATED),
        ({"outcome": "CANCELLED"}, BugState.CANCELLED),
        ({"anything": 1}, BugState.DONE),
        (["any", "JSON"], BugState.DONE),
        (None, BugState.DONE),
    ],
)
def test_the_outcome_decides_the_terminal_state(outcome: object, state: BugState) -> None:
    assert terminal_state(outcome) is state
