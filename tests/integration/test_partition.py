"""A node on another host, and the cable between it and the store."""

import dataclasses
import secrets
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.cluster import ClusterResourceManager, Connection
from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.invariants import violations
from tests.support.hosts import Host, NoHosts, hosts
from tests.support.processes import NodeProcess, having, start_node
from tests.support.server import NoServer, server_binary
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow
FOR_EVER = 600
TIMEOUT_S, LEASE_S = 3.0, 6.0


@dataclasses.dataclass(slots=True)
class Site:
    """A store on one host, a node on each of two others, and a client beside the store."""

    connection: Connection
    near: NodeProcess
    far: NodeProcess
    cable: Host

    def submit(self, *steps: dict[str, object]) -> str:
        bug = Bug(id=f"b-{uuid.uuid4().hex[:8]}", payload={"steps": list(steps)}, agents=2)
        self.connection.submit([bug])
        return bug.id

    def running_on(self, bug: str, node: NodeProcess, run: int = 1) -> bool:
        record = self.connection.store.bug(bug)
        return (
            record.state is BugState.RUNNING
            and record.runs >= run
            and record.worker_id == node.worker_id
        )


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    try:
        binary = server_binary()
        with hosts(3) as (shelf, near, far):
            yield from _site(tmp_path, binary, shelf, near, far)
    except (NoHosts, NoServer) as error:
        pytest.skip(str(error))


def _site(folder: Path, binary: str, shelf: Host, near: Host, far: Host) -> Iterator[Site]:
    password, socket = secrets.token_hex(16), f"/tmp/fx-{secrets.token_hex(4)}.sock"
    server = subprocess.Popen(
        [*shelf.command, binary, "--bind", shelf.address, "--port", "7000", "--save", "",
         "--requirepass", password, "--unixsocket", socket, "--dir", str(folder)],
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    settings = Settings(
        redis_url=f"redis://:{password}@{shelf.address}:7000/0",
        engine="tests.support.engines:Scripted",
        heartbeat_interval_sec=0.5,
        heartbeat_timeout_sec=TIMEOUT_S,
        lease_sec=LEASE_S,
    )
    at_the_shelf = dataclasses.replace(settings, redis_url=f"unix://:{password}@{socket}?db=0")
    started: list[NodeProcess] = []
    connection = Connection(at_the_shelf)
    try:
        wait_until("the store listens", lambda: Path(socket).exists())
        for host in (near, far):
            own = dataclasses.replace(settings, work_dir=str(folder / host.name))
            node = start_node(
                own, connection.store, f"{host.name}@here", folder, before=host.command
            )
            started.append(node)
        yield Site(connection, *started, far)
    finally:
        for node in started:
            node.process.kill()
            node.process.wait(timeout=10)
        connection.close()
        server.kill()
        server.wait(timeout=10)
        Path(socket).unlink(missing_ok=True)


@pytest.mark.timeout(150)
def test_a_node_that_is_cut_off_loses_its_bugs_ends_its_runs_and_serves_again(
    site: Site, tmp_path: Path
) -> None:
    store, mark = site.connection.store, f"mark-{uuid.uuid4().hex}"
    note = tmp_path / "note"
    manager = ClusterResourceManager(connection=site.connection)
    held = [
        site.submit({"note": str(note)}, {"sleep_s": FOR_EVER, "children": mark}) for _ in range(4)
    ]
    wait_until("all run", lambda: len(having(mark)) == 8, within_s=30)
    moved = [bug for bug in held if site.running_on(bug, site.far)]
    stayed = [bug for bug in held if bug not in moved]
    first_life = next(n for n in store.snapshot().live if n.worker_id == site.far.name).incarnation
    assert len(moved) == 2

    site.cable.cut()
    cut_at = time.monotonic()
    for bug in moved:
        wait_until(
            f"{bug} runs elsewhere", lambda bug=bug: site.running_on(bug, site.near, run=2),  # type: ignore[misc]
            within_s=TIMEOUT_S + 5,
        )  # fmt: skip
    elsewhere_s = time.monotonic() - cut_at
    # The old runs cannot be told: they end by themselves, before their lease does.
    wait_until("the old runs are gone", lambda: len(having(mark)) == 8, within_s=LEASE_S + 5)
    gone_s = time.monotonic() - cut_at

    site.cable.heal()
    wait_until(
        "it serves again",
        lambda: any(
            n.worker_id == site.far.name and n.incarnation != first_life
            for n in store.snapshot().live
        ),
        within_s=30,
    )
    again = site.submit({"note": str(note)})
    assert manager.handle(again).wait(timeout=20)["outcome"] == "FIXED"
    for bug in held:
        manager.handle(bug).cancel()
        manager.handle(bug).wait(timeout=20)
        record = store.bug(bug)
        assert (record.losses, record.attempts) == (int(bug in moved), 0)
    assert {store.bug(bug).runs for bug in stayed} == {1}
    wait_until("nothing of them is left", lambda: having(mark) == [])
    assert violations(store, patience_s=3) == []
    print(f"elsewhere after {elsewhere_s:.1f} s, old runs gone after {gone_s:.1f} s")
