"""Traces of bugs over real processes: a program that submits, nodes that run, a node that dies."""

import dataclasses
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.sdk")

from tests.support.controllers import command
from tests.support.live_cluster import LiveCluster
from tests.support.processes import NodeProcess, start_node
from tests.support.spans import offer, told
from tests.support.surroundings import environment
from tests.support.waiting import wait_until


@pytest.mark.slow
def test_a_bug_is_one_trace_over_submit_wait_and_the_runs_that_nodes_could_tell_of(
    redis_url: str, tmp_path: Path
) -> None:
    cluster, tracing = LiveCluster(tmp_path, redis_url=redis_url), offer(tmp_path)
    gate, started = tmp_path / "gate", []

    def node(name: str) -> NodeProcess:
        own = dataclasses.replace(cluster.settings, work_dir=str(cluster.work_dir(name)))
        before = ["env", *(f"{key}={value}" for key, value in tracing.items())]
        started.append(start_node(own, cluster.store, name, tmp_path, before=before))
        return started[-1]

    def spans() -> dict[tuple[str, Any], dict[str, Any]]:
        return {
            (span["name"], span["attributes"].get("fixwurx.epoch")): span for span in told(tmp_path)
        }

    try:
        doomed = node("doomed@here")
        steps = [{"until": str(gate), "then": "VERIFY"}, {}]
        bug = {"id": "B", "agents": 3, "phase": "TRIAGE", "steps": steps}
        subprocess.run(
            command("submit", "-"), input=json.dumps(bug) + "\n", text=True, check=True, timeout=60,
            env=environment(cluster.settings, **tracing), capture_output=True,
        )  # fmt: skip
        first = cluster.running("B").epoch
        doomed.kill()
        heir = node("heir@here")
        second = cluster.running("B", run=2).epoch
        gate.touch()
        cluster.wait("B")
        (host,) = heir.engine_hosts()
        threads = host.num_threads()
        assert heir.terminate() == 0
        wait_until("the last run is exported", lambda: ("run", second) in spans())
        seen = spans()
    finally:
        for each in started:
            each.process.kill()
            each.process.wait(10)
        cluster.close()

    submit = seen["submit", None]
    # Whether the first wait was exported before its node was killed is a matter of luck.
    assert seen.keys() - {("wait", first)} == {("submit", None), ("wait", second), ("run", second)}
    assert {span["context"]["trace_id"] for span in seen.values()} == {
        submit["context"]["trace_id"]
    }
    assert {span["parent_id"] for name, span in seen.items() if name[0] != "submit"} == {
        submit["context"]["span_id"]
    }
    run = seen["run", second]
    assert run["attributes"] == {
        "fixwurx.bug": "B", "fixwurx.epoch": second, "fixwurx.node": "heir@here",
        "fixwurx.run": 2, "fixwurx.end": "DONE", "fixwurx.outcome": "FIXED",
    }  # fmt: skip
    assert [event["attributes"]["fixwurx.phase"] for event in run["events"]] == ["TRIAGE", "VERIFY"]
    assert run["resource"]["attributes"]["service.name"] == "fixwurx"
    assert threads == 1  # an engine's process has none for traces
