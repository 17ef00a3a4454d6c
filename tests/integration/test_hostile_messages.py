"""What somebody who may write to the broker sends to a node: it does nothing; the node goes on.

But for what is no message of Celery's at all: the library ends the worker then, which its
supervisor starts again. Who can write that could as well tell nodes to shut down.
"""

import base64
import json
import os
import pickle
import uuid
from pathlib import Path
from typing import Any

import pytest
import redis

from fixwurx_celery.broker import PROCESS_BUG, Doorbells, doorbell, make_app
from fixwurx_celery.domain.bugs import TERMINAL, Bug
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.worker.endings import Ending, Spool
from tests.support.processes import nodes
from tests.support.waiting import wait_until


class Planted:
    """Makes a file wherever it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


def message(body: bytes, *, task: str = PROCESS_BUG, kind: str = "application/json") -> str:
    """As kombu writes one into a queue on Redis."""
    ident = uuid.uuid4().hex
    return json.dumps(
        {
            "body": base64.b64encode(body).decode(),
            "content-type": kind,
            "content-encoding": "utf-8" if kind == "application/json" else "binary",
            "headers": {"lang": "py", "task": task, "id": ident, "root_id": ident, "retries": 0},
            "properties": {
                "body_encoding": "base64",
                "correlation_id": ident,
                "delivery_mode": 2,
                "delivery_info": {"exchange": "", "routing_key": ""},
                "priority": 0,
                "delivery_tag": ident,
            },
        }
    )


def call(*arguments: Any) -> bytes:
    return json.dumps([arguments, {}, {}]).encode()


def test_messages_that_are_no_doorbells_do_nothing(settings: Settings, tmp_path: Path) -> None:
    live = Settings(
        redis_url=settings.redis_url,
        namespace=settings.namespace,
        engine="tests.support.engines:Scripted",
        work_dir=str(tmp_path / "work"),
        total_agents=3,
    )
    planted = tmp_path / "planted"
    hostile = [
        message(pickle.dumps([[Planted(planted)], {}, {}]), kind="application/x-python-serialize"),
        message(b"!!python/object/apply:os.mkdir [x]", kind="application/x-yaml"),
        message(call("../../../escaped", 1)),
        message(call("a/b", 1)),
        message(call("x\n[2026] forged line", 1)),
        message(call("good", "../1")),
        message(call("good", -1)),
        message(call({"a": 1}, [])),
        message(call()),
        message(call("x" * 4_000_000, 1)),
        message(call("good", 1), task="os.system"),
        message(b"not json"),
    ]
    store = ClusterStore.from_settings(live, bell=doorbell(live))
    bells = Doorbells(make_app(live))
    try:
        with nodes(live, store, tmp_path, "n1@here") as (node,):
            queue = f"{{{live.namespace}}}:celery:fixwurx.node.n1@here"
            with redis.Redis.from_url(live.redis_url) as client:
                for one in hostile:
                    client.lpush(queue, one)
                wait_until("all were taken", lambda: client.llen(queue) == 0, within_s=20)
            bug = Bug(id="good", payload={"steps": [{}]})
            bells.ring(store.submit([bug])[1])
            wait_until("a bug still runs", lambda: store.bug("good").state in TERMINAL)
            assert node.process.poll() is None
            assert store.bug("good").outcome["outcome"] == "FIXED"
            refused = "a doorbell for what can be no bug is thrown away"
            wait_until("all are refused", lambda: node.log.read_text().count(refused) == 7)
            log = node.log.read_text()
    finally:
        bells.close()
        store.close()

    assert not planted.exists()
    assert not list(tmp_path.rglob("*escaped*"))
    assert "\n[2026] forged line" not in log
    assert max(map(len, log.splitlines())) < 100_000


@pytest.mark.parametrize("bug_id", ["../../escaped", "a/b", "", ".", "x" * 129])
def test_an_ending_of_no_bug_names_no_file(tmp_path: Path, bug_id: str) -> None:
    spool = Spool(tmp_path / "spool")
    spool.keep(Ending(bug_id=bug_id, node="n", incarnation="i", epoch=1, runner="r"))
    spool.keep(Ending(bug_id="good", node="n", incarnation="i", epoch=1, runner="r"))

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good-1-r.json"]
