import pytest
from bfs_levels import levels


def test_line():
    assert levels({"a": ["b"], "b": ["c"], "c": []}, "a") == {"a": 0, "b": 1, "c": 2}


def test_diamond():
    graph = {"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}
    assert levels(graph, "a") == {"a": 0, "b": 1, "c": 1, "d": 2}


def test_shortcut():
    graph = {1: [2, 3], 2: [4], 4: [3], 3: [5], 5: []}
    assert levels(graph, 1)[3] == 1


def test_node_without_entry():
    assert levels({"a": ["leaf"]}, "a") == {"a": 0, "leaf": 1}


def test_unknown_start():
    assert levels({}, "x") == {"x": 0}
