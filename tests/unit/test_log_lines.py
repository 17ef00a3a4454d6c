"""Lines of logs, plain and as JSON; and that they speak the language of docs/events.md."""

import ast
import json
import logging
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from fixwurx_celery.cluster.scaler import EVENTS
from fixwurx_celery.logs import JsonFormatter, Line, Outage, PlainFormatter, event, words
from fixwurx_celery.worker.celery_logs import FewOfTicks
from tests.support.surroundings import ROOT

ABOUT: dict[str, Any] = {"bug": "BUG-1", "epoch": 17, "node": "node1@host"}


class Heard(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def heard() -> Heard:
    return Heard()


@pytest.fixture
def log(heard: Heard) -> logging.Logger:
    """A logger of this test's own."""
    made = logging.Logger("test", logging.DEBUG)
    made.addHandler(heard)
    return made


def as_json(record: logging.LogRecord, **given: Any) -> dict[str, Any]:
    text = JsonFormatter("node1@host", **given).format(record)
    assert text.count("\n") == 0
    told: dict[str, Any] = json.loads(text)
    return told


# -- lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (
            event("bug_started", run=2, **ABOUT),
            "bug started run=2 bug=BUG-1 epoch=17 node=node1@host",
        ),
        (
            event("bug_given_back", reason="its node drains", charge="", **ABOUT),
            "bug given back: its node drains bug=BUG-1 epoch=17 node=node1@host",
        ),
        (
            event("scaled", "out: more work", action="out", reason="more work"),
            "scaled: out: more work action=out",
        ),
        (
            words("the node waits", node="node1@host", bug=None),
            "the node waits node=node1@host",
        ),
        (words("x", profile="9|gpu, python", nothing=0), 'x profile="9|gpu, python" nothing=0'),
        (words("x", phase='a "b"=c'), 'x phase="a \\"b\\"=c"'),
    ],
)
def test_a_line_in_plain_text_ends_with_what_it_is_about(line: Line, plain: str) -> None:
    assert str(line) == plain


def test_no_text_makes_a_second_line_or_moves_a_cursor() -> None:
    hostile = "one\ntwo\r\x1b[2J\x9b31m\u202egnp.exe"

    plain = str(event("bug_given_back", reason=hostile, bug=hostile))

    assert plain.isprintable()
    assert "one two" in plain


def test_passwords_and_tokens_are_in_no_line(log: logging.Logger, heard: Heard) -> None:
    urls = ["redis://:s3cret@h/0", "https://s3cret@h/x", "amqp://me:s3cret@h"]
    for url in [*urls, "x://h?password=s3cret"]:
        log.info(words(f"no answer from {url}", at=url))
        log.info("no answer from %s", url)
        try:
            raise ValueError(url)
        except ValueError:
            log.exception("no answer")

    plain = PlainFormatter(logging.Formatter())
    for record in heard.records:
        assert "s3cret" not in json.dumps(as_json(record))
        assert "s3cret" not in plain.format(record)
        assert "no answer" in plain.format(record)


def test_a_line_has_bounds() -> None:
    line = words("x" * 10**6, reason="y" * 10**6)

    assert len(str(line)) < 2100


# -- JSON ------------------------------------------------------------------------------------


def test_a_record_is_an_object_of_known_fields(log: logging.Logger, heard: Heard) -> None:
    log.warning(event("bug_given_back", reason="its node drains", **ABOUT))
    (record,) = heard.records
    record.created, record.process, record.processName = 1_800_000_000.25, 7, "ForkPoolWorker-2"

    assert as_json(record) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "WARNING",
        "event": "bug_given_back",
        "message": "bug given back: its node drains",
        "reason": "its node drains",
        "bug": "BUG-1",
        "epoch": 17,
        "node": "node1@host",
        "process": "node1@host/ForkPoolWorker-2",
        "pid": 7,
    }


def test_a_line_without_a_node_is_about_the_one_that_writes_it(
    log: logging.Logger, heard: Heard
) -> None:
    log.info("node1@host ready.")
    log.warning(event("node_lost", node="node2@host"))

    assert [as_json(one, node="node1@host")["node"] for one in heard.records] == [
        "node1@host",
        "node2@host",
    ]
    assert "node" not in as_json(heard.records[0])


def test_an_exception_is_a_field(log: logging.Logger, heard: Heard) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.exception(words("unexpected trouble", node="n"))

    told = as_json(heard.records[0])

    assert told["level"] == "ERROR"
    assert told["exception"].startswith("Traceback (most recent call last):\n")
    assert told["exception"].endswith("ValueError: two\nlines")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("message", "arguments", "extra"),
    [
        ("%d of %s", ("x",), {}),
        ("%s", (Unspeakable(),), {}),
        ("x", (), {"data": {"id": object()}}),
        ("\ud800 half a character", (), {}),
        (words("x", thing=object(), many={1, 2}), (), {}),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_a_line_all_the_same(
    log: logging.Logger, heard: Heard, message: Any, arguments: tuple[Any, ...], extra: Any
) -> None:
    log.info(message, *arguments, extra=extra)

    assert as_json(heard.records[0])["level"] == "INFO"


def test_an_exception_that_cannot_be_told_is_named(log: logging.Logger, heard: Heard) -> None:
    try:
        raise Unspeakable
    except Unspeakable:
        log.exception("trouble")

    assert "Unspeakable" in as_json(heard.records[0])["exception"]


def test_celerys_lines_about_a_doorbell_name_the_bug(log: logging.Logger, heard: Heard) -> None:
    for task_id in ("BUG-1:17", "a0e1-8f", "x:y"):
        data = {"id": task_id, "name": "fixwurx.process_bug"}
        log.info("Task %(name)s[%(id)s] received", data, extra={"data": data})

    told = [as_json(record) for record in heard.records]

    assert told[0]["message"] == "Task fixwurx.process_bug[BUG-1:17] received"
    assert [(one.get("bug"), one.get("epoch")) for one in told] == [
        ("BUG-1", 17),
        (None, None),
        (None, None),
    ]


# -- not too much ----------------------------------------------------------------------------


def test_a_trouble_is_told_when_it_begins_and_when_it_is_over(
    log: logging.Logger, heard: Heard
) -> None:
    outage = Outage(log)

    outage.end("never away")
    for _ in range(3):
        outage.begin(words("away", node="n"))
    outage.end("back", node="n")
    outage.end("back", node="n")
    outage.begin(words("away again", node="n"))

    said = [re.sub(r"\d[\d.]* s", "0 s", record.getMessage()) for record in heard.records]
    assert said == ["away node=n", "back, after 0 s node=n", "away again node=n"]


def ticks_told(level: int) -> list[str]:
    log, heard = logging.Logger("celery.beat", logging.DEBUG), Heard()
    log.addHandler(heard)
    log.addFilter(FewOfTicks(["fixwurx.sweep"]))
    root = logging.root.level
    logging.root.setLevel(level)
    try:
        log.info("Scheduler: Sending due task %s (%s)", "sweep", "fixwurx.sweep")
        for name in ("fixwurx.sweep", "other"):
            data = {"id": "x", "name": name}
            log.info("Task %(name)s received", data, extra={"data": data})
        log.warning("%s is late", "fixwurx.sweep")
        log.info("beat: Starting...")
    finally:
        logging.root.setLevel(root)
    return [record.getMessage() for record in heard.records]


def test_ticks_are_told_to_those_who_debug() -> None:
    assert ticks_told(logging.INFO) == [
        "Task other received",
        "fixwurx.sweep is late",
        "beat: Starting...",
    ]
    assert len(ticks_told(logging.DEBUG)) == 5


def test_ticks_that_cannot_be_sent_are_one_line_now_and_then() -> None:
    from celery.beat import SchedulingError

    log, heard = logging.Logger("celery.beat", logging.DEBUG), Heard()
    log.addHandler(heard)
    log.addFilter(FewOfTicks(["fixwurx.sweep"]))

    for _ in range(10):
        try:
            raise SchedulingError("connection refused")
        except SchedulingError as error:
            log.error("Message Error: %s\n%s", error, ["a", "stack"], exc_info=True)

    (record,) = heard.records
    assert record.getMessage() == "ticks are not sent: connection refused"
    assert record.exc_info is None
    assert sys.exc_info() == (None, None, None)


# -- one vocabulary --------------------------------------------------------------------------


def events_named(path: Path) -> set[str]:
    """What is said to be an event by a literal: in a call of `event`, or a table of them."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "event" and node.args:
            found |= {one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant)}
    return {name for name in found if isinstance(name, str)}


def test_every_event_of_a_log_is_one_of_the_clusters() -> None:
    table = (ROOT / "docs" / "events.md").read_text("utf-8")
    known = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    sources = [*(ROOT / "fixwurx_celery").rglob("*.py")]

    named = set(EVENTS.values()).union(*map(events_named, sources))

    assert len(named) > 8
    assert named <= known


def test_bugs_and_nodes_are_told_of_by_lines_with_fields() -> None:
    """A text with a bug or node in it cannot be found by it."""
    wrong = []
    for path in (ROOT / "fixwurx_celery").rglob("*.py"):
        text = path.read_text("utf-8")
        wrong += re.findall(r"log\.\w+\(\s*f?\"[^\"]*\b(?:bug|node) (?:%s|\{)", text)

    assert wrong == []
