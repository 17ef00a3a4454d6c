"""Nodes as pods: what is written to the API, and what is read from it."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.providers import LaunchOrder, ProvidedState
from fixwurx_celery.providers.pod_status import node_of
from fixwurx_celery.providers.pods import PodMaker, label_value, pod_name, secret_name

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
SPEC = NodeSpec(agents=4, capabilities=frozenset({"gpu", "python"}))
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "fx", "uid": "u1"}


def order(**environment: str) -> LaunchOrder:
    return LaunchOrder(name="n1", spec=SPEC, environment=environment)


def maker(**given: Any) -> PodMaker:
    return PodMaker(cluster="c1", image="im", drain_timeout_s=29.5, **given)


def pod(phase: str, container: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "annotations": {"fixwurx.node": "n1", "fixwurx.profile": SPEC.profile},
            "creationTimestamp": "2026-11-24T09:59:00Z",
            **more.pop("metadata", {}),
        },
        "status": {
            "phase": phase,
            "containerStatuses": [{"name": "node", "state": container}] if container else [],
            **more,
        },
    }


def seen(*given: Any, **more: Any) -> tuple[ProvidedState, str]:
    node = node_of(pod(*given, **more), NOW, {"hunter2"})
    assert (node.name, node.spec, node.age_s) == ("n1", SPEC, 60)
    return node.state, node.detail


# -- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cluster", "name"),
    [("c1", "n1"), ("C1", "n1"), ("-odd-", "N1"), ("c" * 80, "n" * 40), ("a-b", "c"), ("a", "bc")],
)
def test_names_and_labels_are_legal_whatever_ours_are(cluster: str, name: str) -> None:
    for made in (pod_name(cluster, name), secret_name(cluster)):
        assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", made)
    for text in (cluster, name):
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label_value(text))


def test_plain_names_stay_readable() -> None:
    assert pod_name("c1", "n1") == "fixwurx-c1-n1"
    assert secret_name("c1") == "fixwurx-c1"
    assert label_value("c1") == "c1"


def test_different_nodes_have_different_names() -> None:
    nodes = [("c1", "n1"), ("c1", "N1"), ("C1", "n1"), ("c" * 80, "n1"), ("c" * 79, "n1")]

    assert len({pod_name(*node) for node in nodes}) == len(nodes)


# -- the pod -----------------------------------------------------------------------------------


def test_a_pod_shows_settings_but_neither_addresses_nor_what_it_does_not_know() -> None:
    given = order(
        FIXWURX_NAMESPACE="bugs", FIXWURX_REDIS_URL="redis://:hunter2@h", MY_TOKEN="hunter3"
    )

    made = maker().pod(given, "n1@kubernetes", OWNER)

    assert "hunter" not in str(made)
    [container] = made["spec"]["containers"]
    assert container["env"] == [
        {"name": "FIXWURX_CAPABILITIES", "value": "gpu,python"},
        {"name": "FIXWURX_NAMESPACE", "value": "bugs"},
        {
            "name": "FIXWURX_REDIS_URL",
            "valueFrom": {"secretKeyRef": {"name": "fixwurx-c1", "key": "FIXWURX_REDIS_URL"}},
        },
        {"name": "FIXWURX_TOTAL_AGENTS", "value": "4"},
        {
            "name": "MY_TOKEN",
            "valueFrom": {"secretKeyRef": {"name": "fixwurx-c1", "key": "MY_TOKEN"}},
        },
    ]
    assert maker().secret(given, OWNER)["stringData"] == {
        "FIXWURX_REDIS_URL": "redis://:hunter2@h",
        "MY_TOKEN": "hunter3",
    }


def test_values_are_taken_literally() -> None:
    [container] = maker().pod(order(FIXWURX_ENGINE="a:$(HOME)"), "w", None)["spec"]["containers"]

    assert {"name": "FIXWURX_ENGINE", "value": "a:$$(HOME)"} in container["env"]


def test_a_pod_names_its_owner_its_cluster_and_its_node() -> None:
    meta = maker(labels={"team": "x"}).pod(order(), "w", OWNER)["metadata"]

    assert meta == {
        "name": "fixwurx-c1-n1",
        "labels": {"team": "x", "fixwurx.cluster": "c1", "fixwurx.node": "n1"},
        "annotations": {
            "fixwurx.cluster": "c1",
            "fixwurx.node": "n1",
            "fixwurx.profile": "4|gpu,python",
        },
        "ownerReferences": [OWNER],
    }


def test_the_template_gives_what_the_provider_does_not() -> None:
    template = {
        "nodeSelector": {"disk": "ssd"},
        "automountServiceAccountToken": True,
        "terminationGracePeriodSeconds": 5,
        "containers": [
            {
                "resources": {"limits": {"memory": "1Gi"}},
                "env": [
                    {"name": "FIXWURX_TOTAL_AGENTS", "value": "99"},
                    {"name": "A", "value": "1"},
                ],
            }
        ],
    }

    spec = maker(template=template).pod(order(), "n1@kubernetes", None)["spec"]

    [container] = spec.pop("containers")
    assert spec == {
        "nodeSelector": {"disk": "ssd"},
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "shareProcessNamespace": True,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 5,
    }
    assert container["resources"] == {"limits": {"memory": "1Gi"}}
    assert container["env"] == [
        {"name": "A", "value": "1"},
        {"name": "FIXWURX_CAPABILITIES", "value": "gpu,python"},
        {"name": "FIXWURX_TOTAL_AGENTS", "value": "4"},
    ]
    assert container["args"][-2:] == ["-n", "n1@kubernetes"]


def test_a_pod_has_time_to_drain_and_half_a_minute_more() -> None:
    assert maker().pod(order(), "w", None)["spec"]["terminationGracePeriodSeconds"] == 60


def test_a_pod_in_its_hosts_process_namespace_has_none_of_its_own() -> None:
    spec = maker(template={"hostPID": True}).pod(order(), "w", None)["spec"]

    assert "shareProcessNamespace" not in spec


# -- its status --------------------------------------------------------------------------------


def test_a_pod_that_is_being_set_up_is_starting_and_has_nothing_to_say() -> None:
    creating = {"waiting": {"reason": "ContainerCreating"}}

    assert seen("Pending") == (ProvidedState.STARTING, "")
    assert seen("Pending", creating) == (ProvidedState.STARTING, "")


def test_a_pod_that_does_not_come_up_says_why() -> None:
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/3 nodes are available",
    }
    no_image = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling x"}}

    assert seen("Pending", conditions=[unscheduled]) == (
        ProvidedState.STARTING,
        "Unschedulable: 0/3 nodes are available",
    )
    assert seen("Pending", no_image) == (
        ProvidedState.STARTING,
        "ImagePullBackOff: Back-off pulling x",
    )


def test_a_pod_that_was_deleted_is_stopping_until_it_ends() -> None:
    deleted = {"deletionTimestamp": "2026-11-24T10:01:00Z"}

    assert seen("Running", {"running": {}})[0] is ProvidedState.RUNNING
    assert seen("Running", {"running": {}}, metadata=deleted)[0] is ProvidedState.STOPPING
    assert seen("Pending", metadata=deleted)[0] is ProvidedState.STOPPING
    assert seen("Failed", metadata=deleted)[0] is ProvidedState.ENDED


def test_a_pod_whose_node_ended_has_ended_though_something_beside_it_runs() -> None:
    assert seen("Running", {"terminated": {"exitCode": 0, "reason": "Completed"}}) == (
        ProvidedState.ENDED,
        "exit status 0",
    )


def test_a_pod_that_failed_says_how_without_passwords() -> None:
    killed = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    failed = {"terminated": {"exitCode": 1, "reason": "Error", "message": "AUTH hunter2\nno"}}

    assert seen("Failed", killed)[1] == "exit status 137, OOMKilled"
    assert seen("Failed", failed)[1] == "exit status 1\nAUTH ***\nno"
    assert seen("Failed", reason="Evicted", message="low on memory")[1] == "Evicted: low on memory"


def test_a_failed_init_container_is_named() -> None:
    failed = {"name": "clone", "state": {"terminated": {"exitCode": 3, "message": "no repo"}}}

    assert seen("Failed", initContainerStatuses=[failed])[1] == (
        "container clone:\nexit status 3\nno repo"
    )
