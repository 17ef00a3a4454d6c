"""The engines that docs/engines.md shows run as they stand there."""

import json
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.engine.adapter import EngineAdapter
from fixwurx_celery.engine.base import EngineBug
from fixwurx_celery.engine.factory import Factory
from tests.support.documented import shown

SHOWN = {
    "Countdown": shown("engines.md", "Two methods", "python")[0],
    "engine_for": shown("engines.md", "FixWurx's engine", "python")[0],
}


def factory(name: str) -> Factory:
    """The one of that name in the page's modules."""
    module: dict[str, Any] = {"__name__": "our_engines"}
    exec(compile(SHOWN[name], "engines.md", "exec"), module)
    return Factory(f"our_engines:{name}", module[name])


@pytest.mark.parametrize(
    ("name", "phases", "outcome"),
    [
        ("Countdown", ["RUN"], None),
        (
            "engine_for",
            ["TRIAGE", "REPRO", "ANALYZE", "PATCH", "VERIFY", "DONE"],
            {"phase": "DONE"},
        ),
    ],
)
def test_it_runs(tmp_path: Path, name: str, phases: list[str], outcome: Any) -> None:
    bug = EngineBug(id="b-1", agents=3, payload={"from": 4})
    engine = EngineAdapter(factory(name).make(bug, tmp_path, None), "b-1")

    seen = [engine.phase]
    while not engine.is_done():
        engine.tick()
        seen.append(engine.phase)
    engine.close()

    assert list(dict.fromkeys(seen)) == phases
    assert engine.outcome == outcome


def test_that_of_fixwurx_goes_on_elsewhere(tmp_path: Path) -> None:
    bug = EngineBug(id="b-1", agents=3)
    first, second = (
        EngineAdapter(factory("engine_for").make(bug, tmp_path, None), "b-1") for _ in range(2)
    )
    for _ in range(5):
        first.tick()
    second.resume(json.loads(first.checkpoint()))

    assert (second.phase, second.checkpoint()) == ("ANALYZE", first.checkpoint())
    assert json.loads(second.checkpoint()) == {"phase": "ANALYZE", "timer": 2}
    first.close()
    second.close()
