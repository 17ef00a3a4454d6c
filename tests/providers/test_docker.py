"""Nodes in containers: what is Docker's own about them."""

import gc
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.errors import ConfigurationError, ProviderError
from fixwurx_celery.providers import ProvidedState
from tests.providers.conftest import MakeCluster
from tests.support.docker_daemon import DockerDaemon
from tests.support.provided_cluster import SPEC, ProvidedCluster
from tests.support.provider_beds import DockerBed
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    # The SDK leaves a socket open on which nobody answered, until it is collected.
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
]


@pytest.fixture(autouse=True)
def nothing_uncollected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def cluster(docker_bed: DockerBed, make_cluster: MakeCluster) -> ProvidedCluster:
    return make_cluster(docker_bed)


@pytest.fixture
def client(docker_daemon: DockerDaemon) -> Iterator[Any]:
    with docker_daemon.client() as client:
        yield client


def container(client: Any, cluster: ProvidedCluster, name: str) -> Any:
    [found] = client.containers.list(
        all=True,
        filters={"label": [f"fixwurx.cluster={cluster.id}", f"fixwurx.node={name}"]},
    )
    return found


def test_a_container_says_whose_it_is_and_what_it_has(
    cluster: ProvidedCluster, client: Any
) -> None:
    cluster.launch("n1")

    found = container(client, cluster, "n1")
    assert found.name == f"fixwurx-{cluster.id}-n1"
    assert found.labels == {
        "fixwurx.cluster": cluster.id,
        "fixwurx.node": "n1",
        "fixwurx.profile": SPEC.profile,
    }


def test_a_command_line_has_no_password(cluster: ProvidedCluster) -> None:
    cluster.launch("n1")
    cluster.waits_until_registered("n1")

    password = cluster.settings.redis_url.partition("://:")[2].partition("@")[0]
    lines = [" ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])]
    # The tests' own server has it in an option.
    telling = [line for line in lines if password in line and "--requirepass" not in line]
    assert any("n1@docker" in line for line in lines)
    assert telling == []


def test_an_image_that_is_not_there_is_named_with_the_way_out(cluster: ProvidedCluster) -> None:
    provider = cluster.another(node_image="nowhere/nothing:1")

    with pytest.raises(ProviderError) as refused:
        provider.launch(cluster.order("n1"))

    assert str(refused.value) == (
        "cannot start node n1: the Docker daemon has no image nowhere/nothing:1; build or pull it "
        "there, or set FIXWURX_NODE_IMAGE"
    )
    assert list(provider.list()) == []


def test_a_daemon_that_is_not_there_is_told_with_the_way_out(
    cluster: ProvidedCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
        provider = cluster.another()

        with pytest.raises(ProviderError) as refused:
            provider.list()

    assert str(refused.value).startswith(
        "cannot list the nodes: the Docker daemon does not answer; see that it runs and that "
        "DOCKER_HOST names it ("
    )


def test_a_container_that_was_only_created_is_starting_until_somebody_launches_it(
    cluster: ProvidedCluster, client: Any
) -> None:
    cluster.launch("n1")
    made = container(client, cluster, "n1")
    config = made.attrs["Config"]
    made.remove(force=True)
    client.api.create_container(
        config["Image"], config["Cmd"], name=made.name, labels=config["Labels"],
        environment=config["Env"],
        host_config=made.attrs["HostConfig"],
    )  # fmt: skip
    listed = cluster.node("n1")
    assert listed is not None
    assert (listed.state, listed.detail) == (ProvidedState.STARTING, "")

    cluster.launch("n1")

    cluster.waits_for("n1", ProvidedState.RUNNING)
    cluster.waits_until_registered("n1")


def test_a_container_that_cannot_start_says_why(
    docker_bed: DockerBed, make_cluster: MakeCluster
) -> None:
    cluster = make_cluster(docker_bed, entrypoint=["/no/such/program"], init=False)

    with pytest.raises(ProviderError, match="/no/such/program"):
        cluster.launch("n1")

    listed = cluster.node("n1")
    assert listed is not None
    assert listed.state is ProvidedState.STARTING
    assert "/no/such/program" in listed.detail


def test_a_name_that_a_stranger_has_is_refused(cluster: ProvidedCluster, client: Any) -> None:
    stranger = client.containers.create(
        cluster.settings.node_image, ["nothing"], name=f"fixwurx-{cluster.id}-n1"
    )
    try:
        with pytest.raises(ProviderError, match="already in use"):
            cluster.launch("n1")
        assert list(cluster.provider.list()) == []
    finally:
        stranger.remove(force=True)


def test_a_node_out_of_memory_says_so(docker_bed: DockerBed, make_cluster: MakeCluster) -> None:
    cluster = make_cluster(docker_bed, mem_limit="24m", memswap_limit="24m")

    cluster.launch("n1")

    ended = cluster.waits_for("n1", ProvidedState.ENDED)
    assert ended.detail.startswith("exit status 137, killed for its memory (OOMKilled)")


def test_options_reach_the_container(
    docker_bed: DockerBed, make_cluster: MakeCluster, client: Any
) -> None:
    cluster = make_cluster(
        docker_bed,
        mem_limit="512m",
        pids_limit=200,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        read_only=True,
        environment={"TEAM": "bugs", "FIXWURX_TOTAL_AGENTS": "99"},
        labels={"team": "bugs"},
        mounts=[{"target": "/scratch", "source": "", "type": "tmpfs"}],
        ulimits=[{"name": "nofile", "soft": 1000, "hard": 1000}],
        log_config={"type": "json-file", "config": {"max-size": "1m"}},
    )

    cluster.launch("n1")

    registered = cluster.waits_until_registered("n1")
    assert registered.total_agents == SPEC.agents
    attrs = container(client, cluster, "n1").attrs
    assert "TEAM=bugs" in attrs["Config"]["Env"]
    assert attrs["Config"]["Labels"]["team"] == "bugs"
    host = attrs["HostConfig"]
    assert (host["Memory"], host["PidsLimit"], host["ReadonlyRootfs"]) == (512 << 20, 200, True)
    assert host["LogConfig"]["Config"] == {"max-size": "1m"}


def test_a_kind_of_node_gets_options_of_its_own(
    docker_bed: DockerBed, make_cluster: MakeCluster, client: Any
) -> None:
    large = NodeSpec(agents=4, capabilities=frozenset({"large"}))
    cluster = make_cluster(
        docker_bed,
        {"node_specs": (SPEC, large)},
        mem_limit="256m",
        kinds={str(large): {"mem_limit": "512m"}},
    )

    cluster.provider.launch(cluster.order("n1"))
    cluster.provider.launch(cluster.order("n2", large))

    memory = [
        container(client, cluster, name).attrs["HostConfig"]["Memory"] for name in ("n1", "n2")
    ]
    assert memory == [256 << 20, 512 << 20]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mounts": [{"target": "/x", "sauce": "/y"}]}, "sauce"),
        ({"mem_limit": "much"}, "much"),
        ({"tmpfs": 3}, "int"),
    ],
)
def test_values_that_docker_would_not_take_are_refused_at_once(
    docker_bed: DockerBed, make_cluster: MakeCluster, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        make_cluster(docker_bed, **options)


def test_nodes_of_a_daemon_that_crashed_are_listed_when_it_is_back(
    cluster: ProvidedCluster, docker_daemon: DockerDaemon
) -> None:
    others = set(_having("n1@docker"))
    cluster.launch("n1")
    cluster.waits_until_registered("n1")

    docker_daemon.kill()
    with pytest.raises(ProviderError, match="does not answer"):
        cluster.provider.list()
    docker_daemon.start()

    listed = cluster.node("n1")
    assert listed is not None
    cluster.provider.remove("n1")
    cluster.waits_until_unlisted("n1")
    wait_until("its processes are gone", lambda: others >= set(_having("n1@docker")), within_s=20)


def _having(word: str) -> list[int]:
    """Living processes with this word in their command line."""
    done = subprocess.run(["pgrep", "-f", f"worker .*{word}"], capture_output=True, text=True)
    return [int(pid) for pid in done.stdout.split()]
