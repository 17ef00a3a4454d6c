import os
import subprocess
from pathlib import Path

import pytest

from fixwurx_celery.cli.sources import pack
from fixwurx_celery.engine.unpacking import BadArchive, unpack
from fixwurx_celery.engine.workspace import PatchError, Workspace
from tests.support.engine_repos import GCD_FIX, confined, gcd_repo, git_repo, write_tree


def sealed(root: Path, source: Path | None = None) -> Workspace:
    root.mkdir(exist_ok=True)
    workspace = Workspace(root, confined())
    if source is None:
        gcd_repo(workspace.source)
    else:
        source.rename(workspace.source)
    workspace.seal()
    return workspace


def plain_apply(diff: str, folder: Path) -> None:
    subprocess.run(["git", "apply"], cwd=folder, input=diff.encode(), check=True)


def test_a_diff_of_a_copy_applies_to_the_pristine_source(tmp_path: Path) -> None:
    workspace = sealed(tmp_path / "w")
    copy = workspace.copy()
    (copy / "gcd.py").write_text((copy / "gcd.py").read_text().replace("return b\n", "return a\n"))
    (copy / "née.py").write_text("x = 1\n")
    (copy / "__pycache__").mkdir()
    (copy / "__pycache__" / "x.pyc").write_bytes(b"\0")

    diff = workspace.diff(copy)

    assert diff.startswith("diff --git a/gcd.py b/gcd.py\n")
    assert "pycache" not in diff
    fresh = workspace.copy()
    plain_apply(diff, fresh)
    assert (fresh / "née.py").read_text() == "x = 1\n"
    assert workspace.diff(fresh) == diff


@pytest.mark.parametrize("attributes", ["* text eol=crlf\n", "*.py filter=lfs diff=lfs\n"])
def test_line_endings_and_attributes_of_the_tree_do_not_matter(
    tmp_path: Path, attributes: str
) -> None:
    source = write_tree(tmp_path / "s", {".gitattributes": attributes})
    (source / "a.py").write_bytes(b"x = 1\r\ny = 2\r\n")
    workspace = sealed(tmp_path / "w", source)
    copy = workspace.copy()
    assert workspace.changes(copy) == []
    (copy / "a.py").write_bytes(b"x = 1\r\ny = 3\r\n")

    diff = workspace.diff(copy)

    fresh = workspace.copy()
    workspace.apply(diff, fresh)
    assert (fresh / "a.py").read_bytes() == b"x = 1\r\ny = 3\r\n"


def test_an_edit_of_an_ignored_file_counts(tmp_path: Path) -> None:
    source = write_tree(tmp_path / "s", {".gitignore": "gen.py\nnew.py\n", "gen.py": "x = 1\n"})
    workspace = sealed(tmp_path / "w", source)
    copy = workspace.copy()
    write_tree(copy, {"gen.py": "x = 2\n", "new.py": "y = 1\n"})

    assert [change.path for change in workspace.changes(copy)] == ["gen.py"]


def test_a_workspace_inside_another_repository_is_a_world_of_its_own(tmp_path: Path) -> None:
    outer = gcd_repo(tmp_path / "outer")
    git_repo(outer)
    workspace = sealed(outer / "w")
    copy = workspace.copy()

    workspace.apply(GCD_FIX, copy)

    assert "return a\n" in (copy / "gcd.py").read_text()
    assert [change.path for change in workspace.changes(copy)] == ["gcd.py"]
    assert "return b\n" in (outer / "gcd.py").read_text()


@pytest.mark.parametrize(
    "path", ["../escaped.py", "/tmp/escaped.py", "link/escaped.py", ".git/hooks/pre-commit"]
)
def test_a_patch_cannot_write_outside_of_its_copy(tmp_path: Path, path: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    workspace = sealed(tmp_path / "w")
    copy = workspace.copy()
    (copy / "link").symlink_to(tmp_path / "elsewhere")
    diff = f"--- /dev/null\n+++ b/{path}\n@@ -0,0 +1 @@\n+x = 1\n"

    with pytest.raises(PatchError):
        workspace.apply(diff, copy)

    assert not list(tmp_path.rglob("escaped.py"))


def test_a_patch_for_another_text_does_not_apply(tmp_path: Path) -> None:
    workspace = sealed(tmp_path / "w")

    with pytest.raises(PatchError, match=r"does not apply: .*gcd\.py"):
        workspace.apply(GCD_FIX.replace("while b", "while c"), workspace.copy())


def test_a_copy_leaves_out_caches_and_pipes_and_keeps_links(tmp_path: Path) -> None:
    source = gcd_repo(tmp_path / "s")
    git_repo(source)
    write_tree(source, {"__pycache__/gcd.cpython-311.pyc": "stale"})
    os.mkfifo(source / "pipe")
    (source / "alias.py").symlink_to("gcd.py")
    workspace = Workspace(tmp_path / "w", confined())
    unpack(pack(source), workspace.source)

    copy = workspace.copy()

    names = sorted(path.relative_to(copy).as_posix() for path in copy.rglob("*"))
    assert names == ["alias.py", "gcd.py", "tests", "tests/test_gcd.py"]
    assert (copy / "alias.py").readlink() == Path("gcd.py")


def test_equal_trees_are_packed_into_equal_bytes(tmp_path: Path) -> None:
    one, two = gcd_repo(tmp_path / "1"), gcd_repo(tmp_path / "2")
    os.utime(one / "gcd.py", (1, 1))
    (one / "run.sh").write_text("x")
    (one / "run.sh").chmod(0o755)
    os.link(one / "run.sh", one / "same.sh")
    unpack(pack(one), tmp_path / "out")

    (two / "run.sh").write_text("x")
    (two / "run.sh").chmod(0o755)
    (two / "same.sh").write_text("x")
    (two / "same.sh").chmod(0o755)

    assert pack(one) == pack(two)
    assert (tmp_path / "out" / "run.sh").stat().st_mode & 0o111
    assert (tmp_path / "out" / "same.sh").read_text() == "x"


@pytest.mark.parametrize("cut", [0, 10, 200])
def test_a_damaged_packed_source_is_refused(tmp_path: Path, cut: int) -> None:
    data = pack(gcd_repo(tmp_path / "s"))

    with pytest.raises(BadArchive):
        unpack(data[:cut], tmp_path / "out")


def test_a_copy_that_locked_itself_is_still_removed(tmp_path: Path) -> None:
    workspace = sealed(tmp_path / "w")
    copy = workspace.copy()
    write_tree(copy, {"deep/er/file": "x"})
    (copy / "deep" / "er").chmod(0)
    (copy / "deep").chmod(0o500)

    workspace.discard(copy)

    assert not copy.exists()
