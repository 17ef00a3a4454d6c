import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from time import monotonic

import psutil
import pytest

from fixwurx_celery.engine.analyst.base import Candidate, Case, Observation
from fixwurx_celery.engine.analyst.mutate import Mutate
from fixwurx_celery.engine.analyst.mutate.command_line import parse
from fixwurx_celery.engine.analyst.mutate.runs import Ran, Run
from fixwurx_celery.engine.analyst.mutate.warm import Pool
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.process import Processes
from fixwurx_celery.engine.sandbox import why_none
from tests.support.engine_repos import confined, processes_naming, wait_until, write_tree
from tests.support.surroundings import ROOT

COMMAND = "python -m pytest -q -x"
ENVIRONMENT = {
    "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # of whoever runs this suite; without, runs are faster
}
CLAMP = "def clamp(x, low, high):\n    if x > low:\n        return low\n    return min(x, high)\n"
CLAMP_TEST = """\
import pytest
from clamp import clamp


@pytest.mark.parametrize("x, want", [(0, 1), (1, 1), (2, 2), (3, 3), (9, 3)])
def test_clamp(x, want):
    assert clamp(x, 1, 3) == want
"""
LOOP = """\
def digits(n):
    found = []
    while n >= 0:
        n, digit = divmod(n, 10)
        found.append(digit)
    return found
"""
LOOP_TEST = """\
from loop import digits


def test_digits():
    assert digits(120) == [0, 2, 1]
"""


@pytest.fixture(autouse=True)
def nothing_stays() -> Iterator[None]:
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert after <= before


def case(
    tmp_path: Path, files: dict[str, str], command: str = COMMAND, *, resume: JSON = None
) -> Case:
    source = write_tree(tmp_path / "source", files)
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    return Case(
        bug_id="b",
        source=source,
        scratch=scratch,
        reproduce=command,
        verify=command,
        files=(),
        agents=2,
        observation=Observation(failing_output="", exit_status=1, seconds=1.0, timed_out=True),
        environment=ENVIRONMENT,
        sandbox=confined().furnished(tmp_path / "sandbox"),
        log=lambda text: None,
        resume=resume,
    )


def first_candidates(analyst: Mutate, *, limit_s: float = 60.0) -> list[Candidate]:
    until = monotonic() + limit_s
    while not analyst.exhausted:
        assert monotonic() < until, f"no candidate within {limit_s} s"
        if found := analyst.step():
            return list(found)
    return []


def passes_from_clean(case: Case, candidate: Candidate) -> bool:
    subprocess.run(
        ["git", "apply", "-"], input=candidate.diff.encode(), cwd=case.source, check=True
    )
    done = subprocess.run(
        case.reproduce, shell=True, cwd=case.source, env=dict(case.environment), check=False
    )
    return done.returncode == 0


REPOS: dict[str, tuple[dict[str, str], str]] = {
    "a wrong comparison": ({"clamp.py": CLAMP, "test_clamp.py": CLAMP_TEST}, COMMAND),
    "an endless loop": ({"loop.py": LOOP, "test_loop.py": LOOP_TEST}, COMMAND),
    "a conftest that imports what is under edit": (
        {
            "clamp.py": CLAMP,
            "conftest.py": "import clamp\n",
            "tests/test_clamp.py": CLAMP_TEST,
        },
        COMMAND,
    ),
    "a command that is not pytest": (
        {"clamp.py": CLAMP},
        "python -c 'from clamp import *; assert [clamp(x, 1, 3) for x in (0, 2)] == [1, 2]'",
    ),
    "an import that raises": (
        {
            "table.py": "SIZES = [1, 2, 3]\nLAST = SIZES[3]\n",
            "test_table.py": "import table\n\n\ndef test_last():\n    assert table.LAST == 3\n",
        },
        COMMAND,
    ),
}


@pytest.mark.parametrize("name", REPOS)
def test_the_first_candidate_passes_from_clean(tmp_path: Path, name: str) -> None:
    files, command = REPOS[name]
    given = case(tmp_path, files, command)
    analyst = Mutate(given)

    try:
        found = first_candidates(analyst)
    finally:
        analyst.close()

    assert found
    assert passes_from_clean(given, found[0])
    assert list(given.scratch.iterdir()) == [] or not any(given.scratch.rglob("*.py"))


def test_the_pristine_source_is_never_written(tmp_path: Path) -> None:
    given = case(tmp_path, {"clamp.py": CLAMP, "test_clamp.py": CLAMP_TEST})
    analyst = Mutate(given)

    first_candidates(analyst)
    analyst.close()

    kept = {path.name: path.read_text() for path in given.source.iterdir()}
    assert kept == {"clamp.py": CLAMP, "test_clamp.py": CLAMP_TEST}


def test_what_contradicting_tests_ask_for_is_not_found(tmp_path: Path) -> None:
    tests = "from m import f\n\n\ndef test_f():\n    assert f() == 1\n    assert f() == 2\n"
    analyst = Mutate(case(tmp_path, {"m.py": "def f():\n    return 0\n", "test_m.py": tests}))

    try:
        found = first_candidates(analyst)
    finally:
        analyst.close()

    assert found == []
    assert analyst.exhausted
    assert analyst.tried > 10


def test_a_later_life_goes_on_where_the_first_stopped(tmp_path: Path) -> None:
    files = {
        "clamp.py": CLAMP,
        "test_clamp.py": "def test_never():\n    import clamp\n    assert 0\n",
    }
    first = Mutate(case(tmp_path / "a", files))
    until = monotonic() + 60
    while first.tried < 20:
        assert monotonic() < until, "20 edits not tried within 60 s"
        assert not first.exhausted
        first.step()
    saved = first.checkpoint()
    first.close()
    assert isinstance(saved, dict)

    second = Mutate(case(tmp_path / "b", files, resume=saved))
    while second.tried == 0:
        assert monotonic() < until, "no edit tried within 30 s"
        second.step()
    again = second.checkpoint()
    second.close()

    assert isinstance(again, dict)
    assert again["digest"] == saved["digest"]
    assert int(str(again["done"])) >= int(str(saved["done"])) > 0
    assert int(str(again["tried"])) >= int(str(saved["tried"]))


def test_close_may_be_repeated_and_ends_a_step(tmp_path: Path) -> None:
    analyst = Mutate(case(tmp_path, {"clamp.py": CLAMP, "test_clamp.py": CLAMP_TEST}))
    analyst.step()

    analyst.close()
    analyst.close()

    assert analyst.exhausted
    assert analyst.step() == []


# Warm runs


@pytest.fixture
def pool(tmp_path: Path) -> Iterator[Pool]:
    source = write_tree(
        tmp_path / "source",
        {
            "m.py": "VALUE = 0\n",
            "test_m.py": "import m\n\n\ndef test_value():\n    assert m.VALUE == 1\n",
        },
    )
    command = parse(COMMAND, source, ENVIRONMENT)
    assert command is not None
    pool = Pool(
        source=source,
        scratch=tmp_path / "warm",
        command=command,
        edited=("m.py",),
        environment=ENVIRONMENT,
        count=1,
        log=lambda text: None,
        processes=Processes(confined().furnished(tmp_path / "sandbox")),
    )
    until = monotonic() + 30
    while not pool.ready:
        assert monotonic() < until, "warm host not ready within 30 s"
        pool.poll(0.2)
    yield pool
    pool.close()


def ran(pool: Pool, text: str) -> Ran:
    pool.submit(Run(sources={"m.py": text}, cpu=0.3, wall=5.0), "tag")
    until = monotonic() + 20
    while monotonic() < until:
        for tag, result in pool.poll(0.2):
            assert tag == "tag"
            return result
    raise AssertionError("no result within 20 s")


def test_a_run_sees_its_own_source_and_no_other(pool: Pool) -> None:
    verdicts = [ran(pool, f"VALUE = {n}\n").passed for n in (0, 1, 2, 1)]

    assert verdicts == [False, True, False, True]


@pytest.mark.parametrize(
    "text",
    [
        "VALUE = 1\nimport os\nos._exit(0)\n",
        "VALUE = 1\nimport sys\nsys.exit(0)\n",
        "VALUE = 1\nimport pytest\npytest.skip('x', allow_module_level=True)\n",
        "VALUE =\n",
        "raise KeyboardInterrupt\n",
        "import ctypes\nctypes.string_at(0)\n",
    ],
)
def test_ending_the_process_is_not_passing(pool: Pool, text: str) -> None:
    result = ran(pool, text)

    assert not result.passed
    assert ran(pool, "VALUE = 1\n").passed


@pytest.mark.parametrize(
    "text",
    [
        "while True:\n    pass\n",
        "import signal\nsignal.signal(signal.SIGPROF, signal.SIG_IGN)\nwhile True:\n    pass\n",
        "import time\ntime.sleep(600)\n",
    ],
)
def test_a_run_that_does_not_end_is_killed(pool: Pool, text: str) -> None:
    result = ran(pool, text)

    assert result.late
    assert not result.passed
    assert ran(pool, "VALUE = 1\n").passed


def test_endless_memory_ends_the_run_only(pool: Pool) -> None:
    result = ran(pool, "x = bytearray(1 << 33)\nVALUE = 1\n")

    assert not result.passed
    assert ran(pool, "VALUE = 1\n").passed


@pytest.mark.parametrize("apart", [False, True])
def test_processes_that_a_run_leaves_are_killed(pool: Pool, tmp_path: Path, apart: bool) -> None:
    mark = f"left-by-{tmp_path.name}"
    start = (
        "import subprocess, sys\n"
        "said = 'import sys, time; print(flush=True); time.sleep(600)'\n"
        f"child = subprocess.Popen([sys.executable, '-c', said, {mark!r}],"
        f" start_new_session={apart}, stdout=subprocess.PIPE)\n"
        "VALUE = len(child.stdout.read(1))\n"
    )

    assert ran(pool, start).passed

    wait_until(lambda: not processes_naming(mark), "end of a process left by a run")


def test_a_host_that_dies_is_started_again(pool: Pool) -> None:
    running = pool.hosts[0].running
    assert running is not None
    below = psutil.Process(running.supervisor_pid).children(recursive=True)
    below[-1].kill()  # the innermost: the host itself, whatever stands around it
    until = monotonic() + 30

    pool.poll(5.0)
    while not pool.ready:
        assert monotonic() < until, "host not started again within 30 s"
        pool.poll(0.2)

    assert ran(pool, "VALUE = 1\n").passed


OWNER = """\
import sys, time
from pathlib import Path
from fixwurx_celery.engine.analyst.mutate.command_line import PytestCommand
from fixwurx_celery.engine.analyst.mutate.runs import Run
from fixwurx_celery.engine.analyst.mutate.warm import Pool
from fixwurx_celery.engine.process import Processes
from fixwurx_celery.engine.sandbox import open_sandbox
from fixwurx_celery.settings import Settings
root = Path(sys.argv[1])
pool = Pool(source=root / "source", scratch=root / "warm",
            command=PytestCommand(python=(sys.executable,), args=(), environment={}),
            edited=("m.py",), environment={}, count=1, log=print,
            processes=Processes(open_sandbox(Settings(sandbox=sys.argv[2]))))
while not pool.ready:
    pool.poll(0.2)
forks = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.fork()"
pool.submit(Run(sources={"m.py": forks + "; time.sleep(500)"}, cpu=500.0, wall=500.0), 1)
print("running", pool.hosts[0].running.supervisor_pid, flush=True)
time.sleep(500)
"""


@pytest.mark.parametrize(("sandbox", "below"), [("off", 3), ("auto", 5)])
def test_hosts_and_runs_die_with_their_owner(tmp_path: Path, sandbox: str, below: int) -> None:
    if sandbox == "auto" and (why := why_none()):
        pytest.skip(why)
    write_tree(tmp_path / "source", {"m.py": "", "test_m.py": "import m\n"})
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(tmp_path), sandbox],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert owner.stdout is not None
    host = psutil.Process(int(owner.stdout.readline().split()[1]))
    wait_until(lambda: len(host.children(recursive=True)) == below, "a run that has forked")
    runs = host.children(recursive=True)

    owner.kill()
    owner.wait()
    owner.stdout.close()

    for process in (host, *runs):
        wait_until(partial(is_over, process), f"end of {process.pid}")


def is_over(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
