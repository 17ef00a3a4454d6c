"""The Celery application to compare with: `celery -A bench.plain worker`, as its users run it.

BENCH_PLAIN_URL is both broker and result backend. BENCH_PLAIN_RELIABLE=1 is the usual advice for
work that must not be lost: late acks, and one task fetched at a time.
"""

import os
from typing import Any

from celery import Celery

from bench.engines import stamps

__all__ = ["app", "make_plain"]


def make_plain(url: str, *, reliable: bool = False, results: bool = True) -> Celery:
    """Plain Celery on that store, with its defaults otherwise."""
    made = Celery("plain", broker=url, backend=url if results else None, set_as_current=False)
    made.conf.broker_connection_retry_on_startup = True
    if reliable:
        made.conf.update(task_acks_late=True, worker_prefetch_multiplier=1)
    if not results:
        made.conf.task_ignore_result = True

    @made.task(name="plain.timed", shared=False)  # type: ignore[untyped-decorator, unused-ignore]
    def timed(sleep_s: float = 0.0) -> dict[str, Any]:
        return stamps(sleep_s)

    return made


app = make_plain(
    os.environ.get("BENCH_PLAIN_URL", "memory://"),
    reliable=os.environ.get("BENCH_PLAIN_RELIABLE") == "1",
)
