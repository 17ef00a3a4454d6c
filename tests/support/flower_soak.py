"""Run as a process: feeds a Flower of ours what 50 000 bugs on 200 short-lived nodes send, and
prints how large it is after each ten thousand, and how many tasks and nodes it remembers."""

import os
import time
from typing import Any

import flower.command  # loaded before the application, as Celery's command line does
import psutil
from flower.urls import settings
from tornado.options import options

from fixwurx_celery import app

BUGS, BUGS_A_NODE = 50_000, 250
LONG_AGO_S = 600.0


def event(kind: str, node: str, age_s: float = 0.0, **fields: Any) -> dict[str, Any]:
    at = time.time() - age_s
    return {
        "type": kind, "hostname": node, "timestamp": at, "local_received": at, "pid": 1, "clock": 0,
        **fields,
    }  # fmt: skip


def main() -> None:
    options.basic_auth = ["a:b"]
    made = flower.command.Flower(capp=app, options=options, **settings)
    state = made.events.state
    for bug in range(1, BUGS + 1):
        node, task = f"node{(bug - 1) // BUGS_A_NODE}@host", f"bug-{bug}:1"
        state.event(
            event("task-received", node, uuid=task, name="fixwurx.process_bug", kwargs="{}",
                  args=f"('bug-{bug}', 1)", retries=0, eta=None, expires=None)
        )  # fmt: skip
        state.event(event("task-started", node, uuid=task))
        state.event(event("task-succeeded", node, uuid=task, result="'DONE'", runtime=1.0))
        if bug % BUGS_A_NODE == 0:
            state.workers[node].heartbeats[:] = [time.time() - LONG_AGO_S]
            made.forget_gone()
        if bug % 10_000 == 0:
            rss_mb = psutil.Process().memory_info().rss >> 20
            nodes = {*state.workers, *state.counter, *made.workers}
            print(rss_mb, len(state.tasks), len(nodes), flush=True)
    os._exit(0)  # threads of Flower's would be waited for


if __name__ == "__main__":
    main()
