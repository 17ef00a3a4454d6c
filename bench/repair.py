"""How many single-line defects the shipped engine repairs that it was never tuned on.

    python bench/repair.py [--limit 60] [--agents 3] [--only NAME ...] [--jobs 1]
    python bench/repair.py --check

Each defect of `bench/defects/` goes through `python -m fixwurx_celery.engine` in a fresh process
with a wall limit. A patch counts only after `git apply` on the pristine source and a passing run of
the tests here, outside the engine. It is `exact` when the patched module has the syntax tree of
the true one, `plausible` when only the tests vouch for it. `--check` runs no engine: it proves that
every defect fails its tests and that its true line passes them.

The corpus is held out: whoever improves the repairer reads the figures by kind, not the files.
"""

import argparse
import ast
import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

HERE = Path(__file__).parent
DEFECTS = HERE / "defects"
RESULT = HERE / "results" / "repair.json"
TEST_LIMIT_S = 15.0
INTERRUPT_GRACE_S = 5.0
LOG_TAIL = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One module with one wrong line; `right` replaces the line of that number."""

    name: str
    line: int
    right: str
    kind: str
    domain: str

    @property
    def folder(self) -> Path:
        """Where the module and its tests are."""
        return DEFECTS / self.name

    @property
    def module(self) -> str:
        """The file that holds the defect."""
        return f"{self.name}.py"

    @property
    def command(self) -> str:
        """What shows the defect, from inside its folder."""
        return f"python -m pytest -q -x test_{self.name}.py"

    def repaired(self) -> str:
        """The true module."""
        lines = (self.folder / self.module).read_text("utf-8").splitlines()
        lines[self.line - 1 : self.line] = self.right.split("\n")
        return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What the engine made of one defect.

    `verdict`: exact, plausible, not fixed, wrong patch, not reproduced, over the limit, error.
    """

    name: str
    kind: str
    domain: str
    verdict: str
    seconds: float
    cpu_seconds: float
    tried: int
    edit: str = ""
    reason: str = ""

    @property
    def is_fixed(self) -> bool:
        """Whether there is a patch that the tests confirm."""
        return self.verdict in ("exact", "plausible")


def corpus(only: Sequence[str]) -> list[Defect]:
    """The defects, all of them or those named."""
    lines = (DEFECTS / "truth.jsonl").read_text("utf-8").splitlines()
    defects = [Defect(**json.loads(line)) for line in lines]
    unknown = sorted(set(only) - {defect.name for defect in defects})
    if unknown:
        raise SystemExit(f"no defect is called {unknown[0]}; see {DEFECTS}")
    return [defect for defect in defects if not only or defect.name in only]


def environment(temporary: Path) -> dict[str, str]:
    """This interpreter first on the PATH, and all temporary files where they are removed."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {
        "PATH": path,
        "TMPDIR": str(temporary),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(HERE.parent),
    }


def copied(defect: Defect, target: Path) -> Path:
    """A pristine copy of the defect's folder."""
    return shutil.copytree(
        defect.folder, target, ignore=shutil.ignore_patterns("__pycache__", ".*_cache")
    )


def run(
    command: Sequence[str], cwd: Path, limit_s: float, temporary: Path
) -> tuple[int | None, str, str]:
    """Exit status (None: over the limit), stdout and stderr; its session is gone after."""
    child = subprocess.Popen(
        command,
        cwd=cwd,
        env=environment(temporary),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    status: int | None = None
    try:
        out, err = child.communicate(timeout=limit_s)
        status = child.returncode
    except subprocess.TimeoutExpired:
        child.send_signal(signal.SIGINT)  # lets the engine end what it has started
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(INTERRUPT_GRACE_S)
        kill_session(child.pid)
        out, err = child.communicate()
    finally:
        kill_session(child.pid)
    return status, out, err


def cpu_seconds() -> float:
    """Processor time of all children so far, so the difference belongs to one with `--jobs 1`."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def kill_session(leader: int) -> None:
    """End whatever is left of a session, also in groups of its own."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            session = int((process / "stat").read_text().rpartition(")")[2].split()[3])
            if session == leader:
                os.kill(int(process.name), signal.SIGKILL)


def tests_pass(defect: Defect, folder: Path, temporary: Path) -> bool:
    """Whether the tests of a copy pass in time."""
    options = ["-q", "-x", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command = [sys.executable, "-m", "pytest", *options, f"test_{defect.name}.py"]
    return run(command, folder, TEST_LIMIT_S, temporary)[0] == 0


def judge(defect: Defect, patch: str, temporary: Path) -> str:
    """Whether a patch is exact, plausible or wrong, found out without the engine."""
    folder = copied(defect, temporary / "judged")
    (temporary / "patch").write_text(patch, "utf-8")
    applied = subprocess.run(
        ["git", "apply", str(temporary / "patch")], cwd=folder, capture_output=True, check=False
    )
    if applied.returncode:
        return "wrong patch"
    shutil.copy(defect.folder / f"test_{defect.name}.py", folder)
    if not tests_pass(defect, folder, temporary):
        return "wrong patch"
    found = shape((folder / defect.module).read_text("utf-8"))
    return "exact" if found == shape(defect.repaired()) else "plausible"


class WithoutZeros(ast.NodeTransformer):
    """Takes `x + 0` and `x - 0` for `x`: it is the same repair."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """The left side when nothing is added to it."""
        self.generic_visit(node)
        match node:
            case ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=0)):
                return node.left
        return node


def shape(source: str) -> str:
    """A text that two modules share when they are the same but for layout."""
    return ast.dump(WithoutZeros().visit(ast.parse(source)))


def attempt(defect: Defect, limit_s: float, agents: int) -> Attempt:
    """Run the engine on one defect and judge what it answers."""
    with tempfile.TemporaryDirectory(prefix="repair-", ignore_cleanup_errors=True) as name:
        temporary = Path(name)
        payload = {
            "id": defect.name,
            "agents": agents,
            "source": {"path": str(copied(defect, temporary / "source"))},
            "reproduce": defect.command,
            "reproduce_timeout": 5,
            "analyst": "mutate",
        }
        file = temporary / "bug.json"
        file.write_text(json.dumps(payload), "utf-8")
        started, cpu_before = time.monotonic(), cpu_seconds()
        command = [sys.executable, "-m", "fixwurx_celery.engine", str(file)]
        status, out, err = run(command, temporary, limit_s, temporary)
        seconds, cpu = time.monotonic() - started, cpu_seconds() - cpu_before
        outcome: dict[str, Any] = {}
        if status is not None:
            with contextlib.suppress(ValueError):
                outcome = json.loads(out)
        if status is None:
            verdict, reason = "over the limit", f"no outcome within {limit_s:.0f} s"
        elif outcome.get("outcome") == "FIXED":
            verdict = judge(defect, outcome["patch"], temporary)
            reason = outcome.get("reason", "")
        else:
            named = str(outcome.get("outcome", "ERROR")).lower().replace("_", " ")
            verdict, reason = named, outcome.get("reason") or err[-LOG_TAIL:]
    return Attempt(
        name=defect.name,
        kind=defect.kind,
        domain=defect.domain,
        verdict=verdict,
        seconds=round(seconds, 2),
        cpu_seconds=round(cpu, 2),
        tried=int(outcome.get("candidates_tried", 0)),
        edit=outcome.get("edit", ""),
        reason=reason,
    )


def check(defect: Defect) -> str:
    """What is wrong with a defect of the corpus; empty when it is sound."""
    with tempfile.TemporaryDirectory(prefix="repair-", ignore_cleanup_errors=True) as name:
        temporary = Path(name)
        folder = copied(defect, temporary / "source")
        if tests_pass(defect, folder, temporary):
            return "its tests pass with the defect"
        (folder / defect.module).write_text(defect.repaired(), "utf-8")
        if not tests_pass(defect, folder, temporary):
            return "its tests fail with the true line"
    return ""


def by(attempts: Iterable[Attempt], field: Callable[[Attempt], str]) -> dict[str, dict[str, Any]]:
    """Counts of each group, the largest first."""
    groups: dict[str, list[Attempt]] = {}
    for one in attempts:
        groups.setdefault(field(one), []).append(one)
    ordered = sorted(groups.items(), key=lambda group: (-len(group[1]), group[0]))
    return {name: summary(members) for name, members in ordered}


def summary(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """The figures of some attempts."""
    fixed = sorted(one.seconds for one in attempts if one.is_fixed)
    return {
        "defects": len(attempts),
        "fixed": len(fixed),
        "exact": sum(one.verdict == "exact" for one in attempts),
        "median_seconds_of_fixed": fixed[len(fixed) // 2] if fixed else None,
        "cpu_seconds": round(sum(one.cpu_seconds for one in attempts), 1),
        "tried": sum(one.tried for one in attempts),
    }


def show(attempts: Sequence[Attempt], console: Console) -> None:
    """Print the attempts, then the counts by kind and by domain."""
    table = Table("defect", "kind", "verdict", "tried", "seconds", "edit")
    for one in attempts:
        table.add_row(
            one.name, one.kind, one.verdict, str(one.tried), f"{one.seconds:.1f}", escape(one.edit)
        )
    console.print(table)
    for title, field in (("kind", lambda a: a.kind), ("domain", lambda a: a.domain)):
        table = Table(title, "defects", "fixed", "exact", "median s", "tried")
        rows = by(attempts, field) | {"all": summary(attempts)}
        for name, row in rows.items():
            median = row["median_seconds_of_fixed"]
            figures = [row["defects"], row["fixed"], row["exact"], median or "", row["tried"]]
            table.add_row(name, *(str(figure) for figure in figures))
        console.print(table)


def write(attempts: Sequence[Attempt], options: argparse.Namespace) -> None:
    """Keep everything in `bench/results/repair.json`; `of` is the size of the whole corpus."""
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    entry = {
        "command": "python bench/repair.py",
        "measured": time.strftime("%Y-%m-%d", time.gmtime()),
        "limit_seconds": options.limit,
        "agents": options.agents,
        "jobs": options.jobs,
        "cores": os.cpu_count(),
        "of": len(corpus([])),
        "load_at_the_end": round(os.getloadavg()[0], 1),
        "all": summary(attempts),
        "by_kind": by(attempts, lambda one: one.kind),
        "by_domain": by(attempts, lambda one: one.domain),
        "attempts": [asdict(one) for one in attempts],
    }
    RESULT.write_text(json.dumps(entry, indent=1) + "\n", "utf-8")


def main() -> int:
    """Run what the command line asks for; exit status 1 for an unsound corpus."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--limit", type=float, default=60, help="wall seconds for one defect")
    parser.add_argument("--agents", type=int, default=3, help="processes at work for one defect")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="repeatable")
    parser.add_argument("--jobs", type=int, default=1, help="defects at a time")
    parser.add_argument("--check", action="store_true", help="prove the corpus, run no engine")
    options = parser.parse_args()
    # A shell lets background jobs ignore it, and the engines would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    defects = corpus(options.only)
    with ThreadPoolExecutor(options.jobs) as pool:
        if options.check:
            faults = list(zip(defects, pool.map(check, defects), strict=True))
            for defect, fault in faults:
                if fault:
                    print(f"{defect.name}: {fault}")
            unsound = sum(bool(fault) for _, fault in faults)
            print(f"{len(faults)} defects, {unsound} unsound")
            return 1 if unsound else 0
        attempts = []
        work = pool.map(lambda defect: attempt(defect, options.limit, options.agents), defects)
        try:
            for one in work:
                print(
                    f"{one.name}: {one.verdict}, {one.tried} tried, {one.seconds:.1f} s",
                    file=sys.stderr,
                    flush=True,
                )
                attempts.append(one)
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            print(f"interrupted after {len(attempts)} of {len(defects)}", file=sys.stderr)
    show(attempts, Console())
    if not options.only:
        write(attempts, options)
    return 0


if __name__ == "__main__":
    sys.exit(main())
