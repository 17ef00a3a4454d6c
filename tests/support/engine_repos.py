"""Small broken repositories and what it takes to run the shipped engine on them."""

import difflib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep

import psutil

from fixwurx_celery.engine import EngineBug
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.sandbox import Sandbox, open_sandbox
from fixwurx_celery.engine.triangulation import Triangulation
from fixwurx_celery.settings import Settings

GCD = """\
def gcd(a, b):
    while b:
        a, b = b, a % b
    return b


def lcm(a, b):
    if a == 0:
        return 0
    return a * b // gcd(a, b)
"""
GCD_TEST = """\
from gcd import gcd, lcm


def test_gcd():
    assert gcd(12, 18) == 6


def test_lcm_of_zero():
    assert lcm(0, 3) == 0
"""
GCD_FIX = "".join(
    difflib.unified_diff(
        GCD.splitlines(keepends=True),
        GCD.replace("return b\n", "return a\n").splitlines(keepends=True),
        "a/gcd.py",
        "b/gcd.py",
    )
)
# Without the plugins of whoever runs this suite a run costs a fifth.
BARE = "PYTEST_DISABLE_PLUGIN_AUTOLOAD=1"
PYTEST = f"{BARE} python -m pytest -q -x -p no:cacheprovider tests/test_gcd.py"
# Starts no test runner, so it costs an interpreter and no more.
CHECK = "python -c 'from gcd import gcd; assert gcd(12, 18) == 6, gcd(12, 18)'"


def write_tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def gcd_repo(root: Path) -> Path:
    return write_tree(root, {"gcd.py": GCD, "tests/test_gcd.py": GCD_TEST})


def git_repo(root: Path) -> str:
    """Commit all of `root` and return the commit's id."""
    env = {"PATH": os.environ["PATH"], "HOME": str(root), "GIT_CONFIG_NOSYSTEM": "1"}
    name = ["-c", "user.name=t", "-c", "user.email=t@localhost"]
    for args in (["init", "-q"], ["add", "-A"], [*name, "commit", "-q", "-m", "x"]):
        subprocess.run(["git", *args], cwd=root, env=env, check=True)
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def confined(*sources: Path) -> Sandbox:
    """What commands run in on this host when nothing is set."""
    return open_sandbox(Settings(), *sources)


def engine(
    payload: Mapping[str, JSON],
    workspace: Path,
    *,
    agents: int = 1,
    checkpoint: JSON = None,
    artifacts: "MemoryArtifacts | None" = None,
    sandbox: Sandbox | None = None,
) -> Triangulation:
    workspace.mkdir(exist_ok=True)
    bug = EngineBug(id="BUG-1", agents=agents, payload=payload, artifacts=artifacts)
    around = confined(workspace.parents[1]) if sandbox is None else sandbox
    return Triangulation(bug, workspace, checkpoint, around)


def run(triangulation: Triangulation, *, limit_s: float = 100.0) -> dict[str, JSON]:
    until = monotonic() + limit_s
    while not triangulation.all_done():
        assert monotonic() < until, f"engine has no outcome after {limit_s} s"
        triangulation.execute_tick()
    assert isinstance(triangulation.outcome, dict)
    return triangulation.outcome


class MemoryArtifacts:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes, /) -> str:
        ref = f"ref-{len(self.kept)}"
        self.kept[ref] = data
        return ref

    def get(self, ref: str, /) -> bytes:
        return self.kept[ref]


def wait_until(claim: Callable[[], bool], what: str, *, limit_s: float = 10.0) -> None:
    until = monotonic() + limit_s
    while not claim():
        assert monotonic() < until, f"{what} not within {limit_s} s"
        sleep(0.02)


def processes_naming(text: str) -> list[str]:
    """Command lines and folders of living processes that mention `text`, ours excluded."""
    found = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            words = [*process.cmdline(), process.cwd()]
            if process.status() != psutil.STATUS_ZOMBIE and any(text in word for word in words):
                found.append(f"{process.pid}: {words}")
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def is_asleep(seconds: str) -> bool:
    """Whether some `sleep SECONDS` runs on this host, in whatever sandbox."""
    return any(
        process.info["cmdline"] == ["sleep", seconds]
        for process in psutil.process_iter(["cmdline"])
    )


@contextmanager
def nothing_left_behind(folder: Path) -> Iterator[None]:
    """Assert that no child of ours and no process that works in `folder` outlives the block."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    yield
    after = {child.pid for child in psutil.Process().children(recursive=True)}
    assert after <= before, f"children left: {after - before}"
    assert processes_naming(str(folder)) == []


PYTHON = sys.executable
