"""The Helm chart on a real API server and a real kubelet: a bug runs to its patch in a pod."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import absent
from tests.support.docker_daemon import DockerDaemon
from tests.support.documented import documented
from tests.support.images import IMAGE, STORE_IMAGE, Images, NoImages, made_images
from tests.support.kube import Kube, quiet_port
from tests.support.surroundings import ROOT, surroundings
from tests.support.waiting import wait_until

helm = pytest.importorskip("helm_python", reason="needs pip install helm-python-sdk")

pytestmark = [pytest.mark.kubernetes, pytest.mark.timeout(900)]

CHART = ROOT / "docker/helm/fixwurx-celery"
RELEASE = "fw"
COMMAND = "import sys; from fixwurx_celery.cli import main; sys.exit(main())"


@dataclass
class Release:
    """One of a test's own: its namespace, and what its values are here.

    Pods have the host's network, as there is none of theirs in a cluster of the tests. So the store
    is at 127.0.0.1, whatever it is called.
    """

    kube: Kube
    namespace: str
    helm: Any
    values: dict[str, Any]

    def path(self, kind: str, name: str = "", api: str = "/api/v1") -> str:
        return f"{api}/namespaces/{self.namespace}/{kind}" + (f"/{name}" if name else "")

    def pods(self, component: str = "") -> list[dict[str, Any]]:
        """Those of the release."""
        found = self.kube.ask("GET", self.path("pods"))["items"]
        return [
            pod
            for pod in found
            if component in ("", pod["metadata"]["labels"]["app.kubernetes.io/component"])
        ]

    def ready(self, component: str) -> list[str]:
        """The uids of those that are."""
        return [
            pod["metadata"]["uid"]
            for pod in self.pods(component)
            if any(
                (condition["type"], condition["status"]) == ("Ready", "True")
                for condition in pod["status"].get("conditions", ())
            )
        ]

    def waits_until_ready(self, component: str, count: int = 1) -> list[str]:
        def look() -> list[str]:
            found = self.ready(component)
            return found if len(found) == count else []

        try:
            return wait_until(f"{count} {component} ready", look, within_s=120)
        except AssertionError as error:
            said = json.dumps([pod["status"] for pod in self.pods(component)], indent=1)
            raise AssertionError(f"{error}\n{said[-3000:]}") from None

    def secret(self, name: str) -> dict[str, str]:
        data = self.kube.ask("GET", self.path("secrets", name))["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def fixwurx(self, *arguments: str, within_s: float = 240) -> "subprocess.CompletedProcess[str]":
        """The command line, from outside; fails when it does."""
        url = self.secret(f"{RELEASE}-store")["url"].replace(f"@{RELEASE}-store:", "@127.0.0.1:")
        done = subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            env=surroundings(FIXWURX_REDIS_URL=url),
            cwd=ROOT, capture_output=True, text=True, timeout=within_s, check=False,
        )  # fmt: skip
        assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        return done


@pytest.fixture(scope="module")
def images(docker_daemon: DockerDaemon) -> Iterator[Images]:
    """Ours, in the daemon of the kubelet."""
    try:
        with made_images(docker_daemon) as made:
            made.build(f"{IMAGE}:0.1.0")
            yield made
    except NoImages as error:
        absent(error)


@pytest.fixture
def release(images: Images, kube: Kube, tmp_path: Path) -> Iterator[Release]:
    """Not installed yet."""
    with kube.namespace() as namespace:
        config = helm.Config(kubeconfig_path=kube.folder / "admin.kubeconfig", namespace=namespace)
        values = {
            "settings": {"FIXWURX_MIN_WORKERS": "0", "FIXWURX_MAX_WORKERS": "2",
                         "FIXWURX_SCALE_DOWN_WINDOW_SEC": "20"},
            "store": {"image": STORE_IMAGE, "port": quiet_port()},
            "controller": {"env": [{"name": "KUBERNETES_SERVICE_HOST", "value": "127.0.0.1"},
                                   {"name": "KUBERNETES_SERVICE_PORT", "value": str(kube.port)}]},
            "nodes": {"resources": {"requests": {"cpu": "100m"}}},
            "pod": {"hostNetwork": True,
                    "hostAliases": [{"ip": "127.0.0.1", "hostnames": [f"{RELEASE}-store"]}]},
        }  # fmt: skip
        made = Release(kube, namespace, config, values)
        volume = f"/api/v1/persistentvolumes/{namespace}"
        with volume_for(made, volume, tmp_path):
            yield made
            with contextlib.suppress(helm.HelmError):
                config.uninstall(RELEASE)
            config.close()


@contextlib.contextmanager
def volume_for(release: Release, path: str, folder: Path, name: str = RELEASE) -> Iterator[None]:
    """A volume for the store's claim: nobody makes them here."""
    place = folder / "store"
    place.mkdir(mode=0o777)
    place.chmod(0o777)
    folder.chmod(0o755)
    release.kube.ask("POST", path.rpartition("/")[0], {
        "metadata": {"name": path.rpartition("/")[2]},
        "spec": {"capacity": {"storage": "4Gi"}, "accessModes": ["ReadWriteOnce"],
                 "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": str(place)},
                 "claimRef": {"namespace": release.namespace, "name": f"data-{name}-store-0"}},
    })  # fmt: skip
    try:
        yield
    finally:
        release.kube.ask("DELETE", path)


def test_a_bug_is_fixed_in_a_pod_and_nothing_is_left_of_the_release(
    release: Release, tmp_path: Path
) -> None:
    began = time.monotonic()
    release.helm.install(str(CHART), RELEASE, release.values)
    release.waits_until_ready("store")
    manifest = tmp_path / "bugs.yaml"
    manifest.write_text(manifest_of("build-order"))

    release.fixwurx("submit", str(manifest), "--wait")

    print(f"from `helm install` to the first patch: {time.monotonic() - began:.1f} s")
    assert "diff --git" in release.fixwurx("bug", "patch", "build-order").stdout
    [node] = release.pods("node")
    assert node["spec"]["containers"][0]["image"] == f"{IMAGE}:0.1.0"
    assert_restricted(node)
    release.waits_until_ready("controller")
    release.waits_until_ready("flower")
    for pod in release.pods():
        assert_restricted(pod)

    release.helm.uninstall(RELEASE)

    wait_until("no pod is left", lambda: not release.pods(), within_s=120)
    kinds = {
        "/api/v1": ["secrets", "configmaps", "services", "serviceaccounts"],
        "/apis/apps/v1": ["deployments", "statefulsets", "replicasets"],
        "/apis/rbac.authorization.k8s.io/v1": ["roles", "rolebindings"],
        "/apis/networking.k8s.io/v1": ["networkpolicies"],
    }

    def left() -> list[str]:
        return [
            f"{kind}/{item['metadata']['name']}"
            for api, names in kinds.items()
            for kind in names
            for item in release.kube.ask("GET", release.path(kind, api=api))["items"]
            if not item["metadata"]["name"].startswith("default")
            and item["metadata"]["name"] != "kube-root-ca.crt"
        ]

    wait_until("nothing is left", lambda: not left(), within_s=60)


def assert_restricted(pod: dict[str, Any]) -> None:
    """As the Pod Security Standards' profile of that name has it."""
    spec = pod["spec"]
    [container] = spec["containers"]
    own = container["securityContext"]
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["resources"]["limits"]["memory"]
    speaks_to_the_api = pod["metadata"]["labels"]["app.kubernetes.io/component"] == "controller"
    assert spec["automountServiceAccountToken"] is speaks_to_the_api


def test_an_upgrade_keeps_the_password_and_the_nodes(release: Release) -> None:
    # Of pods that have ports of their host's, two cannot be there at once, as a roll-out wants it.
    closed = {"metrics": {"enabled": False}, "flower": {"enabled": False}}
    values = {**release.values, **closed, "settings": {"FIXWURX_MIN_WORKERS": "1"}}
    release.helm.install(str(CHART), RELEASE, values)
    [controller] = release.waits_until_ready("controller")
    [node] = release.waits_until_ready("node")
    secret = release.secret(f"{RELEASE}-store")

    values["settings"] = {"FIXWURX_MIN_WORKERS": "2"}  # the static one is one of them
    values["staticNodes"] = {"replicas": 1}
    release.helm.upgrade(str(CHART), RELEASE, values)

    def rolled() -> bool:
        found = release.ready("controller")
        return len(found) == 1 and found != [controller]

    wait_until("the new controller is ready", rolled, within_s=120)
    release.waits_until_ready("static-node")
    assert release.secret(f"{RELEASE}-store") == secret
    assert node in release.ready("node"), "nodes that are there work on"
    listed = json.loads(release.fixwurx("node", "list", "--json").stdout)
    assert len([each for each in listed if each["state"] == "READY"]) == 2
    release.fixwurx("doctor")

    release.helm.test(RELEASE, timeout=120)
    assert release.pods("doctor") == [], "the doctor has been, and gone"


@pytest.fixture
def documented_release(release: Release, tmp_path: Path) -> Iterator[Release]:
    """As docs/containers.md calls it, and its namespace."""
    path = "/api/v1/namespaces/fixwurx"
    (tmp_path / "values.yaml").write_text(
        yaml.safe_dump({**release.values, "pod": {
            **release.values["pod"],
            "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["fixwurx-store"]}],
        }})
    )  # fmt: skip
    made = Release(release.kube, "fixwurx", release.helm, release.values)
    folder = tmp_path / "documented"
    folder.mkdir()
    with volume_for(made, "/api/v1/persistentvolumes/documented", folder, "fixwurx"):
        yield made
        release.kube.ask("DELETE", path)
        wait_until("the namespace is gone", lambda: not release.kube.has(path), within_s=120)


def test_what_is_documented_is_done_as_it_is_written(
    documented_release: Release, tmp_path: Path
) -> None:
    """`helm` is a stand-in on the library of that name, and ports are others; all else is typed as
    it stands there."""
    for program in ("kubectl", "nsenter", "socat"):  # the kubelet forwards with the last two
        if not shutil.which(program):
            pytest.skip(f"needs {program}")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, line in {
        "helm": f'exec {sys.executable} -m tests.support.helm_command "$@"',
        "fixwurx-celery": f"exec {sys.executable} -c '{COMMAND}' \"$@\"",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755)
    kube = documented_release.kube
    port, reached = documented_release.values["store"]["port"], quiet_port()
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT), "KUBECONFIG": str(kube.folder / "admin.kubeconfig"),
        "HELM_VALUES": str(tmp_path / "values.yaml"),
    }  # fmt: skip
    few = tmp_path / "few.yaml"
    few.write_text(manifest_of("build-order", "leap-second-table"))

    def run(*commands: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", "\n".join(commands)], cwd=ROOT, env=environment,
            capture_output=True, text=True, timeout=400, check=False,
        )  # fmt: skip

    upgrade = documented("containers.md", "Upgrades")
    commands = documented("containers.md", "Kubernetes")
    waiting: list[str] = []
    for command in [*commands[:6], *upgrade, *commands[6:]]:
        if "port-forward" in command:
            assert command.endswith(" &")
            # Pods have the port of this host, so another is forwarded to it.
            forwarded = command.replace(" 6379 &", f" {reached}:{port} &")
            waiting += [forwarded, "trap 'kill %1' EXIT"]
            continue
        if command.startswith("password="):
            waiting.append(command)
            continue
        local = command.replace(":6379", f":{reached}").replace("examples/bugs.yaml", str(few))
        done = run(*waiting, local)
        waiting.clear()
        # One of the examples is sound: in part fixed is 4.
        expected = 4 if "submit" in command else 0
        assert done.returncode == expected, (command, done.stdout, done.stderr)
        if "submit" in command:
            assert "build-order  FIXED" in done.stderr
    wait_until("no pod is left", lambda: not documented_release.pods(), within_s=120)


def manifest_of(*names: str) -> str:
    return "bugs:\n" + "".join(
        f"- id: {name}\n  source: {{path: {ROOT}/examples/{name}}}\n"
        "  reproduce: python -m pytest -q -x\n"
        for name in names
    )


def test_the_store_keeps_what_it_knows_when_its_pod_is_replaced(release: Release) -> None:
    release.helm.install(str(CHART), RELEASE, release.values)
    [first] = release.waits_until_ready("store")
    release.waits_until_ready("controller")
    release.fixwurx("strategy", "set", "ROUND_ROBIN")

    release.kube.ask("DELETE", release.path("pods", f"{RELEASE}-store-0"))

    wait_until("another store is ready", lambda: release.ready("store") not in ([], [first]),
               within_s=90)  # fmt: skip
    assert "ROUND_ROBIN" in release.fixwurx("strategy", "show").stdout
    release.waits_until_ready("controller")
