"""Traces: off and free unless asked for; where they are on, the context goes with the bug."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery import tracing
from fixwurx_celery.domain.bugs import Bug

sdk = pytest.importorskip("opentelemetry.sdk.trace")
from opentelemetry.sdk.trace.export import SimpleSpanProcessor  # noqa: E402 - when it is there
from opentelemetry.sdk.trace.export.in_memory_span_exporter import (  # noqa: E402
    InMemorySpanExporter,
)

NO_TRACES = ("OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED", *tracing.ENDPOINTS)


@pytest.fixture(autouse=True)
def nothing_is_remembered(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in NO_TRACES:
        monkeypatch.delenv(name, raising=False)
    tracing.tracer_of.cache_clear()
    yield
    tracing.tracer_of.cache_clear()


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """What is exported, where traces are on."""
    exporter = InMemorySpanExporter()
    provider = sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "memory")
    monkeypatch.setattr(tracing, "own_provider", lambda: provider)
    return exporter


def spans(exporter: InMemorySpanExporter) -> dict[str, Any]:
    return {span.name: span for span in exporter.get_finished_spans()}


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        ({"OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
    ],
)
def test_traces_are_made_where_the_environment_asks_for_them(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], asked: bool
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert tracing.is_asked_for() is asked


def test_where_nobody_traces_nothing_is_loaded_and_nothing_is_carried() -> None:
    probe = (
        "import sys\n"
        "from fixwurx_celery import tracing\n"
        "from fixwurx_celery.domain.bugs import Bug\n"
        "with tracing.submitting([Bug(id='a')]) as traces:\n"
        "    print(traces, tracing.run_span('', 5, bug='a') is tracing.NOBODY_TRACES)\n"
        "tracing.flush(); tracing.stop_here()\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
    )

    printed = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=30, check=True
    )

    assert printed.stdout == "{} True\n[]\n"


def test_a_run_hangs_below_the_submit_whose_traceparent_the_bug_carries(
    exported: InMemorySpanExporter,
) -> None:
    with tracing.submitting([Bug(id="a"), Bug(id="b"), Bug(id="a")]) as traces:
        pass
    span = tracing.run_span(traces["a"], 1500, bug="a", epoch=7, node="n@h", run=1)
    for phase in ("TRIAGE", "PATCH", "PATCH", "VERIFY"):
        span.phase(phase)
    span.end("DONE", {"outcome": "FIXED"})

    submits = [one for one in exported.get_finished_spans() if one.name == "submit"]
    found = spans(exported)
    submit = next(one for one in submits if one.attributes["fixwurx.bug"] == "a")
    assert len(submits) == 2
    assert {one.context.trace_id for one in (found["wait"], found["run"])} == {
        submit.context.trace_id
    }
    assert found["run"].parent.span_id == found["wait"].parent.span_id == submit.context.span_id
    assert found["wait"].end_time - found["wait"].start_time == 1_500_000_000
    assert found["wait"].end_time == found["run"].start_time
    assert dict(found["run"].attributes) == {
        "fixwurx.bug": "a", "fixwurx.epoch": 7, "fixwurx.node": "n@h", "fixwurx.run": 1,
        "fixwurx.end": "DONE", "fixwurx.outcome": "FIXED",
    }  # fmt: skip
    phases = [event.attributes["fixwurx.phase"] for event in found["run"].events]
    assert phases == ["TRIAGE", "PATCH", "VERIFY"]
    assert found["run"].status.is_ok


@pytest.mark.parametrize(
    ("how", "outcome", "is_ok"),
    [
        ("DONE", {"outcome": "NOT_FIXED"}, True),
        ("DONE", {"outcome": "ERROR", "reason": "no disk"}, False),
        ("DONE", [1, 2], True),
        ("MOVED", None, True),
        ("CANCELLED", None, True),
        ("DIED", None, False),
        ("TIMED_OUT", None, False),
        ("FAILED", None, False),
    ],
)
def test_a_run_is_a_failure_when_it_did_not_come_to_an_answer(
    exported: InMemorySpanExporter, how: str, outcome: Any, is_ok: bool
) -> None:
    tracing.run_span("", 0, bug="a").end(how, outcome)

    assert spans(exported)["run"].status.is_ok is is_ok
    assert spans(exported)["run"].parent is None


def test_a_submit_that_fails_says_why(exported: InMemorySpanExporter) -> None:
    with pytest.raises(OSError, match="refused"), tracing.submitting([Bug(id="a")]):
        raise OSError("refused")

    assert spans(exported)["submit"].status.description == "refused"


def test_without_its_exporter_there_are_no_traces_and_all_else_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "unheard-of")

    with tracing.submitting([Bug(id="a")]) as traces:
        assert traces == {}
    with tracing.submitting([Bug(id="b")]):
        pass

    assert [record.getMessage() for record in caplog.records] == [
        "there are no traces: the exporter 'unheard-of': it is not installed"
    ]


def test_one_file_speaks_opentelemetry() -> None:
    sources = Path(tracing.__file__).parent.rglob("*.py")

    assert {path.name for path in sources if "opentelemetry" in path.read_text("utf-8")} == {
        "tracing.py"
    }
