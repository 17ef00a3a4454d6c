"""The beds: a provider that has one here passes the suite of `test_every_provider.py`."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.docker_daemon import DockerDaemon
from tests.support.kube import Kube
from tests.support.provided_cluster import ProvidedCluster
from tests.support.provider_beds import Bed, DockerBed, KubernetesBed, LocalBed

BEDS = [
    pytest.param("local", marks=pytest.mark.slow),
    pytest.param("docker", marks=pytest.mark.docker),
    pytest.param("kubernetes", marks=pytest.mark.kubernetes),
]

MakeCluster = Callable[..., ProvidedCluster]


@pytest.fixture(scope="session", params=BEDS)
def bed(request: pytest.FixtureRequest) -> Bed:
    """Each provider's in turn: the fixture of its name with `_bed` behind it."""
    found: Bed = request.getfixturevalue(f"{request.param}_bed")
    return found


@pytest.fixture(scope="session")
def local_bed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBed]:
    """Processes."""
    made = LocalBed(tmp_path_factory.mktemp("local"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def docker_bed(docker_daemon: DockerDaemon, tmp_path_factory: pytest.TempPathFactory) -> DockerBed:
    """Containers."""
    return DockerBed(docker_daemon, tmp_path_factory.mktemp("docker"))


@pytest.fixture(scope="session")
def kubernetes_bed(kube: Kube, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesBed]:
    """Pods."""
    with kube.namespace() as namespace:
        yield KubernetesBed(kube, namespace, tmp_path_factory.mktemp("kubernetes"))


@pytest.fixture
def make_cluster(redis_url: str, tmp_path: Path) -> Iterator[MakeCluster]:
    """Makes clusters on a bed, with `given` settings and options of its provider. Nothing of them
    stays."""
    made: list[ProvidedCluster] = []

    def make(bed: Bed, given: Mapping[str, Any] | None = None, **options: Any) -> ProvidedCluster:
        made.append(ProvidedCluster(bed, redis_url, tmp_path, given, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
