import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.engine.process import Finished, Processes, ProcessLostError, environment
from fixwurx_celery.engine.sandbox import UNCONFINED, Sandbox, SandboxError, why_none
from tests.support.engine_repos import (
    PYTHON,
    confined,
    nothing_left_behind,
    processes_naming,
    wait_until,
)


@pytest.fixture(params=["confined", "unconfined"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    if request.param == "unconfined":
        return UNCONFINED
    if why := why_none():
        pytest.skip(why)
    made = confined().furnished(tmp_path / "sandbox")
    made.give(tmp_path)
    return made


@pytest.fixture
def processes(sandbox: Sandbox, tmp_path: Path) -> Iterator[Processes]:
    with nothing_left_behind(tmp_path), Processes(sandbox) as started:
        yield started


def finish(
    processes: Processes, folder: Path, command: str, timeout_s: float = 10, **options: int
) -> Finished:
    running = processes.start(
        command,
        cwd=folder,
        env=environment(os.environ, scratch=folder, sandbox=processes.sandbox),
        output=folder / "output",
        timeout_s=timeout_s,
        **options,
    )
    finished = running.wait(30)
    assert finished is not None, f"{command} has not ended within 30 s"
    return finished


def test_a_command_reports_its_status_and_output(processes: Processes, tmp_path: Path) -> None:
    finished = finish(processes, tmp_path, "echo out; echo err >&2; exit 3")

    assert (finished.exit_status, finished.timed_out, finished.left) == (3, False, 0)
    assert finished.text() == "out\nerr\n"
    assert not finished.passed


@pytest.mark.parametrize("sandbox", ["confined"], indirect=True)
def test_a_sandbox_that_cannot_be_built_is_no_answer(processes: Processes, tmp_path: Path) -> None:
    running = processes.start(
        "true", cwd=tmp_path, env={"PATH": os.environ["PATH"]}, output=tmp_path / "output",
        timeout_s=10, writes=(tmp_path, Path("/no/such/folder")),
    )  # fmt: skip

    with pytest.raises(SandboxError, match="could not be built: bwrap: Can't find source path"):
        running.wait(20)


def test_a_command_that_does_not_exist_ends_with_127(processes: Processes, tmp_path: Path) -> None:
    assert finish(processes, tmp_path, "no-such-command-at-all").exit_status == 127


def test_a_hung_python_says_where_it_hung(processes: Processes, tmp_path: Path) -> None:
    (tmp_path / "hang.py").write_text("def spin():\n    while True:\n        pass\nspin()\n")

    finished = finish(processes, tmp_path, "python hang.py", timeout_s=0.5)

    assert finished.timed_out
    assert 'hang.py", line' in finished.text()
    assert finished.seconds < 3


def test_what_ignores_signals_and_detaches_is_killed(processes: Processes, tmp_path: Path) -> None:
    script = tmp_path / "stubborn.sh"
    script.write_text(
        "trap '' ABRT TERM INT HUP\n"
        "setsid sh -c \"trap '' ABRT TERM INT HUP; while :; do sleep 1; done\" &\n"
        "while :; do sleep 1; done\n"
    )

    finished = finish(processes, tmp_path, f"sh {script}", timeout_s=0.3)

    assert finished.timed_out
    assert processes_naming(str(tmp_path)) == []


def test_children_do_not_outlive_a_command_that_ends(processes: Processes, tmp_path: Path) -> None:
    finished = finish(processes, tmp_path, "(setsid sleep 1000 &) ; echo started")

    assert finished.passed
    assert finished.left == (0 if processes.sandbox else 1)  # a sandbox takes all with it
    assert finished.text() == "started\n"


def test_a_command_that_signals_its_group_hits_only_itself(
    processes: Processes, tmp_path: Path
) -> None:
    assert finish(processes, tmp_path, "kill 0; sleep 5").exit_status == -signal.SIGTERM


def test_output_is_kept_at_both_ends_and_bounded(processes: Processes, tmp_path: Path) -> None:
    finished = finish(
        processes, tmp_path, "echo first; yes | head -c 3000000; echo last", keep_bytes=10_000
    )

    text = finished.text()
    assert text.startswith("first\ny\n")
    assert text.endswith("y\nlast\n")
    assert "bytes left out" in text
    assert len(text) < 100_000


def test_commands_die_with_a_killed_host(tmp_path: Path) -> None:
    host = (
        "import os, pathlib, time\n"
        "from fixwurx_celery.engine.process import Processes, environment\n"
        "from fixwurx_celery.engine.sandbox import UNCONFINED\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "started = Processes(UNCONFINED)\n"
        "started.start('(setsid sleep 1000 &); sleep 1000', cwd=folder,\n"
        "    env=environment(os.environ, scratch=folder, sandbox=UNCONFINED),\n"
        "    output=folder / 'o', timeout_s=None)\n"
        "print('started', flush=True)\n"
        "time.sleep(1000)\n"
    )
    with subprocess.Popen([PYTHON, "-c", host], stdout=subprocess.PIPE) as started:
        try:
            assert started.stdout is not None
            assert started.stdout.readline() == b"started\n"
            wait_until(lambda: len(processes_naming(str(tmp_path))) == 5, "all processes started")
        finally:
            started.kill()

    wait_until(lambda: not processes_naming(str(tmp_path)), "all processes gone", limit_s=5)


def test_an_ended_command_has_no_result(processes: Processes, tmp_path: Path) -> None:
    running = processes.start(
        "touch begun; exec sleep 1000",
        cwd=tmp_path,
        env=dict(os.environ),
        output=tmp_path / "o",
        timeout_s=None,
    )
    wait_until((tmp_path / "begun").exists, "command started")

    running.end()
    running.end()

    finished = running.wait()
    assert finished is not None
    assert finished.exit_status == -signal.SIGABRT
    assert not finished.timed_out


def test_a_killed_supervisor_is_no_answer(processes: Processes, tmp_path: Path) -> None:
    running = processes.start(
        f"echo started > {tmp_path}/begun; exec sleep 1000",
        cwd=tmp_path,
        env=dict(os.environ),
        output=tmp_path / "o",
        timeout_s=None,
    )
    wait_until((tmp_path / "begun").exists, "command started")

    os.kill(running.supervisor_pid, signal.SIGKILL)

    with pytest.raises(ProcessLostError, match="supervisor of o ended with -9"):
        running.wait(10)
    wait_until(lambda: not processes_naming(str(tmp_path)), "command gone")


def test_commands_see_no_passwords_of_the_cluster(sandbox: Sandbox, tmp_path: Path) -> None:
    host = {
        "FIXWURX_REDIS_URL": "redis://:x@h",
        "GIT_DIR": "/x",
        "OTEL_EXPORTER_OTLP_HEADERS": "k=s",
        "PATH": "/bin",
        "HOME": "/h",
    }

    env = environment(host, scratch=tmp_path, sandbox=sandbox)

    assert "FIXWURX_REDIS_URL" not in env
    assert "OTEL_EXPORTER_OTLP_HEADERS" not in env
    assert "GIT_DIR" not in env
    assert env["HOME"] == ("/tmp" if sandbox else "/h")
    assert env["PATH"].split(os.pathsep)[0] == str(Path(PYTHON).parent)
