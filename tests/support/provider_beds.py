"""Where the nodes of a provider run for real: one bed a provider.

A bed shows its nodes this checkout, the tests' Python and the folder `shared`, under the paths that
they have here, and reaches the tests' store at 127.0.0.1.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.support.docker_daemon import SHOWN, DockerDaemon
from tests.support.kube import Kube

__all__ = ["Bed", "DockerBed", "KubernetesBed"]


class Bed(Protocol):
    """What the suite of all providers needs to know of one."""

    name: str
    shared: Path
    """A folder that nodes may write in."""

    def settings(self, **options: Any) -> dict[str, Any]:
        """Settings that name the provider, by keyword; `options` go over its own."""

    def silent(self) -> AbstractContextManager[None]:
        """What the provider asks for nodes takes its requests, and does not answer."""

    def things(self, cluster: str) -> list[str]:
        """What exists of that cluster's nodes, as seen from outside: a name for each."""


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

    def silent(self) -> AbstractContextManager[None]:
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

    def silent(self) -> AbstractContextManager[None]:
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
