"""How a Celery worker writes its log: set up by Celery (--loglevel, -f), in the cluster's format.

With FIXWURX_LOG_FORMAT=json whatever the worker says is a line of its log, also what Celery prints
past it: the banner is left out, and words of its signal handlers are wrapped.
"""

import logging
import time
import warnings
from collections.abc import Collection
from typing import Any, Final

import celery.apps.worker
from billiard.util import get_logger as billiards_logger
from celery import Celery, signals
from celery.beat import SchedulingError

from fixwurx_celery.logs import (
    JSON,
    JsonFormatter,
    PlainFormatter,
    log_uncaught,
    say_at_once,
    words,
)
from fixwurx_celery.settings import Settings

__all__ = ["connect_logs"]

BEAT: Final = "celery.beat"
TELL_OF_TASKS: Final = ("celery.worker.strategy", "celery.app.trace", BEAT)
AGAIN_AFTER_S: Final = 30.0
"""How often it is told that ticks cannot be sent, while that is so."""


class FewOfTicks(logging.Filter):
    """Leaves out that a tick was sent, received and carried out: no news, several times a second.
    That beat could not send one is told in one line, and now and then. With --loglevel DEBUG all
    is told as Celery tells it."""

    def __init__(self, ticks: Collection[str]) -> None:
        super().__init__()
        self._ticks = frozenset(ticks)
        self._told_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """See logging.Filter."""
        if logging.root.isEnabledFor(logging.DEBUG):
            return True
        if record.levelno == logging.INFO:
            data = getattr(record, "data", None)
            told = [data.get("name")] if isinstance(data, dict) else record.args
            return not (isinstance(told, list | tuple) and self._ticks.intersection(told))
        if record.name == BEAT and isinstance(error_of(record), SchedulingError):
            # Celery tells it with two tracebacks, a hundred lines, for every tick.
            record.msg, record.args = words(f"ticks are not sent: {error_of(record)}"), None
            record.exc_info = None
            is_due = time.monotonic() - self._told_at >= AGAIN_AFTER_S
            self._told_at = time.monotonic() if is_due else self._told_at
            return is_due
        return True


def error_of(record: logging.LogRecord) -> object:
    """The exception that a record is about."""
    return record.exc_info[1] if isinstance(record.exc_info, tuple) else None


def connect_logs(
    app: Celery, settings: Settings, *, is_node: bool, ticks: Collection[str] = ()
) -> None:
    """Has the workers of this application log in the format of the settings, and say nothing of
    tasks that are `ticks`."""
    formatter = JsonFormatter(app.main)
    is_json = settings.log_format == JSON
    few_of_ticks = FewOfTicks(ticks)

    def begin(sender: str, instance: Any, **_: Any) -> None:
        if instance.app is not app:
            return
        formatter.who, formatter.node = sender, sender if is_node else ""
        instance.quiet = True  # no banner
        celery.apps.worker.safe_say = say
        warnings.showwarning = warn  # until Celery sees to them, when it sets up its log
        log_uncaught()

    def say(text: str, stream: Any = None) -> None:
        say_at_once(formatter, text, 2 if stream is None else stream.fileno())

    def warn(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        say_at_once(formatter, f"{category.__name__}: {message}", 2, logging.WARNING)

    def shape(logger: logging.Logger, **_: Any) -> None:
        for one in (logger, billiards_logger()):
            for handler in one.handlers:
                own = handler.formatter or logging.Formatter()
                handler.setFormatter(formatter if is_json else PlainFormatter(own))

    def leave_out_ticks(**_: Any) -> None:
        for name in TELL_OF_TASKS:
            logging.getLogger(name).addFilter(few_of_ticks)

    if is_json:
        signals.celeryd_init.connect(begin, weak=False)
    signals.after_setup_logger.connect(shape, weak=False)
    signals.after_setup_task_logger.connect(shape, weak=False)
    if ticks:
        signals.after_setup_logger.connect(leave_out_ticks, weak=False)
