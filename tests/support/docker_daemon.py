"""A private Docker daemon for tests: own socket, folders and containers, gone with who started it.

Containers share the host's network, or have networks of their own in a network namespace of the
tests, so that the host's stays as it is. There is no registry: an image of the tests is nearly
empty, and its containers see the host's programs and this checkout, read-only; our own image is
built in `images.py`.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import freeze
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

__all__ = ["SHOWN", "DockerDaemon", "NoDocker", "start_docker", "unmount_below"]

IMAGE = "fixwurx-test-node"
NO_NETWORKS = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false")


class NoDocker(Exception):
    """No Docker daemon can be started on this machine."""


def _shown() -> dict[str, str]:
    """Folders of the host by where a container sees them: all that a Python of the host needs."""
    found = {"/usr": "/usr", "/etc": "/etc"}
    for name in ("bin", "lib", "lib64"):
        if Path("/", name).is_dir():
            found[f"/{name}"] = str(Path("/", name).resolve())
    for folder in (sys.base_prefix, sys.prefix, str(ROOT)):
        if not folder.startswith("/usr/"):
            found[folder] = folder
    return found


SHOWN = _shown()


@dataclass(slots=True)
class DockerDaemon:
    """One daemon. `kill` leaves its containers alive, as a crash does; `start` finds them again.

    With `has_networks` containers are found by name, and published ports are reached by what
    `inside` begins.
    """

    folder: Path
    has_networks: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    images: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """As DOCKER_HOST."""
        return f"unix://{self.folder}/s.sock"

    @property
    def inside(self) -> list[str]:
        """What a command begins with that is to be in the network of the containers' host."""
        # Not `ip netns exec`, which hides the control groups.
        return ["nsenter", f"--net=/run/netns/{self.folder.name}"] if self.has_networks else []

    def start(self) -> None:
        """Starts it, and returns when it answers. Fails after 30 s."""
        if self.has_networks and not Path("/run/netns", self.folder.name).exists():
            ip("netns", "add", self.folder.name)
            ip("-n", self.folder.name, "link", "set", "lo", "up")
        config = self.folder / "daemon.json"
        config.write_text("{}")  # else the host's own is read
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.inside, "dockerd", "--config-file", str(config),
                 "--data-root", str(self.folder / "data"), "--exec-root", str(self.folder / "exec"),
                 "-p", str(self.folder / "pid"), "-H", self.url,
                 *(() if self.has_networks else NO_NETWORKS)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )  # fmt: skip
        wait_until(f"dockerd answers at {self.url}", self.answers, within_s=30)

    def answers(self) -> bool:
        from docker.errors import DockerException

        assert self.process is not None
        if self.process.poll() is not None:
            log = (self.folder / "log").read_text()
            raise AssertionError(f"dockerd ended with {self.process.returncode}\n{log[-2000:]}")
        try:
            with socket.socket(socket.AF_UNIX) as probe:  # the SDK would leave its own open
                probe.connect(str(self.folder / "s.sock"))
            with self.client() as client:
                return bool(client.ping())
        except (DockerException, OSError):
            return False

    @contextmanager
    def client(self) -> Iterator[Any]:
        """A client of the SDK's."""
        import docker

        client = docker.DockerClient(base_url=self.url, version="1.41", timeout=30)
        try:
            yield client
        finally:
            client.close()

    def build(self, name: str, *lines: str, files: Sequence[Path] = ()) -> str:
        """An image of these lines of a Dockerfile after `FROM scratch`; its name."""
        with tempfile.TemporaryDirectory(dir=self.folder) as context:
            for file in files:
                shutil.copy2(file, context)
            # One of size 0 is none to the kubelet.
            Path(context, "is-a-test-image").write_text("\n")
            Path(context, "Dockerfile").write_text(
                "\n".join(["FROM scratch", "COPY is-a-test-image /", *lines, ""])
            )
            with self.client() as client:
                client.images.build(path=context, tag=name, rm=True, forcerm=True)
        return name

    def node_image(self) -> str:
        """The image of nodes: its containers want to be shown the folders of `SHOWN`."""
        if IMAGE not in self.images:
            path = f"{Path(sys.prefix, 'bin')}:/usr/local/bin:/usr/bin:/bin"
            self.build(IMAGE, f"ENV PATH={path}", f"ENV PYTHONPATH={ROOT}", "ENV HOME=/tmp")
            self.images.append(IMAGE)
        return IMAGE

    @contextmanager
    def silent(self) -> Iterator[None]:
        """It takes requests, and does not answer them."""
        assert self.process is not None
        freeze(self.process.pid)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)

    def kill(self) -> None:
        """As a crash does it: containers go on. Its containerd dies with it."""
        assert self.process is not None
        containerd = int((self.folder / "exec/containerd/containerd.pid").read_text())
        self.process.kill()
        self.process.wait(timeout=10)
        # A daemon that finds it, even as a zombie, would wait for it to answer.
        wait_until("its containerd is gone", lambda: not psutil.pid_exists(containerd), within_s=20)

    def __enter__(self) -> "DockerDaemon":
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process is not None and self.process.poll() is None:
                with self.client() as client:  # else it waits for each that ignores SIGTERM
                    for container in client.containers.list(all=True):
                        container.remove(force=True, v=True)
                self.process.terminate()
                self.process.wait(timeout=30)
        finally:
            self._clear()

    def _clear(self) -> None:
        """What a daemon that did not end in order leaves."""
        for process in psutil.process_iter(["cmdline"]):
            if any(str(self.folder) in word for word in process.info["cmdline"] or ()):
                with contextlib.suppress(psutil.Error):
                    for child in process.children(recursive=True):
                        child.kill()
                    process.kill()
        unmount_below(self.folder)
        if self.has_networks:
            ip("netns", "del", self.folder.name)
        shutil.rmtree(self.folder, ignore_errors=True)


def ip(*arguments: str) -> None:
    """Of iproute2."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def unmount_below(folder: Path) -> None:
    """The deepest first."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for point in sorted(mounts, key=len, reverse=True):
        if point.startswith(f"{folder}/"):
            subprocess.run(["umount", "-l", point], check=False, capture_output=True)


def start_docker(*, has_networks: bool = False) -> DockerDaemon:
    """A daemon that answers. Raises NoDocker."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    if os.geteuid() != 0 or shutil.which("dockerd", path=path) is None:
        raise NoDocker("a Docker daemon for the tests needs root and dockerd (apt docker.io)")
    # Not in pytest's folder: the path of a socket has 108 characters.
    daemon = DockerDaemon(Path(tempfile.mkdtemp(prefix="fxd", dir="/tmp")), has_networks)
    try:
        daemon.start()
    except BaseException:
        daemon.__exit__(None, None, None)
        raise
    return daemon
