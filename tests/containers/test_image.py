"""The image, built for real: small, without rights, and a node in it ends as it is told."""

import json
import re
import secrets
import shlex
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.documented import documented, prose, shown
from tests.support.images import BUILD_S, IMAGE, STORE_IMAGE, WITHOUT_AN_INDEX, Images
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.timeout(600)]

MOST_MB = 250
HARDENED = (
    "--read-only", "--tmpfs=/tmp", "--volume=/var/lib/fixwurx", "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)  # fmt: skip


@pytest.fixture
def network(images: Images) -> Iterator[str]:
    """With a store in it; all that is connected to it is gone afterwards."""
    name = f"t{secrets.token_hex(4)}"
    images.docker("network", "create", name)
    images.docker("run", "-d", "--name", f"{name}-store", "--network", name, "--network-alias",
                  "store", STORE_IMAGE, "valkey-server", "--protected-mode", "no")  # fmt: skip
    yield name
    found = images.docker("ps", "-aq", "--filter", f"network={name}").stdout.split()
    images.docker("rm", "--force", "--volumes", *found)
    images.docker("network", "rm", name)


def start(images: Images, network: str, name: str, *command: str, options: tuple[str, ...]) -> str:
    """A container on that network; its name."""
    container = f"{network}-{name}"
    images.docker("run", "-d", "--name", container, "--network", network,
                  "-e", "FIXWURX_REDIS_URL=redis://store:6379/0",
                  "-e", "FIXWURX_HEARTBEAT_TIMEOUT_SEC=5", *options, IMAGE, *command)  # fmt: skip
    return container


def state(images: Images, container: str) -> dict[str, object]:
    [found] = json.loads(images.docker("inspect", container).stdout)
    return dict(found["State"])


def health(images: Images, container: str) -> str:
    """By the image's own check, asked now."""
    said = images.docker("exec", container, *check_of(images), check=False)
    return said.stdout.strip()


def check_of(images: Images) -> list[str]:
    how, *command = images.config(IMAGE)["Healthcheck"]["Test"]
    assert how == "CMD", "a shell would be in between"
    return list(command)


def test_it_is_small(images: Images) -> None:
    beyond_its_base = images.sizes_mb(IMAGE)

    print(f"the image beyond its base: {beyond_its_base:.0f} MB")
    assert beyond_its_base < MOST_MB


def test_its_processes_are_nobody_s_that_can_do_harm(images: Images) -> None:
    config = images.config(IMAGE)

    assert config["User"] == "10001:10001"
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["tini", "-s", "--"], "no shell in between"
    writable = images.docker(
        "run", "--rm", "--network=none", IMAGE, "find", "/", "-xdev", "-type", "d", "-writable",
        "-not", "-path", "/proc/*", "-not", "-path", "/dev/*", check=False,
    ).stdout.split()  # fmt: skip
    assert set(writable) == {"/run/lock", "/tmp", "/var/lib/fixwurx", "/var/tmp"}


def test_it_has_the_pinned_versions_and_says_so_when_it_has_not(images: Images) -> None:
    """The build ends with this check."""
    pins = images.checkout / "constraints.txt"
    text = pins.read_text()
    [version] = re.findall(r"^celery==(.+)$", text, re.MULTILINE)
    other = images.folder / "other.txt"
    other.write_text(text.replace(f"celery=={version}", "celery==0.1"))

    def look(file: Path) -> tuple[int, str]:
        done = images.docker("run", "--rm", "--network=none", "-v", f"{file}:/pins:ro",
                             "-v", f"{images.checkout}/docker/pinned.py:/pinned.py:ro", IMAGE,
                             "python", "/pinned.py", "/pins", check=False)  # fmt: skip
        return done.returncode, done.stdout

    status, said = look(pins)
    assert (status, said.endswith("packages are as pinned\n")) == (0, True)
    assert look(other) == (1, f"celery {version} is installed; pinned is 0.1\n")


def test_a_node_without_any_right_is_well_and_ends_by_the_first_sigterm(
    images: Images, network: str
) -> None:
    node = start(images, network, "node", options=HARDENED)
    wait_until("the node is well", lambda: health(images, node) == "well", within_s=60)

    began = time.monotonic()
    images.docker("stop", "--time=50", node)

    assert state(images, node)["ExitCode"] == 0
    assert time.monotonic() - began < 25


def test_a_node_that_is_told_to_stop_while_it_boots_stops(images: Images, network: str) -> None:
    node = start(images, network, "node", options=HARDENED)
    began = time.monotonic()

    images.docker("stop", "--time=50", node)

    assert time.monotonic() - began < 30, "it was not killed"
    assert state(images, node)["ExitCode"] != 137


def test_orphans_in_a_container_leave_no_zombies(images: Images, network: str) -> None:
    node = start(images, network, "node", options=HARDENED)
    wait_until("the node is well", lambda: health(images, node) == "well", within_s=60)

    for _ in range(5):
        images.docker("exec", node, "bash", "-c", "(sleep 0.1 &)")

    def zombies() -> list[str]:
        script = "grep -h '^State' /proc/[0-9]*/status 2>/dev/null | grep Z || true"
        return images.docker("exec", node, "bash", "-c", script).stdout.split()

    wait_until("no zombie is left", lambda: not zombies(), within_s=10)


def test_the_check_tells_a_node_that_stands_still(images: Images, network: str) -> None:
    node = start(images, network, "node", options=HARDENED)
    wait_until("the node is well", lambda: health(images, node) == "well", within_s=60)
    main = "pgrep() { grep -lz '^worker$' /proc/[0-9]*/cmdline | cut -d/ -f3; }; "

    images.docker("exec", node, "bash", "-c", main + "kill -STOP $(pgrep)", check=False)

    wait_until(
        "the check says that it stands still",
        lambda: "the store has not heard of it" in health(images, node),
        within_s=30,
    )


def test_a_controller_is_well_while_it_sweeps(images: Images, network: str) -> None:
    controller = start(images, network, "controller", "celery", "-A", "fixwurx_celery.controller",
                       "worker", "-B", "-s", "/tmp/beat", options=HARDENED)  # fmt: skip
    wait_until("the controller is well", lambda: health(images, controller) == "well", within_s=60)

    images.docker("pause", f"{network}-store")
    try:
        wait_until(
            "the check says that it does not sweep",
            lambda: "the store has not heard of it" in health(images, controller),
            within_s=60,
        )
    finally:
        images.docker("unpause", f"{network}-store")

    wait_until("it is well again", lambda: health(images, controller) == "well", within_s=60)


def test_flower_is_well_when_it_answers(images: Images, network: str) -> None:
    flower = start(images, network, "flower", "celery", "-A", "fixwurx_celery", "flower",
                   "--address=0.0.0.0", "--basic_auth=a:b", options=HARDENED)  # fmt: skip

    wait_until("flower is well", lambda: health(images, flower) == "well", within_s=60)


def test_the_command_line_is_in_it(images: Images) -> None:
    said = images.docker("run", "--rm", "--network=none", *HARDENED, IMAGE,
                         "fixwurx-celery", "config", "check",
                         check=False)  # fmt: skip

    assert "FIXWURX_REDIS_URL" in said.stdout + said.stderr


def test_what_is_documented_is_done_as_it_is_written(images: Images) -> None:
    build, *others = documented("containers.md", "The image")
    said = "\n".join(line for _, line in prose("containers.md"))
    assert f"`{' '.join(WITHOUT_AN_INDEX)}`" in said

    program, *words, folder = shlex.split(build)
    assert program == "docker"
    # A layer of the fixture's for each of its lines, and so quick.
    images.docker(*words, "--network=host", *WITHOUT_AN_INDEX, folder, within_s=BUILD_S)
    for command in others:
        said = images.docker(*shlex.split(command)[1:]).stdout
        assert said.startswith("fixwurx-celery ")


def test_more_is_installed_on_top_as_it_is_written(images: Images) -> None:
    """Beside the Dockerfile of the page are a list and the package that it names."""
    [dockerfile] = shown("containers.md", "The image", "dockerfile")
    folder = images.folder / "derived"
    folder.mkdir()
    [wheel] = images.checkout.glob("wheels/trove_classifiers-*.whl")
    shutil.copy2(wheel, folder)
    (folder / "needs.txt").write_text("--no-index\n--find-links .\ntrove-classifiers\n")
    (folder / "Dockerfile").write_text(dockerfile)

    images.docker("build", "--network=none", "-t", "derived", str(folder), within_s=200)

    assert images.config("derived") == images.config(IMAGE)
    images.docker("run", "--rm", "--network=none", "derived", "python", "-c",
                  "import trove_classifiers, fixwurx_celery")  # fmt: skip
    assert images.docker("run", "--rm", "--network=none", "derived", "ls", "/src").stdout == ""
