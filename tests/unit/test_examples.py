"""Every example fails as it is, and passes with the edit that its author has in mind."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from tests.support.surroundings import ROOT

EXAMPLES = ROOT / "examples"
PASSES_AS_IT_IS = "leap-second-table"
NEVER_PASSES = "rounding-contradiction"
SLOWEST_RUN_S = 30.0


class Fix(NamedTuple):
    path: str
    broken: str
    right: str


FIXES = {
    "retry-after-header": Fix(
        "src/polite_client/retry.py",
        "return mktime_tz(parsed) - current",
        "return max(mktime_tz(parsed) - current, 0)",
    ),
    "ttl-cache-expiry": Fix(
        "ttlcache/cache.py", "return self._timer() <= expires", "return self._timer() < expires"
    ),
    "month-arithmetic": Fix(
        "src/calmath/delta.py",
        "last = monthrange(start.year, month)[1]",
        "last = monthrange(year, month)[1]",
    ),
    "choice-parameter": Fix("argkit/types.py", "return normed", "return known[normed]"),
    "interleave-falsy-items": Fix(
        "streams.py",
        "return (item for item in turns if item)",
        "return (item for item in turns if item is not _MISSING)",
    ),
    "interval-overlap": Fix(
        "intervals/interval.py",
        "return self.closed_left or other.closed_right",
        "return self.closed_left and other.closed_right",
    ),
    "blueprint-url-prefix": Fix(
        "src/microweb/routing.py",
        'full = prefix.lstrip("/") + "/" + path.lstrip("/")',
        'full = prefix.rstrip("/") + "/" + path.lstrip("/")',
    ),
    "hyperbolic-evaluation": Fix("exact/hyperbolic.py", "if tanm == 0:", "if tanhm == 0:"),
    "duration-field-precision": Fix(
        "src/schemas/fields.py", "return int(amount)", "return int(round(amount))"
    ),
    "progress-of-nothing": Fix("meter.py", "if self.total:", "if self.total is not None:"),
    "sorted-list-range": Fix(
        "ordered.py",
        "stop = bisect_right(piece, high) if inclusive[0] else bisect_left(piece, high)",
        "stop = bisect_right(piece, high) if inclusive[1] else bisect_left(piece, high)",
    ),
    "accept-header-order": Fix(
        "src/negotiate.py",
        "ranges.sort(key=lambda r: (r.quality, r.specificity))",
        "ranges.sort(key=lambda r: (r.quality, r.specificity), reverse=True)",
    ),
    "batch-fill-filter": Fix(
        "filters/sequences.py",
        "row += [fill] * (width - len(row) - 1)",
        "row += [fill] * (width - len(row))",
    ),
    "build-order": Fix(
        "src/forge/plan.py",
        "ready = sorted(name for name, required in waiting.items() if required < done)",
        "ready = sorted(name for name, required in waiting.items() if required <= done)",
    ),
    "invoice-discount": Fix(
        "billing/invoice.py",
        "return clamp(wanted, self.most_discount_cents, 0)",
        "return clamp(wanted, 0, self.most_discount_cents)",
    ),
    "knapsack-plan": Fix(
        "src/packing/knapsack.py",
        "room -= parcels[index - 1].value",
        "room -= parcels[index - 1].weight",
    ),
    "image-histogram": Fix(
        "raster/histogram.py",
        "table = [round((s - lowest) * (LEVELS + 1) / spread) if s else 0 for s in sums]",
        "table = [round((s - lowest) * (LEVELS - 1) / spread) if s else 0 for s in sums]",
    ),
    "text-wrap-hangs": Fix("reflow.py", "low = middle", "low = middle + 1"),
    "worker-pool-hangs": Fix(
        "src/pool/pool.py",
        "for _ in range(self._size - 1):",
        "for _ in range(self._size):",
    ),
    "toolkit": Fix(
        "src/toolkit/graph/heap.py",
        "if child < len(self._heap) and self._is_cheaper(child, place):",
        "if child < len(self._heap) and self._is_cheaper(child, cheapest):",
    ),
    "sexagesimal-scalars": Fix("src/plainscalars.py", "return total", "return sign * total"),
    "self-loop-degree": Fix(
        "netgraph/graph.py",
        "return len(neighbours)",
        "return len(neighbours) + (node in neighbours)",
    ),
}


def manifest() -> dict[str, dict[str, Any]]:
    bugs = yaml.safe_load((EXAMPLES / "bugs.yaml").read_text())["bugs"]
    return {bug["id"]: bug for bug in bugs}


def copied(name: str, tmp_path: Path) -> Path:
    tree = tmp_path / name
    junk = shutil.ignore_patterns("__pycache__", ".pytest_cache")
    shutil.copytree(EXAMPLES / name, tree, ignore=junk)
    return tree


def apply(fix: Fix, tree: Path) -> None:
    source = tree / fix.path
    lines = source.read_text().splitlines()
    places = [number for number, line in enumerate(lines) if line.strip() == fix.broken]
    assert len(places) == 1, f"{fix.path}: {fix.broken!r} stands on {len(places)} lines, not on one"
    line = lines[places[0]]
    lines[places[0]] = line[: len(line) - len(line.lstrip())] + fix.right
    source.write_text("\n".join(lines) + "\n")


def passes(command: str, tree: Path, limit_s: float) -> bool:
    """Whether the command succeeds in time; nothing that it started is left running."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    child = subprocess.Popen(
        command,
        shell=True,
        cwd=tree,
        env=os.environ | {"PATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return child.wait(limit_s) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with contextlib.suppress(ProcessLookupError):  # the whole session has ended by itself
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def reproduces(bug: dict[str, Any], tree: Path) -> bool:
    return not passes(bug["reproduce"], tree, bug.get("reproduce_timeout", SLOWEST_RUN_S))


def test_the_manifest_lists_every_folder_once() -> None:
    listed = [bug["id"] for bug in yaml.safe_load((EXAMPLES / "bugs.yaml").read_text())["bugs"]]
    folders = {path.name for path in EXAMPLES.iterdir() if (path / "tests").is_dir()}

    assert len(listed) == len(set(listed))
    assert set(listed) == folders
    assert all(bug["source"] == {"path": f"./{name}"} for name, bug in manifest().items())


def test_the_table_of_fixes_leaves_out_only_what_has_none() -> None:
    assert set(manifest()) - set(FIXES) == {PASSES_AS_IT_IS, NEVER_PASSES}


def test_the_readme_names_every_example() -> None:
    rows = (EXAMPLES / "README.md").read_text().splitlines()
    named = [row[1:].split()[0] for row in rows if row.startswith("| ")]

    assert sorted(named[1:]) == sorted(manifest())


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FIXES))
def test_example_fails_until_its_line_is_right(name: str, tmp_path: Path) -> None:
    bug, tree = manifest()[name], copied(name, tmp_path)
    assert reproduces(bug, tree)

    apply(FIXES[name], tree)

    assert not reproduces(bug, tree)
    if "verify" in bug:
        assert passes(bug["verify"], tree, SLOWEST_RUN_S)


@pytest.mark.slow
def test_the_command_of_its_analyst_repairs_the_example(tmp_path: Path) -> None:
    bug, tree = manifest()["sexagesimal-scalars"], copied("sexagesimal-scalars", tmp_path)

    assert passes(bug["analyst"]["command"], tree, SLOWEST_RUN_S)

    assert not reproduces(bug, tree)


@pytest.mark.slow
def test_only_the_second_of_the_given_patches_repairs_the_example(tmp_path: Path) -> None:
    bug = manifest()["self-loop-degree"]
    verdicts = []
    for number, patch in enumerate(bug["analyst"]["patches"]):
        tree = copied("self-loop-degree", tmp_path / str(number))
        subprocess.run(["git", "apply", EXAMPLES / patch], cwd=tree, check=True)
        verdicts.append(not reproduces(bug, tree))

    assert verdicts == [False, True]


@pytest.mark.slow
def test_the_one_that_cannot_be_reproduced_passes(tmp_path: Path) -> None:
    assert not reproduces(manifest()[PASSES_AS_IT_IS], copied(PASSES_AS_IT_IS, tmp_path))


@pytest.mark.slow
def test_the_one_that_nobody_can_fix_fails_whichever_way_it_rounds(tmp_path: Path) -> None:
    bug, tree = manifest()[NEVER_PASSES], copied(NEVER_PASSES, tmp_path)
    assert reproduces(bug, tree)

    apply(Fix("prices.py", "if 2 * rest >= step:", "if 2 * rest > step:"), tree)

    assert reproduces(bug, tree)
