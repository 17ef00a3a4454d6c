import pytest
from cycle_check import has_cycle


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({}, False),
        ({"a": ["a"]}, True),
        ({"a": ["b"], "b": []}, False),
        ({"a": ["b"], "b": ["a"]}, True),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, False),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["b"]}, True),
        ({"x": ["y"], "z": ["y"]}, False),
    ],
)
def test_cycle(graph, expected):
    assert has_cycle(graph) is expected
