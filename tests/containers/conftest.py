"""A daemon with networks of its own, and our image in it."""

from collections.abc import Iterator

import pytest

from tests.conftest import absent
from tests.support.docker_daemon import DockerDaemon, NoDocker, start_docker
from tests.support.images import IMAGE, Images, NoImages, made_images


@pytest.fixture(scope="session")
def networked_daemon() -> Iterator[DockerDaemon]:
    """One for all tests. They leave it running."""
    pytest.importorskip("docker", reason="needs pip install 'fixwurx-celery[docker]'")
    try:
        daemon = start_docker(has_networks=True)
    except NoDocker as error:
        absent(error)
    with daemon:
        yield daemon


@pytest.fixture(scope="session")
def materials(networked_daemon: DockerDaemon) -> Iterator[Images]:
    """What ours is built from, and Valkey's image."""
    try:
        with made_images(networked_daemon) as images:
            yield images
    except NoImages as error:
        absent(error)


@pytest.fixture(scope="session")
def images(materials: Images) -> Images:
    """With ours in it."""
    materials.build(IMAGE)
    return materials
