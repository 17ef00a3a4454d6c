"""What every provider of nodes does. Each node is a real `celery worker`, with a real store."""

import time

import pytest

from fixwurx_celery.domain.bugs import BugState
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ProviderError
from fixwurx_celery.providers import ProvidedState
from tests.providers.conftest import MakeCluster
from tests.support.killed_at_step import killed_at_each_step
from tests.support.processes_apart import all_at_once
from tests.support.provided_cluster import SPEC, ProvidedCluster
from tests.support.provider_beds import Bed
from tests.support.waiting import wait_until

TIMEOUT_S = 10
SPARE_S = 2
ALIVE = (ProvidedState.STARTING, ProvidedState.RUNNING)


@pytest.fixture
def cluster(bed: Bed, make_cluster: MakeCluster) -> ProvidedCluster:
    return make_cluster(bed)


def test_a_launched_node_is_listed_registers_and_processes_a_bug(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")

    listed = cluster.node("n1")
    assert listed is not None
    assert (listed.name, listed.spec) == ("n1", SPEC)
    assert listed.state in ALIVE
    assert 0 <= listed.age_s < 30
    registered = cluster.waits_until_registered("n1")
    assert (registered.total_agents, registered.capabilities) == (SPEC.agents, SPEC.capabilities)
    cluster.waits_for("n1", ProvidedState.RUNNING)
    bug = cluster.submit({"phase": "REPRO"}, requires=frozenset({"quick"}))
    assert cluster.wait(bug).state is BugState.DONE


def test_a_node_without_capabilities_has_none(cluster: ProvidedCluster) -> None:
    bare = NodeSpec(agents=1, capabilities=frozenset())

    cluster.provider.launch(cluster.order("n1", bare))

    listed = cluster.node("n1")
    assert listed is not None
    assert listed.spec == bare
    assert cluster.waits_until_registered("n1").capabilities == frozenset()


def test_a_node_launched_twice_is_one_node(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")
    cluster.launch("n1")
    cluster.waits_until_registered("n1")
    life = cluster.registered("n1")

    cluster.launch("n1")

    assert [node.name for node in cluster.provider.list()] == ["n1"]
    assert len(cluster.bed.things(cluster.id)) == 1
    again = cluster.registered("n1")
    assert life is not None
    assert again is not None
    assert again.incarnation == life.incarnation


def test_processes_that_launch_a_node_at_the_same_instant_make_one(
    cluster: ProvidedCluster,
) -> None:
    names = ["n1", "n2", "n3"]

    def launch() -> None:
        provider = cluster.another()
        for name in names:
            provider.launch(cluster.order(name))

    all_at_once([launch] * 4)

    assert sorted(node.name for node in cluster.provider.list()) == names
    assert len(cluster.bed.things(cluster.id)) == len(names)
    for name in names:
        cluster.waits_until_registered(name)


def test_an_idle_node_that_is_stopped_takes_its_leave(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")
    cluster.waits_until_registered("n1")

    cluster.provider.stop("n1")

    cluster.waits_until_offline("n1")
    cluster.waits_until_over("n1")
    cluster.provider.remove("n1")
    cluster.waits_until_unlisted("n1")


def test_a_node_that_is_told_to_stop_twice_is_not_hurried(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")
    cluster.waits_until_registered("n1")
    bug, gate = cluster.long_bug()

    cluster.provider.stop("n1")
    cluster.waits_for("n1", ProvidedState.STOPPING)
    told = time.monotonic()
    wait_until("a second signal would be one more order", lambda: time.monotonic() > told + 1)
    cluster.another().stop("n1")
    cluster.waits_for("n1", ProvidedState.STOPPING)
    wait_until("a hurried node would have moved it", lambda: time.monotonic() > told + 3)
    gate.touch()

    record = cluster.wait(bug)
    assert (record.state, record.runs) == (BugState.DONE, 1)
    cluster.waits_until_offline("n1")
    cluster.waits_until_over("n1")


def test_a_node_that_is_stopped_while_it_boots_ends_soon(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")
    cluster.waits_for("n1", ProvidedState.RUNNING)

    began = time.monotonic()
    cluster.provider.stop("n1")

    cluster.waits_until_over("n1")
    assert time.monotonic() - began < 20


def test_a_removed_node_is_gone_whatever_it_does(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")
    cluster.waits_until_registered("n1")
    bug, gate = cluster.long_bug()
    cluster.launch("n2")
    cluster.waits_until_registered("n2")

    cluster.provider.remove("n1")

    cluster.waits_until_unlisted("n1")
    assert len(cluster.bed.things(cluster.id)) == 1
    cluster.waits_until_offline("n1")
    assert cluster.running(bug, run=2).worker_id == cluster.provider.worker_id("n2")
    gate.touch()
    assert cluster.wait(bug).state is BugState.DONE


def test_a_node_that_ends_by_itself_has_ended_and_says_why(cluster: ProvidedCluster) -> None:
    cluster.launch("n1", FIXWURX_HEARTBEAT_TIMEOUT_SEC="-1")

    ended = cluster.waits_for("n1", ProvidedState.ENDED)

    assert "status" in ended.detail
    assert "FIXWURX_HEARTBEAT_TIMEOUT_SEC" in ended.detail
    cluster.provider.stop("n1")
    assert cluster.node("n1") is not None
    cluster.provider.remove("n1")
    cluster.waits_until_unlisted("n1")


def test_what_it_tells_of_a_node_has_no_password(cluster: ProvidedCluster) -> None:
    address = cluster.settings.redis_url
    cluster.launch("n1", FIXWURX_NAMESPACE=address)  # which is refused, and cited

    ended = cluster.waits_for("n1", ProvidedState.ENDED)

    password = address.partition("://:")[2].partition("@")[0]
    assert len(password) > 8
    assert password not in ended.detail
    assert "***" in ended.detail


def test_unknown_nodes_are_nobodys(cluster: ProvidedCluster) -> None:
    cluster.provider.stop("nobody")
    cluster.provider.remove("nobody")

    assert list(cluster.provider.list()) == []


def test_nodes_of_another_cluster_are_not_its_own(cluster: ProvidedCluster) -> None:
    stranger = cluster.another(f"{cluster.id}-2")
    cluster.launch("n1")

    assert list(stranger.list()) == []
    stranger.stop("n1")
    stranger.remove("n1")

    cluster.waits_until_registered("n1")
    assert [(n.name, n.state) for n in cluster.provider.list()] == [("n1", ProvidedState.RUNNING)]


def test_processes_of_one_cluster_see_one_scope_and_the_same_nodes(
    cluster: ProvidedCluster,
) -> None:
    another = cluster.another()

    cluster.launch("n1")

    assert another.scope == cluster.provider.scope
    assert another.scope.startswith(f"{cluster.bed.name}:")
    assert [node.name for node in another.list()] == ["n1"]


@pytest.mark.parametrize("has_asked_before", [True, False])
def test_whoever_does_not_answer_is_an_error_in_time(
    cluster: ProvidedCluster, has_asked_before: bool
) -> None:
    cluster.provider.list()
    provider = cluster.another()
    if has_asked_before:
        provider.list()
    calls = {
        "list": provider.list,
        "launch": lambda: provider.launch(cluster.order("n1")),
    }

    with cluster.bed.silent(cluster.id):
        for what, call in calls.items():
            began = time.monotonic()
            with pytest.raises(ProviderError) as refused:
                call()
            assert time.monotonic() - began < TIMEOUT_S + SPARE_S, what
            assert "answer" in str(refused.value)

    # What was asked then may have been done after all; what is done now is.
    provider.launch(cluster.order("n1"))
    assert [node.name for node in provider.list()] == ["n1"]


def test_a_client_that_dies_while_it_launches_leaves_only_what_is_listed(
    cluster: ProvidedCluster,
) -> None:
    names = []

    def launch() -> None:
        cluster.another().launch(cluster.order(f"k{len(names)}"))

    for _ in killed_at_each_step(launch):
        name = f"k{len(names)}"
        names.append(name)
        left = [node.name for node in cluster.provider.list()]
        assert len(cluster.bed.things(cluster.id)) == len(left)
        assert left in ([], [name])
        cluster.launch(name)  # by whoever comes next
        cluster.waits_for(name, ProvidedState.RUNNING)
        assert len(cluster.bed.things(cluster.id)) == 1
        cluster.provider.remove(name)
        cluster.waits_until_unlisted(name)

    assert names, "no step was found at which to die"
    assert [node.name for node in cluster.provider.list()] == [f"k{len(names)}"]
