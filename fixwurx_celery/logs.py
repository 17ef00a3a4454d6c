"""What the processes of a cluster log: one line a thing, in the words of docs/events.md.

    log = logging.getLogger(__name__)
    log.warning(event("bug_given_back", bug=bug_id, epoch=epoch, node=node, reason=reason))
    log.info(words("is ready", node=node))

What a line is about is in its fields, by which it is found again: bug, epoch, node, and others. In
plain text, the default, they stand at its end; with FIXWURX_LOG_FORMAT=json every line is an object
with them (`JsonFormatter`), also those of Celery and of other libraries.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from fixwurx_celery.addresses import hide_passwords
from fixwurx_celery.domain.words import clean

__all__ = [
    "FORMATS",
    "JSON",
    "PLAIN",
    "JsonFormatter",
    "Line",
    "Outage",
    "PlainFormatter",
    "event",
    "log_uncaught",
    "say_at_once",
    "words",
    "write_log",
]

PLAIN, JSON = "plain", "json"
FORMATS: Final = (PLAIN, JSON)
SUBJECT: Final = ("bug", "epoch", "node")
"""What a line is about; at the end of plain ones, in this order."""
MOST_CHARACTERS: Final = 1000
"""Of a field or a message of ours. What engines and servers say may be longer."""


class Line:
    """One thing that is logged. A logger takes it in place of a text."""

    __slots__ = ("action", "fields", "text")

    def __init__(self, action: str, text: str, fields: Mapping[str, Any]) -> None:
        self.action = action
        self.text = shown(text)
        self.fields = {
            name: shown(value) if isinstance(value, str) else value
            for name, value in fields.items()
            if value not in (None, "")
        }

    def __str__(self) -> str:
        """The line in plain text. What the words say already is not said again."""
        names = [name for name in self.fields if name not in (*SUBJECT, "reason")]
        names += [name for name in SUBJECT if name in self.fields]
        return " ".join([self.text, *(f"{name}={quoted(self.fields[name])}" for name in names)])


def event(action: str, text: str = "", /, **fields: Any) -> Line:
    """A line about an event of docs/events.md. In words: its name, and `text` or the reason."""
    more = text or fields.get("reason")
    name = action.replace("_", " ")
    return Line(action, f"{name}: {more}" if more else name, fields)


def words(text: str, /, **fields: Any) -> Line:
    """A line about something that is no event."""
    return Line("", text, fields)


def shown(value: object) -> str:
    """The value as one line of bounded length, without passwords and control characters."""
    text = hide_passwords(clean(value))
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 1]}…"


def quoted(value: object) -> str:
    """The value as it stands behind `name=`: in quotes when its end could not be told otherwise."""
    text = str(value)
    is_plain = text and not any(char in ' "=' for char in text)
    return text if is_plain else json.dumps(text, ensure_ascii=False)


class JsonFormatter(logging.Formatter):
    """Each record as one line of JSON, whoever logged it.

    `time` (ISO 8601, UTC, ms), `level`, `event` if it is one, `message`, the fields of the line,
    `process`, `pid`, and `exception` with the traceback.
    """

    def __init__(self, who: str, node: str = "") -> None:
        """`who` is the worker or other process that logs; `node` is what its lines are about that
        name no node."""
        super().__init__()
        self.who, self.node = who, node

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter. Never fails: what cannot be written is named by its kind."""
        line = record.msg if isinstance(record.msg, Line) else None
        at = datetime.fromtimestamp(record.created, UTC)
        told: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
        }
        if line and line.action:
            told["event"] = line.action
        told["message"] = line.text if line else hide_passwords(message_of(record).strip())
        told |= line.fields if line else bug_of_task(record)
        if self.node:
            told.setdefault("node", self.node)
        is_main = record.processName in (None, "MainProcess")
        process = self.who if is_main else f"{self.who}/{record.processName}"
        told |= {"process": process, "pid": record.process}
        if record.exc_info:
            told["exception"] = hide_passwords(self._exception(record))
        return json.dumps(told, default=lambda value: f"({type(value).__name__})")

    def _exception(self, record: logging.LogRecord) -> str:
        found: Any = record.exc_info if isinstance(record.exc_info, tuple) else sys.exc_info()
        try:
            return self.formatException(found)
        except Exception:  # an exception that cannot say what it is
            return f"({found[0].__name__ if found[0] else 'unknown'})"


class PlainFormatter(logging.Formatter):
    """As another formatter has it, without passwords."""

    def __init__(self, as_given: logging.Formatter) -> None:
        super().__init__()
        self._as_given = as_given

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        return hide_passwords(self._as_given.format(record))


def message_of(record: logging.LogRecord) -> str:
    """The record's message, also when it does not fit its arguments."""
    try:
        return record.getMessage()
    except Exception:
        return f"{record.msg} {record.args!r}"


def bug_of_task(record: logging.LogRecord) -> dict[str, Any]:
    """Which bug Celery's own lines about a task are about: a doorbell's id is `bug:epoch`."""
    data = getattr(record, "data", None)
    task_id = data.get("id") if isinstance(data, Mapping) else None
    bug, colon, epoch = str(task_id or "").rpartition(":")
    return {"bug": bug, "epoch": int(epoch)} if colon and epoch.isdigit() else {}


class Outage:
    """Something that fails again and again: told when that begins, and when it is over."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._since: float | None = None

    def begin(self, line: Line) -> None:
        """It failed; said as a warning the first time."""
        if self._since is None:
            self._since = time.monotonic()
            self._log.warning(line)

    def end(self, text: str, /, **fields: Any) -> None:
        """It did not fail. If it had before, that is said, and for how long."""
        if self._since is not None:
            seconds, self._since = round(time.monotonic() - self._since, 1), None
            self._log.info(words(f"{text}, after {seconds:g} s", **fields))


def write_log(log_format: str, who: str) -> None:
    """Has this process, which is no Celery worker, write what it logs to its stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter(who)
        if log_format == JSON
        else PlainFormatter(logging.Formatter(f"[%(asctime)s: %(levelname)s/{who}] %(message)s"))
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO)
    if log_format == JSON:
        log_uncaught()


def log_uncaught() -> None:
    """Has exceptions that nobody catches logged, which would be tracebacks of many lines."""
    log = logging.getLogger(__name__)

    def of_main_thread(kind: Any, error: BaseException, traceback: Any) -> None:
        log.critical("this process ends: %s", error, exc_info=(kind, error, traceback))

    def of_thread(told: threading.ExceptHookArgs) -> None:
        if told.exc_value is None or told.exc_type is SystemExit:
            return
        name = told.thread.name if told.thread else "?"
        found = (told.exc_type, told.exc_value, told.exc_traceback)
        log.critical("the thread %s ends: %s", name, told.exc_value, exc_info=found)

    sys.excepthook, threading.excepthook = of_main_thread, of_thread


def say_at_once(
    formatter: JsonFormatter, text: str, descriptor: int, level: int = logging.INFO
) -> None:
    """Writes a line of the log past all handlers: before there are any, or in a signal's handler,
    which may have interrupted one."""
    record = logging.LogRecord(__name__, level, "", 0, text, None, None)
    with contextlib.suppress(OSError):
        os.write(descriptor, f"{formatter.format(record)}\n".encode())
