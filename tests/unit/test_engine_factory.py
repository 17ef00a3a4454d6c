"""Factories of engines: how each is called, and what is said of one that cannot be."""

import functools
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.engine import triangulation
from fixwurx_celery.engine.base import EngineBug
from fixwurx_celery.engine.factory import Factory, load_factory
from fixwurx_celery.engine.triangulation import Triangulation

BUG = EngineBug(id="b-1", agents=3)
FOLDER = Path("/work")
SAVED = {"phase": "PATCH"}


class Made:
    def __init__(self, bug: Any, workspace: Any, checkpoint: Any = None) -> None:
        self.got = [bug, workspace, checkpoint]


def undressed(*arguments: Any, **named: Any) -> list[Any]:
    return [*arguments, *named.values()]


FACTORIES = [
    (lambda bug: [bug], [BUG]),
    (lambda b: [b], [BUG]),
    (lambda b, /: [b], [BUG]),
    (lambda bug, workspace: [bug, workspace], [BUG, FOLDER]),
    (lambda b, folder: [b, folder], [BUG, FOLDER]),
    (lambda bug, checkpoint: [bug, checkpoint], [BUG, SAVED]),
    (lambda bug, *, checkpoint: [bug, checkpoint], [BUG, SAVED]),
    (lambda b, checkpoint, w: [b, checkpoint, w], [BUG, SAVED, FOLDER]),
    (lambda workspace, bug: [workspace, bug], [FOLDER, BUG]),
    (lambda b, w, c: [b, w, c], [BUG, FOLDER, SAVED]),
    (lambda bug, _workspace, _checkpoint: [bug, _checkpoint], [BUG, SAVED]),
    (lambda bug, workspace=None, checkpoint=None: [bug, checkpoint], [BUG, SAVED]),
    (lambda bug=None: [bug], [BUG]),
    (lambda bug, config="its own": [bug, config], [BUG, "its own"]),
    (lambda bug, config="its own", checkpoint=None: [config, checkpoint], ["its own", SAVED]),
    (lambda bug, config="its own", /, *rest: [config, *rest], ["its own", FOLDER, SAVED]),
    (lambda bug, *, config="its own", checkpoint: [config, checkpoint], ["its own", SAVED]),
    (undressed, [BUG, FOLDER, SAVED]),
    (lambda *arguments: [*arguments], [BUG, FOLDER, SAVED]),
    (lambda bug, **rest: rest, {"workspace": FOLDER, "checkpoint": SAVED}),
    (functools.partial(lambda config, bug: [config, bug], "given"), ["given", BUG]),
    (functools.partial(lambda bug, config: [bug, config], config="given"), [BUG, "given"]),
    (lambda *made: Made(*made).got, [BUG, FOLDER, SAVED]),
]


@pytest.mark.parametrize(("function", "got"), FACTORIES)
def test_a_factory_gets_what_it_asks_for(function: Any, got: Any) -> None:
    assert Factory("m:make", function).make(BUG, FOLDER, SAVED) == got


def test_a_class_is_a_factory() -> None:
    assert Factory("m:Made", Made).make(BUG, FOLDER, SAVED).got == [BUG, FOLDER, SAVED]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda: None, "it takes no bug"),
        (lambda config=None: None, "it takes no bug"),
        (lambda workspace, checkpoint: None, "it takes no bug"),
        (lambda bug, workspace, checkpoint, agents: None, "it needs 'agents' as well"),
        (lambda a, b, c, d: None, "it needs 'd' as well"),
        (lambda bug, *, config: None, "it needs 'config' as well"),
    ],
)
def test_one_that_cannot_be_called_says_how_to_write_it(function: Any, why: str) -> None:
    with pytest.raises(ValueError, match="makes no engine") as caught:
        Factory("our.engine:make", function).make(BUG, FOLDER, SAVED)

    assert str(caught.value) == (
        f"FIXWURX_ENGINE='our.engine:make' makes no engine: {why}; write it as make(bug), "
        "make(bug, workspace) or make(bug, workspace, checkpoint)"
    )


def test_what_a_factory_raises_is_its_own() -> None:
    def broken(bug: Any) -> None:
        raise TypeError("no license")

    with pytest.raises(TypeError, match=r"^no license$"):
        Factory("m:broken", broken).make(BUG, FOLDER, None)


def test_the_shipped_engine_is_named_like_any_other(tmp_path: Path) -> None:
    factory = load_factory("fixwurx_celery.engine:triangulation")

    assert factory.function is triangulation
    assert isinstance(factory.make(BUG, tmp_path, None), Triangulation)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("no_such_module:make", "cannot be loaded on this node: No module named 'no_such_module'"),
        ("json:no_such_name", "cannot be loaded on this node: module 'json' has no attribute"),
        ("json:__doc__", "is not callable"),
    ],
)
def test_a_name_that_leads_nowhere_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValueError, match=f"FIXWURX_ENGINE='{name}'") as caught:
        load_factory(name)

    assert said in str(caught.value)
