import pytest

from forge.plan import CycleError, affected_by, build_layers

NEEDS = {"app": ["lib", "ui"], "lib": ["base"], "ui": ["base", "icons"], "docs": []}


def test_layers():
    assert build_layers(NEEDS) == [["base", "docs", "icons"], ["lib", "ui"], ["app"]]


def test_single_target():
    assert build_layers({"a": []}) == [["a"]]


def test_chain():
    assert build_layers({"c": ["b"], "b": ["a"]}) == [["a"], ["b"], ["c"]]


def test_nothing():
    assert build_layers({}) == []


def test_cycle_is_named():
    with pytest.raises(CycleError) as caught:
        build_layers({"a": ["b"], "b": ["a"], "c": []})
    assert caught.value.targets == ["a", "b"]


def test_affected():
    assert affected_by("base", NEEDS) == {"lib", "ui", "app"}
    assert affected_by("docs", NEEDS) == set()
