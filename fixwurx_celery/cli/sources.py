"""Folders as bytes, so that a node on another host needs no shared disk, and a name for a bug's
input: the same name means the same question, whose answer need not be found again."""

import gzip
import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.cli.manifest import SHIPPED_ENGINE, Manifest
from fixwurx_celery.domain.bugs import Bug
from fixwurx_celery.errors import InputError

__all__ = ["Packed", "pack", "pack_sources"]

LEFT_OUT: Final = frozenset(
    {
        ".git", ".hg", ".svn", "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache",
        ".tox", ".nox", ".venv", "venv", "node_modules",
    }
)  # fmt: skip
"""Repositories' own data, what tools leave behind, and what belongs to this machine alone."""
MOST_BYTES: Final = 512 * 2**20
MOST_FILES: Final = 200_000


@dataclass(frozen=True, slots=True)
class Packed:
    """A bug as it is to be submitted, and the name of its input. `content` is the packed source,
    when it has one that is not kept yet."""

    bug: Bug
    input: str
    content: bytes | None

    def kept(self, put: Callable[[bytes], str]) -> Bug:
        """The bug, its source put where nodes can read it."""
        if self.content is None:
            return self.bug
        source = {"artifact": put(self.content)}
        return replace(self.bug, payload={**self.bug.payload, "source": source})


def pack_sources(manifest: Manifest, engine: str) -> Iterator[Packed]:
    """Each bug with its source packed; bugs of one folder share the bytes.

    Raises InputError, saying where, when a folder cannot be packed.
    """
    folders: dict[str, tuple[bytes, str]] = {}
    for bug in manifest.bugs:
        source = bug.payload.get("source")
        path = source.get("path") if isinstance(source, Mapping) else None
        # What an engine of the user's makes of its fields is not ours to guess.
        if engine != SHIPPED_ENGINE or not isinstance(path, str):
            yield Packed(bug, input_name(engine, bug, source), None)
            continue
        if path not in folders:
            try:
                content = pack(Path(path))
            except InputError as error:
                raise InputError(
                    [f"{manifest.where(bug)}: source.path {text}" for text in error.problems]
                ) from error
            folders[path] = content, hashlib.sha256(content).hexdigest()
        content, digest = folders[path]
        yield Packed(bug, input_name(engine, bug, {"tree": digest}), content)


def input_name(engine: str, bug: Bug, source: Any) -> str:
    """A name for all that the engine is given. Priorities and limits change no answer."""
    given = [engine, bug.agents, {**bug.payload, "source": source}]
    text = json.dumps(given, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def pack(root: Path) -> bytes:
    """The folder as tar.gz; equal trees give equal bytes, whoever packs them and when.

    Symbolic links stay links; those that lead out of the folder are left out, as are sockets and
    pipes. Raises InputError for a folder that is too large or cannot be read.
    """
    buffer = io.BytesIO()
    total = count = 0
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=4) as zipped,
        tarfile.open(fileobj=zipped, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in members(root):
            try:
                status = path.lstat()
                member = tarfile.TarInfo(str(path.relative_to(root)))
                # Only the owner's execute bit means anything in a source.
                member.mode = 0o755 if status.st_mode & 0o100 else 0o644
                if stat.S_ISDIR(status.st_mode):
                    member.type, member.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(member)
                elif stat.S_ISLNK(status.st_mode):
                    member.type, member.linkname = tarfile.SYMTYPE, os.readlink(path)  # noqa: PTH115
                    if not leads_out(root, path, member.linkname):
                        archive.addfile(member)
                elif stat.S_ISREG(status.st_mode):
                    content = path.read_bytes() if status.st_size <= MOST_BYTES else b""
                    member.size = len(content)
                    total += max(status.st_size, len(content))
                    if total <= MOST_BYTES:
                        archive.addfile(member, io.BytesIO(content))
            except OSError as error:
                raise InputError(
                    [f"{root}: {path.relative_to(root)} cannot be read: {error.strerror}"]
                ) from error
            count += 1
            if total > MOST_BYTES or count > MOST_FILES:
                raise InputError(
                    [
                        f"{root} holds more than {MOST_BYTES >> 20} MiB or {MOST_FILES} files; "
                        "name a smaller folder, or give it as source: {git: URL, ref: COMMIT}"
                    ]
                )
    return buffer.getvalue()


def members(root: Path) -> Iterator[Path]:
    """What is in the folder, each folder before what is in it, in an order of its own."""
    for folder, folders, names in os.walk(root, onerror=unreadable):
        links = [name for name in folders if (Path(folder) / name).is_symlink()]
        folders[:] = sorted(set(folders) - LEFT_OUT - set(links))
        for name in sorted({*names, *links, *folders} - LEFT_OUT):
            yield Path(folder) / name


def unreadable(error: OSError) -> None:
    """A folder that cannot be listed would be left out without a word."""
    raise InputError([f"{error.filename} cannot be read: {error.strerror}"])


def leads_out(root: Path, link: Path, target: str) -> bool:
    """Whether the link points anywhere but into the folder, as it is written."""
    if target.startswith("/"):
        return True
    meant = os.path.normpath(link.parent.relative_to(root) / target)
    return meant == ".." or meant.startswith("../")
