"""A repository that means harm, against the sandbox: as root, and as a user without rights.

What an attack must not do in the sandbox it does without one: else it would prove nothing.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from fixwurx_celery.engine.sandbox import why_none
from tests.support.engine_repos import gcd_repo, is_asleep
from tests.support.surroundings import ROOT
from tests.support.waiting import wait_until

NOBODY = 65534
SYSTEM_PYTHON = "/usr/bin/python3"
HOSTILE = ROOT / "tests/support/hostile.py"

if why := why_none():
    pytest.skip(why, allow_module_level=True)


FIXES = "sed -i 's/return b$/return a/' gcd.py"


@dataclass(frozen=True, slots=True)
class Attacker:
    """Whose node the repository is repaired on, and the node's folder."""

    folder: Path
    python: str
    becomes: tuple[str, ...] = ()

    def own(self, path: Path) -> Path:
        """Makes it the user's, as what the node writes is."""
        if self.becomes:
            os.chown(path, NOBODY, NOBODY)
        return path

    def start(self, *argv: str, **variables: str) -> "subprocess.Popen[bytes]":
        """A process of the user's."""
        return subprocess.Popen([*self.becomes, *argv], env={**os.environ, **variables})

    def runs(
        self,
        *attack: str,
        sandbox: str = "bwrap",
        seconds: float = 10,
        network: bool = False,
        **settings: Any,
    ) -> dict[str, Any]:
        """What became of the attack, run as the reproduce command of a bug would be."""
        copy = self.folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir()
        self.own(copy)
        self.own(Path(shutil.copy(HOSTILE, copy)))
        request = {
            "folder": str(self.folder),
            "command": ["python3", "hostile.py", *attack],
            "sandbox": sandbox,
            "network": network,
            "seconds": seconds,
            "settings": settings,
        }
        done = subprocess.run(
            [*self.becomes, self.python, str(ROOT / "tests/support/confined_run.py"),
             json.dumps(request)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "SECRET": "of the node",
                 "FIXWURX_REDIS_URL": "redis://:SECRET@h", "http_proxy": "http://u:SECRET@h"},
            stdout=subprocess.PIPE,
            check=True,
            timeout=seconds + 60,
        )  # fmt: skip
        report: dict[str, Any] = json.loads(done.stdout)
        assert "began" in report["output"], report["output"]
        return report

    def got(self, *attack: str, **how: Any) -> list[str]:
        """What the attack boasts of, which came to its end."""
        output = self.runs(*attack, **how)["output"]
        assert output.rstrip().endswith("ended"), output
        return [line.removeprefix("GOT ") for line in output.splitlines() if line[:4] == "GOT "]


@pytest.fixture(params=["this user", "another user"])
def attacker(request: pytest.FixtureRequest) -> Iterator[Attacker]:
    folder = Path(tempfile.mkdtemp(prefix="fxs", dir="/tmp"))
    made = Attacker(folder, sys.executable)
    if request.param == "another user":
        made = unprivileged(folder)
    folder.chmod(0o755)
    yield made
    shutil.rmtree(folder)


def unprivileged(folder: Path) -> Attacker:
    """As root: a user without rights, who needs a Python of the system's and this checkout."""
    if os.getuid():
        pytest.skip("these tests run as such a user already")
    user = f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"
    made = Attacker(folder, SYSTEM_PYTHON, ("setpriv", *user))
    made.own(folder)
    works = subprocess.run(
        [*made.becomes, SYSTEM_PYTHON, "-c",
         "import sys, fixwurx_celery.engine.process; assert sys.version_info >= (3, 11)"],
        env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    if works.returncode:
        pytest.skip(f"{SYSTEM_PYTHON} of such a user cannot import this: {works.stderr[-200:]}")
    return made


@pytest.fixture
def victim(attacker: Attacker) -> Iterator[int]:
    with attacker.start("sleep", "300", SECRET="of the node") as process:
        wait_until("the victim runs", lambda: psutil.Process(process.pid).name() == "sleep")
        yield process.pid
        process.kill()


def test_a_bug_is_fixed_by_either(attacker: Attacker) -> None:
    repo = gcd_repo(attacker.folder / "repo")
    check = "python3 -c 'from gcd import gcd; assert gcd(12, 18) == 6'"
    bug = {"source": {"path": str(repo)}, "reproduce": check, "analyst": {"command": FIXES}}
    (attacker.folder / "bug.json").write_text(json.dumps(bug))
    done = subprocess.run(
        [*attacker.becomes, attacker.python, "-m", "fixwurx_celery.engine", "bug.json"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "FIXWURX_SANDBOX": "bwrap",
             "TMPDIR": str(attacker.folder)},
        cwd=attacker.folder, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip

    assert json.loads(done.stdout)["outcome"] == "FIXED", done.stderr
    assert "lines in 1 files" in done.stderr
    assert sorted(path.name for path in attacker.folder.iterdir()) == ["bug.json", "repo"]


def test_files_of_the_host_are_not_there(attacker: Attacker) -> None:
    secret = attacker.folder / "secret"
    secret.write_text("x")
    secret.chmod(0o600)
    attacker.own(secret)
    here = str(secret), str(attacker.folder / "output")
    files = (*here, "/etc/shadow", "/etc/ssh/sshd_config", "/etc/machine-id", "/root/.bashrc")

    assert attacker.got("read", *files, sandbox="off")[:2] == list(here)
    assert attacker.got("read", *files) == []


def test_folders_of_others_are_not_there(attacker: Attacker) -> None:
    other = attacker.folder / "work-2" / "copy-1"
    other.mkdir(parents=True)
    (other / "file").touch()
    way = str(attacker.folder)  # to its own copy: it sees that there is one, and nothing else on it
    folders = str(other), "/home", "/var/lib", "/srv", "/sys", "/run", "/boot"

    assert str(other) in attacker.got("list", *folders, sandbox="off")
    assert attacker.got("list", *folders) == []
    assert attacker.got("list", way) == [way]
    assert attacker.got("read", f"{way}/output", f"{way}/sandbox/etc/passwd") == []


def test_nothing_can_be_written_but_the_copy_and_what_is_its_own(attacker: Attacker) -> None:
    outside = attacker.folder / "outside"
    outside.mkdir()
    attacker.own(outside)
    places = str(outside), str(attacker.folder), "/", "/usr/bin", "/etc", "/dev", "/proc/sys/kernel"

    assert attacker.got("write", str(outside), sandbox="off") == [str(outside)]
    (outside / "planted").unlink()
    own = ["/tmp", "/dev/shm", "/var/tmp", "."]
    seen = attacker.got("write", *places, *own)
    # The way to its copy lies in its own /tmp here, so that a user may write there to no effect.
    assert [place for place in seen if place != str(attacker.folder)] == own
    assert list(attacker.folder.rglob("planted")) == [attacker.folder / "copy" / "planted"]
    assert not Path("/tmp/planted").exists()


def test_there_is_no_network(attacker: Attacker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as store:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        store.bind(str(attacker.folder / "store.sock"))
        (attacker.folder / "store.sock").chmod(0o777)
        store.listen()
        with socket.socket(socket.AF_UNIX) as nameless:
            nameless.bind(f"\0fixwurx-{os.getpid()}")
            nameless.listen()
            sockets = str(attacker.folder / "store.sock"), f"@fixwurx-{os.getpid()}"

            assert attacker.got("connect", here, sandbox="off") == [here, f"udp {here}"]
            assert attacker.got("unix", *sockets, sandbox="off") == list(sockets)
            # Its own loopback takes a datagram that nobody receives.
            assert attacker.got("connect", here, "192.0.2.1:80", "169.254.169.254:80") == [
                f"udp {here}"
            ]
            assert attacker.got("unix", *sockets) == []


def test_network_is_there_where_it_may_be_asked_for_and_is(attacker: Attacker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1:{server.getsockname()[1]}"
        asked = attacker.got("connect", here, network=True, sandbox_network="asked")
        not_asked = attacker.got("connect", here, sandbox_network="asked")

    assert asked == [here, f"udp {here}"]
    assert not_asked == [f"udp {here}"]


def test_no_process_of_the_host_can_be_seen_or_reached(attacker: Attacker, victim: int) -> None:
    assert f"signal {victim}" in attacker.got("kill", str(victim), sandbox="off")
    assert attacker.got("trace", str(victim), sandbox="off")[0] == f"ptrace {victim}"

    assert attacker.got("kill", str(victim)) == []
    assert attacker.got("trace", str(victim)) == []


def test_no_secret_is_in_the_environment(attacker: Attacker) -> None:
    assert {"SECRET", "http_proxy"} <= set(attacker.got("environ", "SECRET", sandbox="off"))
    assert attacker.got("environ", "SECRET", "FIXWURX", "proxy") == []


def test_there_are_no_privileges_to_gain(attacker: Attacker) -> None:
    assert "new privileges" in attacker.got("privileges", sandbox="off")
    assert attacker.got("privileges") == []


def test_what_it_leaves_behind_is_gone(attacker: Attacker) -> None:
    mark = f"2000.{os.getpid()}"

    assert attacker.got("daemon", mark) == ["daemon"]

    assert not is_asleep(mark)


def test_a_fork_bomb_is_bounded_and_over_in_time(attacker: Attacker) -> None:
    report = attacker.runs("forks", seconds=3)

    assert report["timed_out"]
    assert "GOT" in report["output"], "it was to find a limit"
    born = int(report["output"].split("GOT ")[1].split()[0])
    assert 100 < born <= 1024
    assert not [p for p in psutil.process_iter(["cmdline"]) if "forks" in (p.info["cmdline"] or ())]


@pytest.mark.parametrize("how", ["one", "many", "shared"])
def test_memory_is_bounded(attacker: Attacker, how: str) -> None:
    report = attacker.runs("memory", how, seconds=20, sandbox_memory_mb=128)

    assert not report["timed_out"]
    assert report["exit_status"] != 0
    assert report["seconds"] < 15


@pytest.mark.parametrize("how", ["one", "many", "nameless"])
def test_disk_is_bounded(attacker: Attacker, how: str) -> None:
    free = shutil.disk_usage(attacker.folder).free

    report = attacker.runs("disk", how, seconds=20, sandbox_disk_mb=100)

    assert not report["timed_out"]
    assert report["exit_status"] != 0
    used = sum(file.stat().st_blocks * 512 for file in (attacker.folder / "copy").iterdir())
    assert used < 101 << 20 if how == "one" else used < free / 2
