"""Where the nodes of a provider run for real: one bed a provider.

A bed shows its nodes this checkout, the tests' Python and the folder `shared`, under the paths that
they have here, and reaches the tests' store at 127.0.0.1.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import psutil
import yaml

from fixwurx_celery.providers.local import supervisor_folder
from fixwurx_celery.providers.supervisor_folder import SupervisorFolder
from fixwurx_celery.settings import Settings
from tests.support.docker_daemon import SHOWN, DockerDaemon
from tests.support.kube import Kube
from tests.support.processes import freeze, having
from tests.support.waiting import wait_until

__all__ = ["Bed", "DockerBed", "KubernetesBed", "LocalBed"]


class Bed(Protocol):
    """What the suite of all providers needs to know of one."""

    name: str
    shared: Path
    """A folder that nodes may write in."""

    def settings(self, **options: Any) -> dict[str, Any]:
        """Settings that name the provider, by keyword; `options` go over its own."""

    def silent(self, cluster: str) -> AbstractContextManager[None]:
        """Whoever starts the nodes of that cluster takes requests, and does not answer."""

    def things(self, cluster: str) -> list[str]:
        """What exists of that cluster's nodes, as seen from outside: a name for each."""


class LocalBed:
    """Processes of this host, in a folder of the tests'."""

    name = "local"

    def __init__(self, folder: Path) -> None:
        self.work_dir = folder / "work"
        self.shared = _made(folder / "shared")

    def settings(self, **options: Any) -> dict[str, Any]:
        return {"provider": self.name, "work_dir": str(self.work_dir)}

    @contextlib.contextmanager
    def silent(self, cluster: str) -> Iterator[None]:
        found = self._supervisors(cluster)
        for supervisor in found:
            freeze(supervisor.pid)
        try:
            if found:
                yield
            else:
                with _deaf_supervisor(self._folder(cluster)):
                    yield
        finally:
            for supervisor in found:
                supervisor.resume()

    def things(self, cluster: str) -> list[str]:
        return [
            command[command.index("-n") + 1]
            for supervisor in self._supervisors(cluster)
            for node in supervisor.children()
            if "-n" in (command := node.cmdline())
        ]

    def close(self) -> None:
        """Ends the supervisors."""
        for supervisor in self._supervisors(""):
            supervisor.terminate()
        wait_until("supervisors have ended", lambda: not self._supervisors(""), within_s=20)

    def _folder(self, cluster: str) -> Path:
        return supervisor_folder(Settings(work_dir=str(self.work_dir)), cluster)

    def _supervisors(self, cluster: str) -> list[psutil.Process]:
        """Of this cluster, or of all."""
        wanted = str(self._folder(cluster)) if cluster else f"{self.work_dir}/"
        return [
            process
            for process in map(psutil.Process, having("fixwurx_celery.providers.supervisor"))
            if any(word.startswith(wanted) for word in process.cmdline())
        ]


@contextlib.contextmanager
def _deaf_supervisor(folder: Path) -> Iterator[None]:
    """One that has begun, and answers nobody."""
    with SupervisorFolder(folder) as held:
        lock = held.lock()
        assert lock is not None
        with held.listen():
            yield
        os.close(lock)


class DockerBed:
    """Containers of a daemon of the tests'. DOCKER_HOST must name it."""

    name = "docker"

    def __init__(self, daemon: DockerDaemon, folder: Path) -> None:
        self.daemon, self.folder = daemon, folder
        self.shared = _made(folder / "shared")

    def settings(self, **options: Any) -> dict[str, Any]:
        given = {
            "network_mode": "host",
            "volumes": [
                *(f"{here}:{there}:ro" for there, here in SHOWN.items()),
                f"{self.shared}:{self.shared}",
            ],
            "tmpfs": {"/tmp": ""},
            **options,
        }
        return {
            "provider": self.name,
            "provider_options": _written(self.folder, given),
            "node_image": self.daemon.node_image(),
        }

    def silent(self, cluster: str) -> AbstractContextManager[None]:
        return self.daemon.silent()

    def things(self, cluster: str) -> list[str]:
        with self.daemon.client() as client:
            return [
                row["Names"][0]
                for row in client.api.containers(all=True)
                if row["Names"][0].startswith(f"/fixwurx-{cluster}-")
            ]


class KubernetesBed:
    """Pods in a namespace of a cluster of the tests'."""

    name = "kubernetes"

    def __init__(self, kube: Kube, namespace: str, folder: Path) -> None:
        self.kube, self.namespace, self.folder = kube, namespace, folder
        self.shared = _made(folder / "shared")
        self.kubeconfig = kube.kubeconfig(kube.token, "controller.kubeconfig")

    def settings(self, **options: Any) -> dict[str, Any]:
        given = {
            "kubeconfig": str(self.kubeconfig),
            "namespace": self.namespace,
            "template": self.template(),
            **options,
        }
        return {
            "provider": self.name,
            "provider_options": _written(self.folder, given),
            "node_image": self.kube.docker.node_image(),
        }

    def template(self, container: Mapping[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
        """Of pods on this host."""
        shown = [(there, here, True) for there, here in SHOWN.items()]
        shown.append((str(self.shared), str(self.shared), False))
        return {
            "hostNetwork": True,
            "volumes": [
                *(
                    {"name": f"v{i}", "hostPath": {"path": here}}
                    for i, (_, here, _) in enumerate(shown)
                ),
                {"name": "tmp", "emptyDir": {}},
            ],
            "containers": [
                {
                    "imagePullPolicy": "Never",
                    "volumeMounts": [
                        *(
                            {"name": f"v{i}", "mountPath": there, "readOnly": is_read_only}
                            for i, (there, _, is_read_only) in enumerate(shown)
                        ),
                        {"name": "tmp", "mountPath": "/tmp"},
                    ],
                    **(container or {}),
                }
            ],
            **spec,
        }

    def silent(self, cluster: str) -> AbstractContextManager[None]:
        return self.kube.silent()

    def things(self, cluster: str) -> list[str]:
        pods = self.kube.ask("GET", f"/api/v1/namespaces/{self.namespace}/pods")["items"]
        names = [pod["metadata"]["name"] for pod in pods]
        return [name for name in names if name.startswith(f"fixwurx-{cluster}-")]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _written(folder: Path, options: Mapping[str, Any]) -> str:
    path = folder / f"options-{len(list(folder.glob('options-*')))}.yaml"
    path.write_text(yaml.safe_dump(dict(options)))
    return str(path)
