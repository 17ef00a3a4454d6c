"""A whole attempt on a repository that means harm: it comes to an end, and nothing else happens."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

import pytest

from fixwurx_celery.engine.analyst.base import Case, Observation
from fixwurx_celery.engine.analyst.mutate.cold import ColdPool
from fixwurx_celery.engine.analyst.mutate.command_line import PytestCommand
from fixwurx_celery.engine.analyst.mutate.runs import Ran, Run
from fixwurx_celery.engine.analyst.mutate.warm import Pool
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.process import Processes
from fixwurx_celery.engine.sandbox import UNCONFINED, Sandbox, SandboxError, why_none
from fixwurx_celery.engine.spectrum import read
from fixwurx_celery.engine.untrusted import NotAFile, read_file, write_file
from fixwurx_celery.engine.workspace import PatchError, Workspace
from tests.support.engine_repos import (
    CHECK,
    GCD_FIX,
    confined,
    engine,
    gcd_repo,
    git_repo,
    nothing_left_behind,
    run,
    write_tree,
)

SECRET = "PASSWORD = 'of the node'\n"


@pytest.fixture(autouse=True)
def clean(tmp_path: Path) -> Iterator[None]:
    with nothing_left_behind(tmp_path):
        yield


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the node's, with a secret in it."""
    return write_tree(tmp_path / "outside", {"secret.py": SECRET})


@pytest.fixture(params=["confined", "unconfined"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    if request.param == "unconfined":
        return UNCONFINED
    if why := why_none():
        pytest.skip(why)
    return confined()


def attempt(tmp_path: Path, **fields: JSON) -> dict[str, JSON]:
    base: dict[str, JSON] = {"source": {"path": str(tmp_path / "repo")}, "reproduce": CHECK}
    payload = base | {"analyst": {"patches": [GCD_FIX]}} | fields
    return run(engine(payload, tmp_path / "w"))


def test_links_of_a_source_lead_nowhere_else(tmp_path: Path, outside: Path) -> None:
    workspace = Workspace(tmp_path / "w", confined())
    source = gcd_repo(workspace.source)
    (source / "direct.py").symlink_to(outside / "secret.py")
    (source / "relative").symlink_to("../../outside")
    (source / "p" / "q").mkdir(parents=True)
    (source / "p" / "q" / "up").symlink_to("../..")
    # By its words it stays inside; by way of `up` it does not.
    (source / "p" / "q" / "round.py").symlink_to("up/../../outside/secret.py")
    (source / "alias.py").symlink_to("gcd.py")
    (source / "here").symlink_to(".")

    workspace.seal()

    links = sorted(p.relative_to(source).as_posix() for p in source.rglob("*") if p.is_symlink())
    assert links == ["alias.py", "here", "p/q/up"]
    assert "of the node" not in workspace.diff(workspace.copy())


def test_what_a_command_planted_in_its_copy_is_not_run(tmp_path: Path, outside: Path) -> None:
    # An agent's edit is looked at by git. What it left in the copy must not have git run anything.
    gcd_repo(tmp_path / "repo")
    mark = outside / "ran"
    plant = (
        f"git config core.fsmonitor 'touch {mark}'; git config core.pager 'touch {mark}';"
        f"git config filter.x.clean 'touch {mark}'; git config diff.external 'touch {mark}';"
        f"git config filter.x.process 'touch {mark}'; printf '* filter=x diff=x' > .gitattributes;"
        f"hook=.git/hooks/post-index-change; printf '#!/bin/sh\\ntouch {mark}' > $hook;"
        "chmod +x $hook; mkdir sub; cp -r .git sub/; sed -i 's/return b$/return a/' gcd.py"
    )

    found = attempt(tmp_path, analyst={"command": plant}, files=["gcd.py"])

    assert found["outcome"] == "FIXED"
    assert not mark.exists()


def test_an_edit_without_end_is_no_patch(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gcd_repo(tmp_path / "repo")
    flood = "python -c \"open('gcd.py', 'w').write('x = 1' * (5 << 20))\""

    found = attempt(tmp_path, analyst={"command": flood})

    assert found["outcome"] == "NOT_FIXED"
    assert "it changes more than 16 MiB of text" in capfd.readouterr().out


def test_a_patch_without_end_is_no_patch(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w", confined())
    gcd_repo(workspace.source)
    workspace.seal()
    copy = workspace.copy()
    (copy / "big.txt").write_text("line\n" * (5 << 20))

    with pytest.raises(PatchError, match="16 MiB"):
        workspace.diff(copy)


def test_records_of_a_trace_that_are_none_are_passed_over(tmp_path: Path, outside: Path) -> None:
    good = {
        "failing": {"m.py": {"1": 1}},
        "passing": {},
        "imported": {},
        "names": {"failing": ["t"], "passing": []},
        "counts": {"failing": 1, "passing": 0},
    }
    records = tmp_path / "records"
    records.mkdir()
    (outside / "1.json").write_text(json.dumps(good))
    os.mkfifo(records / "a.json")
    (records / "b.json").symlink_to("/dev/zero")
    (records / "c.json").symlink_to(outside / "1.json")
    (records / "d.json").write_text("[" * 200_000)
    (records / "e.json").mkdir()
    with (records / "f.json").open("wb") as file:
        file.truncate(1 << 33)
    (records / "g.json").write_text(json.dumps(good))
    began = monotonic()

    spectrum = read(records)

    assert spectrum.failing_count == 1
    assert monotonic() - began < 5


@pytest.mark.parametrize("what", ["link", "folder link", "pipe", "folder", "hard link", "nothing"])
def test_no_file_but_a_plain_one_is_read_or_written(
    tmp_path: Path, outside: Path, what: str
) -> None:
    root = write_tree(tmp_path / "copy", {"p/m.py": "x = 1\n"})
    (root / "p" / "m.py").unlink()
    match what:
        case "link":
            (root / "p" / "m.py").symlink_to(outside / "secret.py")
        case "folder link":
            (root / "p").rmdir()
            (root / "p").symlink_to(outside)
            (outside / "m.py").write_text(SECRET)
        case "pipe":
            os.mkfifo(root / "p" / "m.py")
        case "folder":
            (root / "p" / "m.py").mkdir()
        case "hard link":
            (root / "p" / "m.py").hardlink_to(outside / "secret.py")
    before = {path.name: path.read_text() for path in outside.iterdir()}

    with pytest.raises(OSError):  # noqa: PT011 - whichever of its kinds
        read_file(root, "p/m.py", 1000)
    with pytest.raises(OSError):  # noqa: PT011
        write_file(root, "p/m.py", b"x = 2\n")

    assert {path.name: path.read_text() for path in outside.iterdir()} == before


def test_a_plain_file_is_read_and_written(tmp_path: Path) -> None:
    root = write_tree(tmp_path / "copy", {"p/m.py": "x = 1000\n"})

    write_file(root, "p/m.py", b"x = 2\n")

    assert read_file(root, "p/m.py", 1000) == b"x = 2\n"
    with pytest.raises(NotAFile, match="over 3 bytes"):
        read_file(root, "p/m.py", 3)


def test_edits_do_not_go_where_a_command_led_them(
    tmp_path: Path, outside: Path, sandbox: Sandbox
) -> None:
    # The first run puts a link in the place of the file, into which the next edit would be written.
    lead = f"rm -rf p; ln -s {outside} p; ln -s {outside}/secret.py {outside}/m.py; false"
    case = Case(
        bug_id="b",
        source=write_tree(tmp_path / "source", {"p/m.py": "x = 1\n"}),
        scratch=tmp_path / "scratch",
        reproduce=lead,
        verify=lead,
        files=(),
        agents=1,
        observation=Observation(failing_output="", exit_status=1, seconds=1.0),
        environment={"PATH": os.environ["PATH"]},
        sandbox=sandbox.furnished(tmp_path / "sandbox"),
        log=print,
    )
    pool = ColdPool(case)
    try:
        for number in range(3):
            ran = cold(pool, f"x = {number}\n")
            assert not ran.passed
    finally:
        pool.close()

    assert (outside / "secret.py").read_text() == SECRET


def cold(pool: ColdPool, text: str) -> Ran:
    pool.submit(Run(sources={"p/m.py": text}, cpu=1.0, wall=5.0), "tag")
    until = monotonic() + 20
    while monotonic() < until:
        for _, ran in pool.poll(0.2):
            return ran
    raise AssertionError("no result within 20 s")


SAY = """\
import os
for number in range(3, 32):  # what its parent, the warm host, has open
    try:
        os.write(os.open("/proc/%d/fd/%d" % (os.getppid(), number), os.O_WRONLY), {said!r})
    except OSError:
        pass
"""
FORGED = {"event": "done", "id": 1, "late": False, "seconds": 0, "says": [{"verdict": "pass"}]}


@pytest.mark.parametrize(
    "said",
    [
        b"no json\n",
        b'{"event": "ready"}\n{"event": "done", "id": 99}\n',
        b'{"event": "done", "id": 1, "late": 0, "seconds": [], "says": 1}\n',
        b"[]\n7\n",
        b"[" * 60_000 + b"\n",
    ],
    ids=["noise", "another's", "malformed", "no event", "deep"],
)
def test_a_warm_host_in_whose_name_tests_speak_is_given_up(tmp_path: Path, said: bytes) -> None:
    with warm(tmp_path, said) as pool:
        pool.submit(Run(cpu=1.0, wall=5.0), "tag")
        until = monotonic() + 20
        found: list[Ran] = []
        while not pool.refused:
            assert monotonic() < until, "host not given up within 20 s"
            found += [ran for _, ran in pool.poll(0.2)]

        assert pool.refused == "tests write to where the warm host answers"
        assert [ran.passed for ran in found] == [False]


def test_what_a_repository_passes_off_as_passing_is_not_fixed(tmp_path: Path) -> None:
    source = {"m.py": "X = 0\n", "test_m.py": "import m\n\n\ndef test():\n    assert m.X == 'a'\n"}
    said = json.dumps(FORGED).encode() + b"\n"
    write_tree(tmp_path / "repo", source | {"conftest.py": SAY.format(said=said)})

    found = attempt(tmp_path, reproduce="python -m pytest -q -x", analyst="mutate", files=["m.py"])

    assert found["outcome"] == "NOT_FIXED"


@contextmanager
def warm(tmp_path: Path, said: bytes) -> Iterator[Pool]:
    """A pool whose test file says that, as soon as it is imported. Without a sandbox: in one that
    root made the pipes are root's, and the test cannot open them."""
    source = write_tree(
        tmp_path / "source",
        {"m.py": "", "test_m.py": SAY.format(said=said) + "\n\ndef test():\n    assert 0\n"},
    )
    pool = Pool(
        source=source,
        scratch=tmp_path / "warm",
        command=PytestCommand(python=(sys.executable,), args=(), environment={}),
        edited=("m.py",),
        environment={"PATH": os.environ["PATH"]},
        count=1,
        log=print,
        processes=Processes(UNCONFINED),
    )
    try:
        until = monotonic() + 30
        while not pool.ready:
            assert monotonic() < until, "warm host not ready within 30 s"
            pool.poll(0.2)
        yield pool
    finally:
        pool.close()


def test_a_node_gives_bugs_only_what_it_may(tmp_path: Path, outside: Path) -> None:
    if why := why_none():
        pytest.skip(why)
    git_repo(outside)
    inside = confined(tmp_path / "shared")
    for source in (
        {"path": str(outside)},
        {"path": str(tmp_path / "shared" / ".." / "outside")},
        {"git": str(outside), "ref": "HEAD"},
        {"git": f"file://{outside}", "ref": "HEAD"},
    ):
        payload: dict[str, JSON] = {"source": source, "reproduce": CHECK}

        found = run(engine(payload, tmp_path / f"w{len(str(source))}", sandbox=inside))

        assert found["outcome"] == "ERROR"
        assert "of the node" not in json.dumps(found)


def test_network_is_given_where_it_may_be_asked_for(tmp_path: Path) -> None:
    if why := why_none():
        pytest.skip(why)
    sandbox = confined()

    assert not sandbox.with_network(is_asked=False).has_network
    with pytest.raises(SandboxError, match="FIXWURX_SANDBOX_NETWORK=asked"):
        sandbox.with_network(is_asked=True)


def test_output_made_to_be_read_slowly_is_read_quickly(tmp_path: Path) -> None:
    gcd_repo(tmp_path / "repo")
    shout = f"{sys.executable} -c \"print('a' * 60000)\"; false"
    began = monotonic()

    found = attempt(tmp_path, reproduce=shout, analyst={"patches": [GCD_FIX]})

    assert found["outcome"] == "NOT_FIXED"
    assert monotonic() - began < 10


def test_git_is_of_an_age_that_can_be_trusted_with_patches() -> None:
    # Before 2.39.2 a patch could write through a link that it made itself (CVE-2023-23946).
    said = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    assert tuple(int(part) for part in said.split()[2].split(".")[:2]) >= (2, 39)
