from dataclasses import fields
from pathlib import Path

import pytest

from fixwurx_celery import settings as module
from fixwurx_celery.domain.nodes import BalancingStrategy
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.settings import Settings, agents_of_this_host, without_password


def problems(**given: object) -> list[str]:
    with pytest.raises(ConfigurationError) as refused:
        Settings(**given)  # type: ignore[arg-type]
    return refused.value.problems


def test_the_defaults_are_good_and_every_setting_is_described() -> None:
    described = Settings().describe()

    assert [entry["name"] for entry in described] == [field.name for field in fields(Settings)]
    for entry in described:
        assert entry["variable"] == f"FIXWURX_{entry['name'].upper()}"
        assert entry["meaning"].endswith(".")


def test_what_the_environment_says_is_taken_and_what_is_given_wins() -> None:
    made = Settings.from_environment(
        {
            "FIXWURX_TOTAL_AGENTS": "4", "FIXWURX_CAPABILITIES": " gpu, python ,",
            "FIXWURX_STRATEGY": "round_robin", "FIXWURX_LEASE_SEC": "7.5", "FIXWURX_ENGINE": "",
            "FIXWURX_UNKNOWN": "an engine's own", "FIXWURX_MAX_WORKERS": "not read",
        },
        max_workers=3,
    )  # fmt: skip

    assert made.total_agents == 4
    assert made.capabilities == frozenset({"gpu", "python"})
    assert made.strategy is BalancingStrategy.ROUND_ROBIN
    assert made.lease_sec == 7.5
    assert made.engine == "fixwurx_celery.engine:triangulation"
    assert made.max_workers == 3


def test_settings_written_to_the_environment_are_read_back_the_same() -> None:
    made = Settings(
        redis_url="redis://h:1/2", total_agents=3, capabilities=frozenset({"b", "a"}),
        strategy=BalancingStrategy.RANDOM, backoff_sec=0.5,
    )  # fmt: skip

    assert Settings.from_environment(made.environment()) == made
    assert Settings().environment() == {}


def test_all_problems_are_reported_at_once() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Settings.from_environment(
            {
                "FIXWURX_TOTAL_AGENTS": "many", "FIXWURX_STRATEGY": "BEST",
                "FIXWURX_LEASE_SEC": "soon", "FIXWURX_NAMESPACE": "a b",
                "FIXWURX_MIN_WORKERS": "9", "FIXWURX_MAX_WORKERS": "2",
            }
        )  # fmt: skip

    text = refused.value.problems
    assert len(text) == 5
    for name in ("TOTAL_AGENTS", "STRATEGY", "LEASE_SEC", "NAMESPACE", "MIN_WORKERS"):
        assert any(f"FIXWURX_{name}" in line for line in text)


@pytest.mark.parametrize(
    "field", [f for f in fields(Settings) if f.metadata["low"] is not None], ids=lambda f: f.name
)
def test_a_number_out_of_its_bounds_is_refused_and_its_bounds_are_good(field: object) -> None:
    name, low, high = field.name, field.metadata["low"], field.metadata["high"]  # type: ignore[attr-defined]
    for value in (low - 1, high + 1, float("nan")):
        assert any("must lie between" in line for line in problems(**{name: value}))


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"namespace": ""}, "FIXWURX_NAMESPACE"),
        ({"namespace": "a:b"}, "FIXWURX_NAMESPACE"),
        ({"namespace": "{a}"}, "FIXWURX_NAMESPACE"),
        ({"redis_url": "localhost:6379"}, "must begin with redis://"),
        ({"redis_url": "http://h"}, "must begin with redis://"),
        ({"redis_url": "redis://[h"}, "cannot be read"),
        ({"engine": "module"}, "module:callable"),
        ({"engine": ":x"}, "module:callable"),
        ({"capabilities": frozenset({"a b"})}, "FIXWURX_CAPABILITIES"),
        ({"min_workers": 6}, "must not exceed"),
        ({"scale_down_threshold": 0.9}, "must lie below"),
        ({"heartbeat_interval_sec": 5.0}, "at least three times"),
    ],
)
def test_what_does_not_fit_together_is_refused(given: dict[str, object], rule: str) -> None:
    assert any(rule in line for line in problems(**given))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("redis://:secret@h:1/0", "redis://:***@h:1/0"),
        ("rediss://me:se@cret@h/0", "rediss://me:***@h/0"),
        ("/a/path[1", "/a/path[1"),
        ("redis://:secret@[h", "(not a URL; hidden)"),
    ],
)
def test_passwords_are_never_shown(url: str, shown: str) -> None:
    assert without_password(url) == shown


def test_a_password_in_a_bad_url_is_not_in_the_error() -> None:
    for url in ("http://:secret@h", "redis://:secret@[h"):
        assert "secret" not in str(problems(redis_url=url))


@pytest.mark.parametrize(
    ("cpu_max", "memory_max", "agents"),
    [
        ("max 100000", "max", 16),
        ("250000 100000", "max", 2),
        ("50000 100000", "max", 1),
        ("max 100000", str(3 * 2**30), 6),
        ("", "", 16),
        ("nonsense", "nonsense", 16),
    ],
)
def test_auto_sees_the_share_of_a_container(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpu_max: str, memory_max: str, agents: int
) -> None:
    words = {"cpu.max": cpu_max.split(), "memory.max": memory_max.split()}
    monkeypatch.setattr(module, "_kernel_words", lambda path: words.get(Path(path).name, []))
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: range(16), raising=False)
    monkeypatch.setattr(module.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 4096}.get(name, 2**24))

    assert agents_of_this_host() == agents


def test_auto_is_at_least_one_agent() -> None:
    made = Settings.from_environment({"FIXWURX_TOTAL_AGENTS": "auto"})

    assert made.total_agents >= 1
