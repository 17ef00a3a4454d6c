"""A private Kubernetes for tests: etcd, API server, controllers, scheduler, and a kubelet that runs
real pods on a Docker daemon of the tests. All on this host, gone with who started it.

The binaries come from `tests/support/build_kubernetes.sh`.
"""

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from tests.support.docker_daemon import DockerDaemon, unmount_below
from tests.support.processes import freeze
from tests.support.server import end_with_parent
from tests.support.waiting import wait_until

__all__ = ["Kube", "NoKube", "start_kube"]

PROGRAMS: Final = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "pause",
)
CONTROLLERS: Final = (
    "deployment", "garbagecollector", "namespace", "nodelifecycle", "persistentvolume-binder",
    "pv-protection", "pvc-protection", "replicaset", "serviceaccount", "serviceaccount-token",
    "statefulset",
)  # fmt: skip
NODE: Final = "localhost"
"""So the API server finds its kubelet, for `kubectl port-forward`."""
PAUSE: Final = "fixwurx-test-pause:1"
KERNEL: Final = (
    "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
)  # fmt: skip
"""What the kubelet sets on its host, and nobody sets back."""

OUTSIDE: Final = tuple(
    Path(path)
    for path in ("/var/lib/dockershim", "/var/lib/kubelet", "/var/log/containers", "/var/log/pods")
)
"""Where the kubelet writes, whatever folder it is given."""

KUBELET: Final[Mapping[str, Any]] = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "cgroupDriver": "cgroupfs",
    "cgroupsPerQOS": False,
    "enforceNodeAllocatable": [],
    "failSwapOn": False,
    "makeIPTablesUtilChains": False,
    "address": "127.0.0.1",
    "readOnlyPort": 0,
    "healthzPort": 0,
    "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "oomScoreAdj": 0,
    # The disk of a test machine may be fuller than a node's should.
    "evictionHard": {"memory.available": "50Mi"},
    "imageGCHighThresholdPercent": 100,
}


def quiet_port() -> int:
    """A port that nobody listens on, and that no connection gets for its own end: etcd and the API
    server open hundreds while others are still to listen."""
    while True:
        port = secrets.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class NoKube(Exception):
    """No Kubernetes can be started on this machine."""


def binaries() -> dict[str, Path]:
    """The programs, by name. Raises NoKube."""
    named = os.environ.get("FIXWURX_KUBERNETES_BIN", "~/.cache/fixwurx-tests/kubernetes")
    folder = Path(named).expanduser()
    found = {name: folder / name for name in PROGRAMS}
    missing = [name for name, path in found.items() if not path.exists()]
    if missing:
        raise NoKube(f"no {missing[0]} in {folder}: run tests/support/build_kubernetes.sh once")
    etcd = shutil.which("etcd")
    if etcd is None:
        raise NoKube("no etcd for the tests (apt install etcd-server)")
    return {**found, "etcd": Path(etcd)}


@dataclass(slots=True)
class Kube:
    """One cluster of one host. `token` is an administrator's."""

    folder: Path
    programs: Mapping[str, Path]
    docker: DockerDaemon
    port: int = field(default_factory=quiet_port)
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    processes: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    kernel: dict[str, str] = field(default_factory=dict)
    outside: list[Path] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    # -- its processes -----------------------------------------------------------------------

    def start(self) -> None:
        """Starts all, and returns when pods can run. Fails after 90 s."""
        self._start_api()
        self._start_controllers()
        self._start_kubelet()

    def _spawn(self, program: str, *arguments: str) -> None:
        with (self.folder / f"{program}.log").open("ab") as log:
            self.processes[program] = subprocess.Popen(
                [str(self.programs[program]), *arguments],
                cwd=self.folder,
                env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "HOME": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )

    def _start_api(self) -> None:
        client, peer = (f"http://127.0.0.1:{quiet_port()}" for _ in range(2))
        self._spawn("etcd", "--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync",
                    "--listen-client-urls", client, "--advertise-client-urls", client,
                    "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                    "--initial-cluster", f"default={peer}")  # fmt: skip
        key = self.folder / "sa.key"
        subprocess.run(
            ["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True
        )
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=apiserver",
             "-days", "2", "-addext", "extendedKeyUsage=clientAuth",
             "-keyout", str(self.folder / "client.key"), "-out", str(self.folder / "client.crt")],
            check=True, capture_output=True,
        )  # fmt: skip
        tokens = self.folder / "tokens.csv"
        tokens.write_text(f'{self.token},admin,admin,"system:masters"\n')
        self._spawn("kube-apiserver", "--etcd-servers", client,
                    "--cert-dir", str(self.certificate.parent),
                    "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1",
                    "--secure-port", str(self.port), "--token-auth-file", str(tokens),
                    "--authorization-mode", "RBAC", "--service-account-key-file", str(key),
                    "--service-account-signing-key-file", str(key),
                    "--service-account-issuer", "https://kubernetes.default.svc",
                    "--service-cluster-ip-range", "10.0.0.0/24",
                    "--endpoint-reconciler-type", "none",
                    "--kubelet-preferred-address-types", "Hostname",
                    "--kubelet-client-certificate", str(self.folder / "client.crt"),
                    "--kubelet-client-key", str(self.folder / "client.key"))  # fmt: skip
        wait_until("the API server is ready", self._is_ready, within_s=60)
        self.kubeconfig(self.token, "admin.kubeconfig")

    def _start_controllers(self) -> None:
        own = ("--kubeconfig", str(self.folder / "admin.kubeconfig"), "--leader-elect=false",
               "--port", "0", "--secure-port", "0")  # fmt: skip
        self._spawn("kube-controller-manager", *own, "--controllers", ",".join(CONTROLLERS),
                    "--service-account-private-key-file", str(self.folder / "sa.key"),
                    "--root-ca-file", str(self.certificate))  # fmt: skip
        self._spawn("kube-scheduler", *own)

    def _start_kubelet(self) -> None:
        self.kernel = {name: _sysctl(name).read_text() for name in KERNEL if _sysctl(name).exists()}
        self.outside = [path for path in OUTSIDE if not path.exists()]
        self.docker.build(PAUSE, "COPY pause /pause", 'ENTRYPOINT ["/pause"]',
                          files=[self.programs["pause"]])  # fmt: skip
        config = self.folder / "kubelet.yaml"
        known = {"x509": {"clientCAFile": str(self.folder / "client.crt")}}
        authentication = {**KUBELET["authentication"], **known}
        config.write_text(
            yaml.safe_dump({**KUBELET, "port": quiet_port(), "authentication": authentication})
        )
        self._spawn("kubelet", "--config", str(config), "--kubeconfig",
                    str(self.folder / "admin.kubeconfig"), "--container-runtime", "docker",
                    "--docker-endpoint", self.docker.url, "--pod-infra-container-image", PAUSE,
                    "--hostname-override", NODE, "--root-dir", str(self.folder / "kubelet"),
                    "--cert-dir", str(self.folder / "kubelet-certs"),
                    "--network-plugin", "")  # fmt: skip
        wait_until("the kubelet's host takes pods", self._takes_pods, within_s=60)

    def _is_ready(self) -> bool:
        for name, process in self.processes.items():
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text()
                raise AssertionError(f"{name} ended with {process.returncode}\n{log[-3000:]}")
        with contextlib.suppress(OSError):
            return self.ask("GET", "/readyz") == "ok"
        return False

    def _takes_pods(self) -> bool:
        assert self._is_ready()
        for node in self.ask("GET", "/api/v1/nodes")["items"]:
            conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", ())}
            if conditions.get("Ready") == "True" and not node["spec"].get("taints"):
                return True
        return False

    @contextmanager
    def silent(self) -> Iterator[None]:
        """The API server takes requests, and does not answer them."""
        pid = self.processes["kube-apiserver"].pid
        freeze(pid)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextmanager
    def silent_host(self) -> Iterator[None]:
        """The kubelet hears nothing and says nothing. What its pods run goes on."""
        pid = self.processes["kubelet"].pid
        freeze(pid)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    # -- its users ---------------------------------------------------------------------------

    @property
    def certificate(self) -> Path:
        """By which clients know the API server."""
        return self.folder / "certs/apiserver.crt"

    def kubeconfig(self, token: str, name: str) -> Path:
        """A file by which a client is whoever has that token."""
        path = self.folder / name
        path.write_text(
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "current-context": "test",
                    "contexts": [{"name": "test", "context": {"cluster": "test", "user": "it"}}],
                    "clusters": [
                        {
                            "name": "test",
                            "cluster": {
                                "server": self.url,
                                "certificate-authority": str(self.certificate),
                            },
                        }
                    ],
                    "users": [{"name": "it", "user": {"token": token}}],
                }
            )
        )
        return path

    def token_of(self, namespace: str, account: str) -> str:
        """Of a service account, as its pods get one."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": ["https://kubernetes.default.svc"], "expirationSeconds": 7200},
        }
        return str(self.ask("POST", path, request)["status"]["token"])

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The API server's answer to the administrator. Raises urllib's HTTPError."""
        request = urllib.request.Request(
            self.url + path,
            json.dumps(body).encode() if body is not None else None,
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
            method=method,
        )
        context = ssl.create_default_context(cafile=str(self.certificate))
        with urllib.request.urlopen(request, timeout=15, context=context) as answer:
            text = answer.read().decode()
        return json.loads(text) if text.startswith("{") else text

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            self.ask("GET", path)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 404:
                raise
            return False
        return True

    @contextmanager
    def namespace(self) -> Iterator[str]:
        """One of a test's own; all in it is gone afterwards."""
        name = f"t-{secrets.token_hex(4)}"
        meta = {"name": name}
        self.ask("POST", "/api/v1/namespaces", {"kind": "Namespace", "metadata": meta})
        account = f"/api/v1/namespaces/{name}/serviceaccounts/default"
        wait_until(f"{name} takes pods", lambda: self.has(account), within_s=20)
        try:
            yield name
        finally:
            pods = f"/api/v1/namespaces/{name}/pods"
            self.ask("DELETE", pods, {"gracePeriodSeconds": 1})
            wait_until(f"{name} has no pods", lambda: not self.ask("GET", pods)["items"],
                       within_s=90)  # fmt: skip
            self.ask("DELETE", f"/api/v1/namespaces/{name}")

    def __enter__(self) -> "Kube":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.processes.values()):
            process.terminate()
            try:
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)
        for name, value in self.kernel.items():
            if _sysctl(name).read_text() != value:
                _sysctl(name).write_text(value)
        for folder in (self.folder, *self.outside):
            unmount_below(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _sysctl(name: str) -> Path:
    return Path("/proc/sys", name)


def start_kube(folder: Path, docker: DockerDaemon) -> Kube:
    """A cluster whose host takes pods. Raises NoKube."""
    programs = binaries()
    folder.mkdir(parents=True, exist_ok=True)
    kube = Kube(folder, programs, docker)
    try:
        kube.start()
    except BaseException:
        kube.__exit__(None, None, None)
        raise
    return kube
