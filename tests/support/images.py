"""Our image, built by its Dockerfile without a registry, and one of Valkey beside it.

The base is a stand-in that `build_base_image.sh` makes once; wheels come by `pip download`, once
for each state of constraints.txt.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.support.docker_daemon import DockerDaemon
from tests.support.server import server_binary
from tests.support.surroundings import ROOT

__all__ = [
    "BASE", "IMAGE", "STORE_IMAGE", "WITHOUT_AN_INDEX", "Images", "NoImages", "made_images",
]  # fmt: skip

BASE: Final = "python:3.11-slim"
IMAGE: Final = "fixwurx-celery"
STORE_IMAGE: Final = "fixwurx-test-valkey:1"
PATH: Final = "/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
BUILD_S: Final = 500
WITHOUT_AN_INDEX: Final = (
    "--build-arg", "PIP_NO_INDEX=1", "--build-arg", "PIP_FIND_LINKS=/src/wheels",
)  # fmt: skip
"""As docs/containers.md has it."""

STORE_CLI: Final = '''#!/usr/bin/env python3
"""Valkey's command line, as far as a health check needs it: `valkey-cli ping`."""
import os, socket
with socket.create_connection(("127.0.0.1", 6379), 2) as store:
    store.sendall(f"AUTH {os.environ['REDISCLI_AUTH']}\\r\\nPING\\r\\n".encode())
    said = b""
    while said.count(b"\\n") < 2 and (data := store.recv(99)):
        said += data
print(said.decode().split()[-1])
'''
STORE_LINES: Final = (
    f"FROM {BASE}",
    "COPY valkey-server valkey-cli /usr/local/bin/",
    # As the official one has it.
    "RUN useradd --uid 999 valkey && mkdir /data && chown valkey /data",
    "WORKDIR /data",
)


class NoImages(Exception):
    """Images cannot be built on this machine."""


def materials() -> Path:
    """The folder that `build_base_image.sh` filled. Raises NoImages."""
    folder = Path(
        os.environ.get("FIXWURX_IMAGES_DIR", "~/.cache/fixwurx-tests/images")
    ).expanduser()
    if not (folder / "python-slim.tar").exists():
        raise NoImages(f"no base in {folder}: run tests/support/build_base_image.sh once")
    return folder


@dataclass(slots=True)
class Images:
    """What is built in one daemon, from a copy of this checkout with the wheels in it."""

    daemon: DockerDaemon
    folder: Path
    materials: Path = field(default_factory=materials)

    @property
    def checkout(self) -> Path:
        """The copy."""
        return self.folder / "checkout"

    @property
    def environment(self) -> dict[str, str]:
        """For the docker command line, with compose, of this daemon; nothing of the caller's."""
        return {
            "PATH": f"{os.environ['PATH']}:/usr/bin",
            "HOME": str(self.folder),
            "DOCKER_HOST": self.daemon.url,
            "DOCKER_CONFIG": str(self.materials / "docker"),
        }

    def docker(
        self, *arguments: str, within_s: float = 60, check: bool = True
    ) -> "subprocess.CompletedProcess[str]":
        """The docker command line, in the checkout. Fails with what it said."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=self.checkout,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )
        if check and done.returncode:
            said = (done.stdout + done.stderr)[-4000:]
            raise AssertionError(f"docker {' '.join(arguments)}: {done.returncode}\n{said}")
        return done

    def make(self) -> None:
        """The checkout, the base and Valkey's image. Ours is left to whoever tests its building."""
        self._copy_checkout()
        base = str(self.materials / "python-slim.tar")
        self.docker("import", "-c", f"ENV PATH={PATH}", base, BASE, within_s=120)
        with tempfile.TemporaryDirectory(dir=self.folder) as context:
            shutil.copy2(server_binary(), Path(context, "valkey-server"))
            cli = Path(context, "valkey-cli")
            cli.write_text(STORE_CLI)
            cli.chmod(0o755)
            Path(context, "Dockerfile").write_text("\n".join(STORE_LINES))
            self.docker("build", "--network=host", "-t", STORE_IMAGE, context, within_s=120)

    def build(self, tag: str = IMAGE, *options: str) -> None:
        """Ours, as docs/containers.md says for a machine without a network."""
        self.docker("build", "--network=host", *WITHOUT_AN_INDEX, "-t", tag,
                    "-f", "docker/Dockerfile", *options, ".", within_s=BUILD_S)  # fmt: skip

    def sizes_mb(self, image: str) -> float:
        """The image's own, without its base's, in MB."""
        return (self._inspected(image)["Size"] - self._inspected(BASE)["Size"]) / 1e6

    def config(self, image: str) -> dict[str, Any]:
        """How its containers are started."""
        found: dict[str, Any] = self._inspected(image)["Config"]
        return found

    def _inspected(self, image: str) -> dict[str, Any]:
        [found] = json.loads(self.docker("image", "inspect", image).stdout)
        return dict(found)

    def _copy_checkout(self) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, text=True, check=True, timeout=30,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():  # else it was removed, and that not committed yet
                target = self.checkout / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, target)
        shutil.copytree(wheels(self.materials), self.checkout / "wheels")


def wheels(folder: Path) -> Path:
    """All that the image needs of Python's packages, downloaded unless they were."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras: Mapping[str, Sequence[str]] = project["project"]["optional-dependencies"]
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *(each for extra in extras_of_image() for each in extras[extra]),
    ]
    constraints = (ROOT / "constraints.txt").read_text()
    state = hashlib.sha256(f"{sorted(wanted)}{constraints}{sys.version}".encode()).hexdigest()[:12]
    made = folder / f"wheels-{state}"
    if not made.exists():
        with tempfile.TemporaryDirectory(dir=folder) as loading:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:",
                 "--constraint", str(ROOT / "constraints.txt"), "--dest", loading, *wanted],
                capture_output=True, text=True, timeout=300, check=False,
            )  # fmt: skip
            if done.returncode:
                raise NoImages(f"no wheels for the image: {done.stderr[-500:]}")
            Path(loading).rename(made)
            Path(loading).mkdir()  # which the end of this block removes
    return made


def extras_of_image() -> Iterator[str]:
    """As the Dockerfile names them."""
    for line in (ROOT / "docker/Dockerfile").read_text().splitlines():
        if line.startswith("ARG EXTRAS="):
            yield from line.removeprefix("ARG EXTRAS=").split(",")


@contextmanager
def made_images(daemon: DockerDaemon) -> Iterator[Images]:
    """In a folder that is gone afterwards. Raises NoImages."""
    with tempfile.TemporaryDirectory(prefix="fxi", dir="/tmp") as folder:
        images = Images(daemon, Path(folder))
        images.make()
        yield images
