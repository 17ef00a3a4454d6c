"""The folders of an attempt: the pristine source, clean copies of it, and patches between them.

<root>/source    pristine; read by everyone, written by nobody after it was brought
<root>/base.git  its snapshot, kept apart from every work tree, so nothing in one can alter it
<root>/copy-N    a clean copy for one run
<root>/out       outputs of commands;  <root>/tmp their temporary files;  <root>/scratch
<root>/sandbox   what every command's sandbox shows of our making

What commands of the repository wrote is theirs: it is looked at by git in the sandbox, or as text
of bounded size, and no path below it is followed through a link.
"""

import itertools
import os
import shlex
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fixwurx_celery.engine.process import environment
from fixwurx_celery.engine.sandbox import Sandbox, SandboxError

# Never part of a source: repositories' own data and what tools leave behind.
LEFT_OUT = frozenset(
    {".git", ".hg", ".svn", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".tox"}
)
# New files that are traces of running something, never part of a fix.
TRACES = (
    "__pycache__/", "*.py[cod]", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".hypothesis/",
    ".coverage", ".coverage.*", ".tox/", "*.egg-info/", ".aider*", "*.orig", "*.rej", "*~",
)  # fmt: skip
GIT_LIMIT_S = 120.0
GIT = ("git", "-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false")
MAX_SAID_BYTES = 4000
MAX_PRINTED_BYTES = 16 << 20  # by git: a patch that a person could read is a thousandth of it


class SourceError(RuntimeError):
    """The source could not be brought here; no answer about the bug, another node may do better."""


class PatchError(ValueError):
    """The patch cannot be applied to the pristine source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One path that differs from the pristine source."""

    path: str
    status: str  # as git names it: A, M, D, T
    mode: str  # of the new side


class Workspace:
    """One attempt's private folder."""

    def __init__(self, root: Path, sandbox: Sandbox) -> None:
        self.root = root.resolve()
        self.sandbox = sandbox.furnished(self.root / "sandbox")
        self.source = self.root / "source"
        self.scratch = self.root / "scratch"
        self.out = self.root / "out"
        self.tmp = self.root / "tmp"
        for folder in (self.scratch, self.out, self.tmp):
            folder.mkdir(parents=True, exist_ok=True)
        self.environment = environment(os.environ, scratch=self.tmp, sandbox=sandbox)
        self._numbers = itertools.count(1)
        self._base = self.root / "base.git"
        self._base.mkdir(exist_ok=True)
        sandbox.give(self._base)
        self._tree = ""

    # Git: never the user's configuration, hooks, attributes or an enclosing repository.

    def _git_environment(self, index: Path | None = None) -> dict[str, str]:
        env = dict(self.environment)
        env |= {
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CEILING_DIRECTORIES": str(self.root),
            "GIT_OPTIONAL_LOCKS": "0",
            "LC_ALL": "C",
        }
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        return env

    def git(
        self, *args: str, cwd: Path, index: Path | None = None, data: bytes | None = None
    ) -> bytes:
        """Run a local git command and return what it prints; a failure is a `SourceError`."""
        return self._run(f"git {args[0]}", [*GIT, *args], cwd=cwd, index=index, data=data)

    def _run(
        self,
        what: str,
        command: Sequence[str],
        *,
        cwd: Path,
        index: Path | None = None,
        data: bytes | None = None,
    ) -> bytes:
        with (
            tempfile.TemporaryFile(dir=self.out) as printed,
            tempfile.TemporaryFile(dir=self.out) as errors,
        ):
            try:
                done = subprocess.run(
                    self.sandbox.argv(
                        command, cwd=cwd, writes=(cwd, self._base), seconds=GIT_LIMIT_S
                    ),
                    cwd=cwd,
                    env=self._git_environment(index),
                    input=data if data is not None else b"",
                    stdout=printed,
                    stderr=errors,
                    timeout=GIT_LIMIT_S,
                    check=False,
                )
            except FileNotFoundError as problem:
                raise SourceError("git is not on the PATH of this node; install git") from problem
            except subprocess.TimeoutExpired as problem:
                raise SourceError(f"{what} in {cwd} took over {GIT_LIMIT_S:.0f} s") from problem
            if done.returncode:
                errors.seek(0)
                said = errors.read(MAX_SAID_BYTES).decode(errors="replace").strip()
                if said.startswith("bwrap: "):
                    raise SandboxError(f"the sandbox could not be built: {said}")
                raise SourceError(f"{what} failed in {cwd}: {'; '.join(said.splitlines())}")
            if printed.tell() > MAX_PRINTED_BYTES:
                raise PatchError(f"it changes more than {MAX_PRINTED_BYTES >> 20} MiB of text")
            printed.seek(0)
            return printed.read()

    def seal(self) -> None:
        """Record the pristine source; every later diff is taken against this.

        Links that lead out of it are removed: nobody who reads it is to be led to files of the
        node, whose text would come back as part of a patch.
        """
        remove_links_out(self.source)
        self.sandbox.give(self.source)
        self.git("init", "-q", "--bare", cwd=self._base)
        info = self._base / "info"
        info.mkdir(exist_ok=True)
        # Bytes are compared as they are: no line-ending, filter or encoding of the tree's own.
        (info / "attributes").write_text("* -text -filter -ident -working-tree-encoding\n")
        (info / "exclude").write_text("\n".join(TRACES) + "\n")
        index = self._base / "index.base"
        where = (f"--git-dir={self._base}", f"--work-tree={self.source}")
        self.git(*where, "add", "-A", "-f", ".", cwd=self.source, index=index)
        tree = self.git(*where, "write-tree", cwd=self.source, index=index)
        self._tree = tree.decode().strip()

    # Copies and patches.

    def number(self) -> int:
        """A number not used before in this attempt."""
        return next(self._numbers)

    def copy(self) -> Path:
        """Make a clean copy of the pristine source."""
        target = self.root / f"copy-{self.number()}"
        copy_tree(self.source, target)
        self.sandbox.give(target)
        return target

    def discard(self, copy: Path) -> None:
        """Remove a copy; what a test made unreadable is made removable first."""

        def unlock(_: object, path: str, __: object) -> None:
            parent = Path(path).parent
            parent.chmod(0o700)
            target = Path(path)
            if target.is_dir() and not target.is_symlink():
                target.chmod(0o700)
                shutil.rmtree(target, ignore_errors=True)
            else:
                target.unlink(missing_ok=True)

        if copy.exists():
            shutil.rmtree(copy, onerror=unlock)

    def changes(self, copy: Path) -> list[Change]:
        """What differs in `copy` from the pristine source."""
        raw = self._compare(copy, "--raw", "-z").decode(errors="surrogateescape").split("\0")
        found = []
        for header, path in zip(raw[0::2], raw[1::2], strict=False):
            _, mode, _, _, status = header.split(" ")
            found.append(Change(path=path, status=status[0], mode=mode))
        return found

    def diff(self, copy: Path, *, leave_out: Sequence[str] = ()) -> str:
        """The change made in `copy` as a patch that plain `git apply` takes."""
        paths = [".", *(f":(exclude,literal){path}" for path in leave_out)]
        raw = self._compare(
            copy, "--patch", "--binary", "--no-color", "--src-prefix=a/", "--dst-prefix=b/",
            "--", *paths,
        )  # fmt: skip
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise PatchError(
                "patch is not UTF-8 text; fix the files without binary edits"
            ) from None

    def _compare(self, copy: Path, *options: str) -> bytes:
        index = self._base / f"index.{self.number()}"
        try:
            git = shlex.join([*GIT, f"--git-dir={self._base}", f"--work-tree={copy}"])
            diff = "diff --cached --no-ext-diff --no-renames --no-textconv"
            # In one sandbox, for that costs more than any of the three.
            script = (
                f"{git} read-tree {self._tree} && {git} add -A . && "
                f'exec {git} {diff} {self._tree} "$@"'
            )
            return self._run(
                "git diff", ["/bin/sh", "-c", script, "sh", *options], cwd=copy, index=index
            )
        finally:
            index.unlink(missing_ok=True)

    def apply(self, diff: str, copy: Path) -> None:
        """Apply `diff` in `copy` with a plain `git apply`, or raise `PatchError`."""
        data = diff.encode(errors="surrogateescape")
        try:
            self.git("apply", "--whitespace=nowarn", "-", cwd=copy, data=data)
        except SourceError as problem:
            said = str(problem).removeprefix(f"git apply failed in {copy}: ")
            raise PatchError(f"does not apply: {said}") from problem


def copy_tree(source: Path, target: Path) -> None:
    """Copy a tree: symbolic links as links, sockets and pipes and tools' caches not at all."""

    def left_out(folder: str, names: list[str]) -> set[str]:
        gone = set(LEFT_OUT.intersection(names))
        with os.scandir(folder) as entries:
            for entry in entries:
                mode = entry.stat(follow_symlinks=False).st_mode
                if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode) or stat.S_ISLNK(mode)):
                    gone.add(entry.name)
        return gone

    try:
        shutil.copytree(source, target, symlinks=True, ignore=left_out)
    except shutil.Error as problem:
        name, _, why = problem.args[0][0]
        raise SourceError(f"cannot copy {name}: {why}; make the source readable") from problem


def remove_links_out(root: Path) -> None:
    """Removes symbolic links below `root` that lead anywhere else, be it by way of others."""
    top = root.resolve()
    for folder, folders, names in os.walk(root):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink() and not Path(os.path.realpath(path)).is_relative_to(top):
                path.unlink()
