"""Traces of bugs, for OpenTelemetry: a trace a bug, over all processes that have to do with it.

    submit ──▶ wait ──▶ run ──▶ (given back) wait ──▶ run …

The context of `submit` lies in the bug's record as a W3C traceparent, so that `wait` and `run`,
which the node tells of, hang below it wherever they happen. A run that died with its node is told
by nobody.

Off unless OTEL_TRACES_EXPORTER or OTEL_EXPORTER_OTLP_ENDPOINT says where traces go, and the `otel`
extra is installed: then nothing of it is imported, and a bug costs one look at a cache. Where it is
on, a program that has set up OpenTelemetry itself keeps its provider, and the spans go there.
"""

import contextlib
import functools
import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, Final

from fixwurx_celery.domain.bugs import Bug, Outcome, verdict
from fixwurx_celery.logs import words

__all__ = ["NOBODY_TRACES", "RunSpan", "flush", "run_span", "stop_here", "submitting"]

NAME: Final = "fixwurx"
FLUSH_MS: Final = 2000
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
IN_ORDER: Final = ("DONE", "MOVED", "CANCELLED")
"""Ends of runs that are no failures, if what came of it is none."""

log = logging.getLogger(__name__)


@contextlib.contextmanager
def submitting(bugs: Sequence[Bug]) -> Iterator[Mapping[str, str]]:
    """A span for each bug that is submitted within it; the traceparent of each, by its id. Empty
    when nobody traces."""
    tracer = tracer_of(os.getpid())
    if tracer is None:
        yield {}
        return
    from opentelemetry.trace import SpanKind

    spans = {
        bug_id: tracer.start_span("submit", kind=SpanKind.PRODUCER, attributes=about(bug_id))
        for bug_id in dict.fromkeys(bug.id for bug in bugs)
    }
    try:
        yield {bug_id: traceparent(span) for bug_id, span in spans.items()}
    except BaseException as error:
        for span in spans.values():
            span.record_exception(error)
            span.set_status(failed(str(error)))
        raise
    finally:
        for span in spans.values():
            span.end()


class RunSpan:
    """The span of a run; this one is of those that nobody traces."""

    def phase(self, name: str) -> None:
        """Its engine came to this phase."""

    def end(self, how: str, outcome: Any) -> None:
        """It is over: how its runner calls that, and what came of it."""


NOBODY_TRACES: Final = RunSpan()


def run_span(parent: str, waited_ms: int, **facts: Any) -> RunSpan:
    """The span of a run that begins now, and before it one of the wait that is over. `parent` is
    the traceparent of the submit, empty where that was not traced."""
    tracer = tracer_of(os.getpid())
    if tracer is None:
        return NOBODY_TRACES
    from opentelemetry.trace import SpanKind

    now_ns = time.time_ns()
    context, attributes = context_of(parent), about(**facts)
    waited = tracer.start_span(
        "wait", context=context, attributes=attributes, start_time=now_ns - waited_ms * 1_000_000
    )
    waited.end(now_ns)
    return TracedRun(
        tracer.start_span(
            "run", context=context, kind=SpanKind.CONSUMER, attributes=attributes, start_time=now_ns
        )
    )


class TracedRun(RunSpan):
    """The span of a run that is traced. Its phases are events."""

    def __init__(self, span: Any) -> None:
        self._span = span
        self._phase = ""

    def phase(self, name: str) -> None:
        """See RunSpan."""
        if name != self._phase:
            self._phase = name
            self._span.add_event("phase", {"fixwurx.phase": name})

    def end(self, how: str, outcome: Any) -> None:
        """See RunSpan."""
        found = verdict(outcome) if outcome is not None else ""
        self._span.set_attributes({"fixwurx.end": how, "fixwurx.outcome": found})
        if how not in IN_ORDER or found == Outcome.ERROR:
            reason = outcome.get("reason") if isinstance(outcome, Mapping) else None
            self._span.set_status(failed(str(reason or how)))
        self._span.end()


def about(bug: str, **facts: Any) -> dict[str, Any]:
    """The attributes of a span of this bug."""
    return {f"fixwurx.{name}": value for name, value in {"bug": bug, **facts}.items()}


def failed(why: str) -> Any:
    """The status of a span that did not come to what it was for."""
    from opentelemetry.trace import Status, StatusCode

    return Status(StatusCode.ERROR, why)


def traceparent(span: Any) -> str:
    """Where the span is, as W3C writes it."""
    at = span.get_span_context()
    return f"00-{at.trace_id:032x}-{at.span_id:016x}-{at.trace_flags:02x}"


def context_of(parent: str) -> Any:
    """The context that a traceparent names; an empty one where it names none."""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": parent})


# -- where spans go ----------------------------------------------------------------------------


def is_asked_for() -> bool:
    """Whether this process's environment says that there shall be traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporters = os.environ.get("OTEL_TRACES_EXPORTER", "")
    return exporters != "none" and bool(exporters or any(map(os.environ.get, ENDPOINTS)))


@functools.cache
def tracer_of(_pid: int) -> Any:
    """What makes this process's spans; None when nobody traces. A forked process has its own."""
    if not is_asked_for():
        return None
    try:
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
    except ImportError:
        log.warning(
            words(
                "OTEL_* asks for traces, and OpenTelemetry is not installed: "
                "pip install 'fixwurx-celery[otel]'"
            )
        )
        return None
    given = trace.get_tracer_provider()
    provider = given if isinstance(given, TracerProvider) else own_provider()
    return None if provider is None else provider.get_tracer(NAME)


_own: dict[int, Any] = {}


def own_provider() -> Any:
    """A provider as the environment asks for one; None when its exporter cannot be had."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    is_named = "OTEL_SERVICE_NAME" in os.environ or "service.name=" in os.environ.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )
    provider = TracerProvider(resource=Resource.create({} if is_named else {"service.name": NAME}))
    for name in (os.environ.get("OTEL_TRACES_EXPORTER") or "otlp").split(","):
        try:
            provider.add_span_processor(BatchSpanProcessor(exporter(name.strip())))
        except Exception as error:  # whatever it is, bugs are worth more than traces of them
            log.warning(words(f"there are no traces: the exporter {name!r}: {error}"))
            return None
    _own[os.getpid()] = provider
    return provider


def exporter(name: str) -> Any:
    """The exporter of this name, as OpenTelemetry's packages offer them."""
    if name == "otlp":
        protocol = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
        name = "otlp_proto_grpc" if protocol == "grpc" else "otlp_proto_http"
    found = entry_points(group="opentelemetry_traces_exporter", name=name)
    if not found:
        raise LookupError("it is not installed")
    return next(iter(found)).load()()


def flush() -> None:
    """Sends what is still to be sent, within two seconds: this process may end now."""
    if provider := _own.get(os.getpid()):
        provider.force_flush(FLUSH_MS)


def stop_here() -> None:
    """This process, forked off one that traces, does not: it shall have no thread for that."""
    for provider in _own.values():
        provider.shutdown()
    _own.clear()
