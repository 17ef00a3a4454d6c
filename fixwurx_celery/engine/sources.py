"""Brings the source of a bug into its workspace: from a folder, a repository or an artifact."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from fixwurx_celery.engine.base import Artifacts
from fixwurx_celery.engine.payload import ArtifactSource, GitSource, PathSource, Source
from fixwurx_celery.engine.process import Processes
from fixwurx_celery.engine.steps import Steps, until_finished
from fixwurx_celery.engine.unpacking import BadArchive, unpack
from fixwurx_celery.engine.workspace import LEFT_OUT, SourceError, Workspace, copy_tree

CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")
HELPER = """!printf 'username=%s\\npassword=%s\\n' "$SOURCE_USER" "$SOURCE_PASSWORD" #"""


def bring(
    source: Source, workspace: Workspace, processes: Processes, artifacts: Artifacts | None
) -> Steps[None]:
    """Fill `workspace.source` and seal it, or raise `SourceError`."""
    match source:
        case PathSource(path=path):
            _from_folder(Path(path), workspace)
        case ArtifactSource(ref=ref):
            _from_artifact(ref, workspace, artifacts)
        case GitSource():
            yield from _from_git(source, workspace, processes)
    yield
    workspace.seal()


def _from_folder(folder: Path, workspace: Workspace) -> None:
    if not folder.is_dir():
        raise SourceError(
            f"source.path {folder} is not a folder on this node; submit it packed, "
            "or run on a node that has it"
        )
    if not workspace.sandbox.may_copy(folder):
        raise SourceError(
            f"source.path {folder} is not in a folder of FIXWURX_SANDBOX_READ, so bugs may not "
            "read it on this node; submit it packed, as `fixwurx-celery submit` does"
        )
    if workspace.root.is_relative_to(folder.resolve()):
        raise SourceError(
            f"source.path {folder} contains the workspace {workspace.root}; move one of them"
        )
    copy_tree(folder, workspace.source)


def _from_artifact(ref: str, workspace: Workspace, artifacts: Artifacts | None) -> None:
    if artifacts is None:
        raise SourceError(
            f"source.artifact {ref} cannot be read: this engine has no artifact store"
        )
    try:
        data = artifacts.get(ref)
    except Exception as problem:  # any store may be behind it; all of its failures mean the same
        raise SourceError(
            f"source.artifact {ref} cannot be read: {problem}; submit it again"
        ) from problem
    try:
        unpack(data, workspace.source, leave_out=LEFT_OUT)
    except BadArchive as problem:
        raise SourceError(
            f"packed source cannot be unpacked: {problem}; pack it again"
        ) from problem


def _from_git(source: GitSource, workspace: Workspace, processes: Processes) -> Steps[None]:
    url, ref = CREDENTIALS.sub("", source.url) if _is_http(source.url) else source.url, source.ref
    clone = workspace.root / "clone"
    clone.mkdir()
    workspace.sandbox.give(clone)
    workspace.git("init", "-q", cwd=clone)
    # The user's own configuration and agent serve to reach it; hooks and prompts do not.
    env = {name: value for name, value in os.environ.items() if not name.startswith("FIXWURX_")}
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        env.pop(name, None)
    env |= {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CEILING_DIRECTORIES": str(workspace.root),
        "LC_ALL": "C",
    }
    env.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    env |= _credentials(source.url)
    fetches = (
        (["--depth=1", "--", url, ref], ["FETCH_HEAD"]),
        # A server may refuse a bare commit id, or know no part of a history: then everything is
        # fetched and looked through.
        (
            ["--tags", "--", url, "+refs/heads/*:refs/remotes/origin/*"],
            [f"refs/remotes/origin/{ref}", ref],
        ),
    )
    # A repository by path is a source by path, and may be read where such a one may be.
    local = "user" if workspace.sandbox.may_copy(Path(url.removeprefix("file://"))) else "never"
    said = ""
    for arguments, wanted in fetches:
        output = workspace.out / f"fetch-{workspace.number()}"
        git = ["git", "-c", "core.hooksPath=/dev/null", "-c", "protocol.ext.allow=never"]
        # The clone is the sandbox's user's, in which it is checked out.
        git += ["-c", f"protocol.file.allow={local}", "-c", f"safe.directory={clone}"]
        running = processes.start(
            [*git, "fetch", "-q", "--no-recurse-submodules", *arguments],
            cwd=clone,
            env=env,
            output=output,
            timeout_s=None,  # what bounds it is the bug's set-up limit, from outside
            is_ours=True,
        )
        finished = yield from until_finished(running)
        workspace.sandbox.give(clone)
        if not finished.passed:
            said = finished.tail(600)
        else:
            said = _check_out(wanted, clone, workspace)
            if said:
                continue
            shutil.rmtree(clone / ".git")
            _without_traces(clone)
            clone.rename(workspace.source)
            return
    said = CREDENTIALS.sub("***@", " ".join(said.split()))
    shown = CREDENTIALS.sub("***@", source.url)
    raise SourceError(f"cannot fetch {ref} of {shown}: {said}; check the address and the commit")


def _check_out(names: Sequence[str], clone: Path, workspace: Workspace) -> str:
    """Why none of the names can be checked out; empty when one was."""
    said = ""
    for name in names:
        try:
            workspace.git("-c", "advice.detachedHead=false", "checkout", "-q", name, cwd=clone)
        except SourceError as problem:
            said = str(problem)
        else:
            return ""
    return said


def _is_http(url: str) -> bool:
    return url.startswith(("https://", "http://"))


def _credentials(url: str) -> dict[str, str]:
    """What git asks for where it is needed, from an address that has it: in the environment, which
    is its own, and not in its arguments, which everybody on the host can read."""
    found = CREDENTIALS.search(url)
    if not _is_http(url) or found is None:
        return {}
    user, _, password = found[0].removesuffix("@").partition(":")
    return {
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "credential.helper",
        "GIT_CONFIG_VALUE_0": "",  # forgets those that the user has set
        "GIT_CONFIG_KEY_1": "credential.helper",
        "GIT_CONFIG_VALUE_1": HELPER,
        "SOURCE_USER": unquote(user),
        "SOURCE_PASSWORD": unquote(password),
    }


def _without_traces(root: Path) -> None:
    for folder, folders, _ in os.walk(root):
        for name in LEFT_OUT.intersection(folders):
            shutil.rmtree(Path(folder) / name)
            folders.remove(name)
