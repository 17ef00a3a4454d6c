import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixwurx_celery.cli.sources import pack
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.sandbox import UNCONFINED
from fixwurx_celery.engine.triangulation import CHECKPOINT_BYTES, Triangulation
from tests.support.engine_repos import (
    BARE,
    CHECK,
    GCD_FIX,
    PYTEST,
    MemoryArtifacts,
    engine,
    gcd_repo,
    git_repo,
    is_asleep,
    nothing_left_behind,
    processes_naming,
    run,
    wait_until,
    write_tree,
)

WRONG = GCD_FIX.replace("+    return a", "+    return 0")
SED = {"command": "sed -i 's/return b$/return a/' gcd.py"}


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with nothing_left_behind(tmp_path):
        yield


def payload(tmp_path: Path, **fields: JSON) -> dict[str, JSON]:
    repo = tmp_path / "repo"
    if not repo.exists():
        gcd_repo(repo)
    base: dict[str, JSON] = {"source": {"path": str(repo)}, "reproduce": CHECK}
    return base | {"analyst": {"patches": [GCD_FIX]}} | fields


def outcome(tmp_path: Path, **fields: JSON) -> dict[str, JSON]:
    return run(engine(payload(tmp_path, **fields), tmp_path / "w"))


def test_a_given_patch_is_verified_and_handed_out(tmp_path: Path) -> None:
    found = outcome(tmp_path, reproduce=PYTEST, analyst={"patches": [WRONG, GCD_FIX]})

    assert found["outcome"] == "FIXED"
    assert found["edit"] == "patch 2 of 2"
    assert found["candidates_tried"] == 2
    assert isinstance(found["phase_seconds"], dict)
    assert {"TRIAGE", "REPRO", "ANALYZE", "PATCH", "VERIFY"} <= set(found["phase_seconds"])
    subprocess.run(
        ["git", "apply"], cwd=tmp_path / "repo", input=str(found["patch"]).encode(), check=True
    )
    assert "    return a\n" in (tmp_path / "repo" / "gcd.py").read_text()


def test_the_users_tree_is_left_alone(tmp_path: Path) -> None:
    before = {p: p.read_bytes() for p in gcd_repo(tmp_path / "repo").rglob("*.py")}

    outcome(tmp_path, analyst=SED)

    repo = tmp_path / "repo"
    assert {p: p.read_bytes() for p in repo.rglob("*") if p.is_file()} == before


def test_no_failure_is_not_reproduced(tmp_path: Path) -> None:
    found = outcome(tmp_path, reproduce="true")

    assert found["outcome"] == "NOT_REPRODUCED"
    assert "patch" not in found


def test_candidates_that_fail_leave_the_bug_not_fixed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = outcome(tmp_path, analyst={"patches": [WRONG]})

    assert (found["outcome"], found["candidates_tried"]) == ("NOT_FIXED", 1)
    assert "refused, reproduce fails with 1: AssertionError: 0" in capfd.readouterr().out


TEST_EDIT = """\
--- a/tests/test_gcd.py
+++ b/tests/test_gcd.py
@@ -8,2 +8,2 @@
 def test_lcm_of_zero():
-    assert lcm(0, 3) == 0
+    assert True
"""
NEW_LINK = """\
diff --git a/x b/x
new file mode 120000
--- /dev/null
+++ b/x
@@ -0,0 +1 @@
+/etc/passwd
\\ No newline at end of file
"""


@pytest.mark.parametrize(
    ("diff", "reason"),
    [
        (GCD_FIX.replace("while b", "while c"), "does not apply"),
        ("this is no diff", "does not apply"),
        (GCD_FIX.replace("gcd.py", "../gcd.py"), "does not apply"),
        (TEST_EDIT, "edits tests/test_gcd.py, a test file"),
        (NEW_LINK, "makes x a link"),
        (
            "--- /dev/null\n+++ b/pytest.py\n@@ -0,0 +1 @@\n+x = 1\n",
            "edits pytest.py, which configures",
        ),
    ],
)
def test_a_patch_that_must_not_be_is_refused_with_its_reason(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], diff: str, reason: str
) -> None:
    found = outcome(tmp_path, analyst={"patches": [diff]})

    assert found["outcome"] == "NOT_FIXED"
    assert f"patch 1 of 1: refused, {reason}" in capfd.readouterr().out


def test_verify_has_the_last_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = outcome(tmp_path, verify=f"echo 'lcm is wrong'; exit 7; {CHECK}")

    assert found["outcome"] == "NOT_FIXED"
    assert "verify fails with 7: lcm is wrong" in capfd.readouterr().out


def test_a_fix_that_passes_by_luck_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    # Without a sandbox, for in one a command leaves nothing that the next could find.
    flaky = payload(tmp_path, reproduce=f"{CHECK} && mkdir {tmp_path / 'once'}")

    found = run(engine(flaky, tmp_path / "w", sandbox=UNCONFINED))

    assert found["outcome"] == "NOT_FIXED"
    assert "passed once and failed the second time" in capfd.readouterr().out


def test_the_best_of_those_that_pass_together_wins(tmp_path: Path) -> None:
    other = GCD_FIX.replace("+    return a", "+    return a or b")
    bug = engine(payload(tmp_path, analyst={"patches": [GCD_FIX, other]}), tmp_path / "w", agents=2)

    assert run(bug)["edit"] == "patch 1 of 2"


def test_a_hang_is_a_failure_and_a_candidate_that_hangs_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    hang = GCD_FIX.replace("+    return a", "+    while True: pass")
    repo = gcd_repo(tmp_path / "repo")
    subprocess.run(["git", "apply"], cwd=repo, input=hang.encode(), check=True)
    mend = GCD_FIX.replace("-    return b", "-    while True: pass")
    still = mend.replace("+    return a", "+    while 1: pass")

    found = outcome(tmp_path, analyst={"patches": [still, mend]}, reproduce_timeout=1)

    assert found["outcome"] == "FIXED"
    log = capfd.readouterr().out
    assert "reproduced: no end within 1 s" in log
    assert "patch 1 of 2: refused, reproduce did not end within 1 s" in log


def test_forked_children_of_a_hang_are_gone(tmp_path: Path) -> None:
    fork = "(setsid sh -c 'trap \"\" ABRT TERM; sleep 1000' &) ; sleep 1000"

    found = outcome(tmp_path, reproduce=f"{CHECK} || {{ {fork} ; }}", reproduce_timeout=0.5)

    assert found["outcome"] == "FIXED"


def test_a_command_edits_in_place_and_is_told_about_the_bug(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tell = "echo $FIXWURX_BUG_ID $FIXWURX_AGENT $FIXWURX_FILES; grep -c Assertion $FIXWURX_FAILURE"

    found = outcome(tmp_path, analyst={"command": f"{tell}; git status -s; {SED['command']}"})

    assert found["outcome"] == "FIXED"
    assert "+    return a" in str(found["patch"])
    log = capfd.readouterr().out
    assert "agent 0 | BUG-1 0 gcd.py" in log
    assert "agent 0 | 1" in log


def test_agents_of_a_command_work_at_once_and_the_first_survivor_wins(tmp_path: Path) -> None:
    # Agent 0 waits for agent 2, so this ends only if they run together; agent 1 never ends.
    meet = tmp_path / "meet"
    command = (
        f"case $FIXWURX_AGENT in 0) while [ ! -e {meet} ]; do sleep 0.05; done;; "
        f"1) sleep 1000;; 2) touch {meet};; esac; {SED['command']}"
    )

    found = run(engine(payload(tmp_path, analyst={"command": command}), tmp_path / "w", agents=3))

    assert found["outcome"] == "FIXED"
    assert "agent 1" not in str(found["edit"])


def test_edits_of_a_command_outside_files_are_refused_and_notes_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_tree(gcd_repo(tmp_path / "repo"), {"other.py": "x = 1\n"})
    fields: dict[str, JSON] = {"files": ["gcd.py"]}

    bad = outcome(tmp_path, analyst={"command": f"echo y >> other.py; {SED['command']}"}, **fields)
    log = capfd.readouterr().out
    good = run(
        engine(
            payload(tmp_path, analyst={"command": f"echo y > notes; {SED['command']}"}, **fields),
            tmp_path / "w2",
        )
    )

    assert bad["outcome"] == "NOT_FIXED"
    assert "agent 0: refused, edits other.py, outside files (gcd.py)" in log
    assert good["outcome"] == "FIXED"
    assert "notes" not in str(good["patch"])


def test_a_command_that_fails_is_no_answer(tmp_path: Path) -> None:
    found = outcome(tmp_path, analyst={"command": "echo 429 too many requests; exit 1"})

    assert found["outcome"] == "ERROR"
    assert found["reason"] == (
        "analyst.command failed: agent 0 ended with 1 and made no edit; "
        "see the log for what it said"
    )


def test_a_command_without_an_idea_is_an_answer(tmp_path: Path) -> None:
    assert outcome(tmp_path, analyst={"command": "true"})["outcome"] == "NOT_FIXED"


def test_a_commit_is_checked_out_of_a_repository(tmp_path: Path) -> None:
    repo = gcd_repo(tmp_path / "repo")
    commit = git_repo(repo)
    write_tree(repo, {"gcd.py": "raise SystemExit('a later commit')\n"})
    git_repo(repo)

    for number, ref in enumerate((commit, commit[:10])):
        source: JSON = {"git": f"file://{repo}", "ref": ref}
        found = run(engine(payload(tmp_path, source=source), tmp_path / f"w{number}"))

        assert found["outcome"] == "FIXED"


def test_a_packed_source_comes_from_the_artifacts(tmp_path: Path) -> None:
    artifacts = MemoryArtifacts()
    ref = artifacts.put(pack(gcd_repo(tmp_path / "repo")))
    fields = payload(tmp_path, source={"artifact": ref})

    assert run(engine(fields, tmp_path / "w", artifacts=artifacts))["outcome"] == "FIXED"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": {"path": "/no/such"}}, "source.path /no/such is not a folder on this node"),
        ({"source": {"git": "file:///no/such", "ref": "main"}}, "cannot fetch main of file:///no"),
        (
            {"source": {"git": "https://u:secret@localhost:1/x", "ref": "m"}},
            "https://***@localhost",
        ),
        ({"source": {"artifact": "gone"}}, "source.artifact gone cannot be read"),
        ({"source": {"svn": "x"}}, "payload.source is {'svn': 'x'}; give {path: folder}"),
        ({"reproduce": " "}, "payload.reproduce is ' '; give it a non-empty text"),
        ({"reproduce": "no-such-program x"}, "reproduce cannot run on this node (exit 127)"),
        ({"reproduce": f"{BARE} python -m pytest -q gone.py"}, "a file it names is missing"),
        ({"analyst": "guess"}, "payload.analyst is 'guess'; give mutate, {command: program}"),
        ({"analyst": {"patches": []}}, "payload.analyst.patches must be a non-empty list"),
        ({"files": ["/etc"]}, "payload.files holds /etc; give paths below the source's root"),
        ({"verify_timeout": -1}, "payload.verify_timeout is -1; give 0 to 86400 seconds"),
        ({"colour": 1}, "payload has 'colour'; known fields are analyst, files"),
    ],
)
def test_trouble_is_an_error_that_names_the_way_out(
    tmp_path: Path, fields: dict[str, JSON], reason: str
) -> None:
    found = outcome(tmp_path, **fields)

    assert found["outcome"] == "ERROR"
    assert reason in str(found["reason"])
    assert "secret" not in str(found["reason"])
    assert "\n" not in str(found["reason"])


def test_a_workspace_inside_another_repository_works(tmp_path: Path) -> None:
    outer = write_tree(tmp_path / "outer", {"gcd.py": "outer\n"})
    git_repo(outer)

    found = run(engine(payload(tmp_path, analyst=SED), outer / "w"))

    assert found["outcome"] == "FIXED"
    assert (outer / "gcd.py").read_text() == "outer\n"


def tick_until(bug: Triangulation, phase: str) -> None:
    for _ in range(200):
        if bug.phase == phase or bug.all_done():
            break
        bug.execute_tick()
    assert bug.phase == phase


def test_another_node_goes_on_where_the_checkpoint_was_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    counter = tmp_path / "runs"
    fields = payload(
        tmp_path,
        reproduce=f"echo >> {counter}; {CHECK}",
        analyst={"patches": [WRONG, GCD_FIX]},
    )
    first = engine(fields, tmp_path / "w1", sandbox=UNCONFINED)  # so that it can count
    tick_until(first, "VERIFY")
    tick_until(first, "ANALYZE")
    saved = json.loads(json.dumps(first.checkpoint()))
    first.cancel()
    runs_before = len(counter.read_text())
    capfd.readouterr()

    second = engine(fields, tmp_path / "w2", checkpoint=saved, sandbox=UNCONFINED)
    found = run(second)

    assert found["outcome"] == "FIXED"
    assert found["candidates_tried"] == 2
    log = capfd.readouterr().out
    assert "resumed: reproduced and localised on an earlier node" in log
    assert "reproduced:" not in log
    assert "patch 1 of 2" not in log
    # One run to verify the second patch, one to confirm it.
    assert len(counter.read_text()) == runs_before + 2


def test_what_a_command_cost_is_not_spent_again(tmp_path: Path) -> None:
    counter = tmp_path / "runs"
    fields = payload(tmp_path, analyst={"command": f"echo >> {counter}; {SED['command']}"})
    first = engine(fields, tmp_path / "w1", sandbox=UNCONFINED)  # so that it can count
    tick_until(first, "PATCH")
    saved = json.loads(json.dumps(first.checkpoint()))
    first.cancel()

    found = run(engine(fields, tmp_path / "w2", checkpoint=saved, sandbox=UNCONFINED))

    assert found["outcome"] == "FIXED"
    assert counter.read_text() == "\n"


@pytest.mark.parametrize("saved", [None, 3, {}, {"observation": 1}, {"digest": "x"}, ["a"]])
def test_a_checkpoint_that_is_not_ours_is_left_aside(tmp_path: Path, saved: JSON) -> None:
    assert run(engine(payload(tmp_path), tmp_path / "w", checkpoint=saved))["outcome"] == "FIXED"


def test_a_malformed_observation_starts_from_the_beginning(tmp_path: Path) -> None:
    first = engine(payload(tmp_path), tmp_path / "w1")
    tick_until(first, "ANALYZE")
    saved = first.checkpoint()
    first.cancel()
    assert isinstance(saved, dict)
    saved["observation"] = {"failing_output": "x"}

    assert run(engine(payload(tmp_path), tmp_path / "w2", checkpoint=saved))["outcome"] == "FIXED"


def test_a_checkpoint_is_bounded(tmp_path: Path) -> None:
    lines = "".join(f"x{n} = {n}\n" for n in range(9000))
    write_tree(
        tmp_path / "repo",
        {f"m{n}.py": lines for n in range(9)} | {"gcd.py": "import m0,m1,m2,m3,m4,m5,m6,m7,m8\n"},
    )
    shout = "print(chr(0) * 100_000); assert False"
    big = "x" * 50_000
    fields = payload(
        tmp_path,
        reproduce=f'python -c "import gcd; {shout}"',
        analyst={"patches": [big, big + "y"]},
    )
    bug = engine(fields, tmp_path / "w", agents=2)

    tick_until(bug, "PATCH")

    assert len(json.dumps(bug.checkpoint())) <= CHECKPOINT_BYTES
    bug.cancel()


def test_a_phase_is_said_before_its_work_begins(tmp_path: Path) -> None:
    # A limit on a clock must not pay for what was done before the outside heard of it.
    fields = payload(tmp_path, analyst={"patches": [WRONG, GCD_FIX]})
    workspace = tmp_path / "w"
    bug = engine(fields, workspace)
    begun: list[tuple[str, int]] = []
    while not bug.all_done():
        if not begun or bug.phase != begun[-1][0]:
            begun.append((bug.phase, len([*workspace.glob("copy-*")])))
        bug.execute_tick()

    phases = ["TRIAGE", "REPRO", "ANALYZE", *["PATCH", "VERIFY", "ANALYZE"], "PATCH", "VERIFY"]
    assert begun == [(phase, 0) for phase in phases]


def test_bringing_the_source_is_triage_however_long_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 1000;")
    source: JSON = {"git": "ssh://localhost/repo", "ref": "main"}
    bug = engine(payload(tmp_path, source=source), tmp_path / "w")

    for _ in range(3):
        bug.execute_tick()

    assert (bug.phase, bug.all_done()) == ("TRIAGE", False)
    assert list((tmp_path / "w").glob("source/*")) == []
    bug.cancel()


def test_cancel_ends_everything_between_ticks(tmp_path: Path) -> None:
    seconds = f"1000.{os.getpid()}"
    command = f"(setsid sleep 999 &) ; sleep {seconds}"
    bug = engine(payload(tmp_path, analyst={"command": command}), tmp_path / "w", agents=2)
    tick_until(bug, "ANALYZE")
    while not is_asleep(seconds):
        bug.execute_tick()
    assert processes_naming(str(tmp_path))

    bug.cancel()
    bug.cancel()

    assert bug.all_done()
    assert isinstance(bug.outcome, dict)
    assert bug.outcome["outcome"] == "CANCELLED"
    assert processes_naming(str(tmp_path)) == []


def test_the_engine_reports_between_while_a_command_runs(tmp_path: Path) -> None:
    bug = engine(payload(tmp_path, reproduce="sleep 2.5; exit 1"), tmp_path / "w")
    ticks = 0
    while bug.phase != "ANALYZE":
        bug.execute_tick()
        ticks += bug.phase == "REPRO"
    bug.cancel()

    # Two runs of 2.5 s, to reproduce and to trace; the last tick of all is in the next phase.
    assert ticks >= 5


def test_the_engine_runs_by_hand(tmp_path: Path) -> None:
    file = tmp_path / "bug.json"
    file.write_text(json.dumps(payload(tmp_path) | {"id": "B", "agents": 2, "timeout": 9}))
    env = {**os.environ, "TMPDIR": str(tmp_path)}

    done = subprocess.run(
        [sys.executable, "-m", "fixwurx_celery.engine", str(file)],
        capture_output=True, text=True, check=False, timeout=60, env=env,
    )  # fmt: skip

    assert done.returncode == 0
    assert json.loads(done.stdout)["outcome"] == "FIXED"
    assert "reproduced: exit 1" in done.stderr
    assert list(tmp_path.glob("fixwurx-*")) == []


@pytest.mark.parametrize("sandbox", ["auto", "off"])
def test_nothing_survives_a_killed_engine(tmp_path: Path, sandbox: str) -> None:
    seconds = f"1001.{os.getpid()}"
    command = f"(setsid sleep 999 &) ; sleep {seconds}"
    file = tmp_path / "bug.json"
    file.write_text(json.dumps(payload(tmp_path, analyst={"command": command})))
    with subprocess.Popen(
        [sys.executable, "-m", "fixwurx_celery.engine", str(file)],
        env={**os.environ, "TMPDIR": str(tmp_path), "FIXWURX_SANDBOX": sandbox},
        stderr=subprocess.DEVNULL,
    ) as host:
        try:
            wait_until(lambda: is_asleep(seconds), "the command started", limit_s=20)
        finally:
            host.kill()

    wait_until(lambda: not processes_naming(str(tmp_path)), "everything gone", limit_s=5)
    assert not is_asleep(seconds)
