import pytest

from fixwurx_celery.domain.bugs import (
    ANSWERS,
    TERMINAL,
    TRANSITIONS,
    Bug,
    BugState,
    Outcome,
    class_name,
    terminal_state,
)
from fixwurx_celery.domain.nodes import WorkerNode, WorkerState


@pytest.mark.parametrize("good", ["a", "BUG-123", "a.b_c-9", "0", "x" * 128])
def test_an_id_of_letters_digits_and_a_few_marks_is_taken(good: str) -> None:
    assert Bug(id=good).bug_id == good


@pytest.mark.parametrize(
    "bad", ["", "-a", ".a", "a b", "a/b", "ä", "a\n", "x" * 129, "a:b", None, 7]
)
def test_any_other_id_is_refused_with_the_rule(bad: object) -> None:
    with pytest.raises(ValueError, match="at most 128 long"):
        Bug(id=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "values", "rule"),
    [
        ("agents", [0, -1, 1025, 3.0, True, "3", None], "whole number between 1 and 1024"),
        ("priority", [1001, -1001, 0.5, False, "1"], "whole number within ±1000"),
        ("timeout_s", [0, -1, 8 * 86400, float("nan"), float("inf")], "within 7 days"),
        ("expected_s", [0, -1, 8 * 86400, float("nan")], "within 7 days"),
    ],
)
def test_numbers_out_of_bounds_are_refused_with_the_rule(
    field: str, values: list[object], rule: str
) -> None:
    for value in values:
        with pytest.raises(ValueError, match=rule):
            Bug(id="a", **{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["", "a b", "a,b", "a|b", "x" * 64, "-x"])
def test_labels_that_would_not_fit_into_a_class_name_are_refused(label: str) -> None:
    with pytest.raises(ValueError, match="capability"):
        Bug(id="a", requires=frozenset({label}))


def test_bugs_alike_in_agents_and_labels_are_of_one_class() -> None:
    assert Bug(id="a", requires=frozenset({"gpu", "arm"})).bug_class == "3|arm,gpu"
    assert class_name(9, frozenset()) == "9|"


def test_a_terminal_state_leads_only_to_a_retry() -> None:
    assert set(TRANSITIONS) == set(BugState)
    for state in TERMINAL:
        assert TRANSITIONS[state] == {BugState.PENDING}


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        ({"outcome": "FIXED"}, BugState.DONE),
        ({"outcome": "NOT_FIXED"}, BugState.DONE),
        ({"outcome": "NOT_REPRODUCED"}, BugState.DONE),
        ({"outcome": "ERROR"}, BugState.ESCALATED),
        ({"outcome": "TIMED_OUT"}, BugState.ESCALATED),
        ({"outcome": "CANCELLED"}, BugState.CANCELLED),
        ({"outcome": "something of the user's"}, BugState.DONE),
        ({}, BugState.DONE),
        (None, BugState.DONE),
        ([1, 2], BugState.DONE),
        ("text", BugState.DONE),
    ],
)
def test_the_outcome_says_the_state_in_which_a_bug_ends(outcome: object, state: BugState) -> None:
    assert terminal_state(outcome) is state
    if isinstance(outcome, dict) and outcome.get("outcome") in set(Outcome):
        assert (outcome["outcome"] in ANSWERS) is (state is BugState.DONE)


def test_a_node_knows_what_it_has_left() -> None:
    node = WorkerNode(worker_id="n", state=WorkerState.READY, total_agents=9, free_agents=3)

    assert node.is_available()
    assert node.utilization() == pytest.approx(2 / 3)
    assert (
        WorkerNode(
            worker_id="n", state=WorkerState.OFFLINE, total_agents=0, free_agents=0
        ).utilization()
        == 1
    )
    assert node.as_dict()["state"] == "READY"
