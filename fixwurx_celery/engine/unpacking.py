"""Unpacks a source that somebody packed, and believes nothing of what the archive says.

Not by `tarfile`'s own extraction: what its filters let through differs between versions of Python,
and some of them could be led outside. Here folders and files are made first, in a tree that has no
link yet, so that there is none to follow; links come last.
"""

import gzip
import io
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from fixwurx_celery.errors import FixwurxError

__all__ = ["BadArchive", "unpack"]

MAX_UNPACKED_BYTES = 4 << 30
MAX_MEMBERS = 500_000
MAX_PIECE_BYTES = 1 << 20  # file's content is read in smaller ones, so this is some member's name


class BadArchive(FixwurxError):
    """The archive is damaged, too large, or not of plain files, folders and links."""


class Contents:
    """The archive unzipped, as `tarfile` wants to read it: never without end, nor much at once."""

    def __init__(self, data: bytes) -> None:
        self._unzipped = gzip.GzipFile(fileobj=io.BytesIO(data))

    def read(self, size: int) -> bytes:
        """The next bytes."""
        if not 0 <= size <= MAX_PIECE_BYTES:
            raise BadArchive(f"it has a name or header of {size >> 20} MiB")
        self._check(self._unzipped.tell() + size)
        return self._unzipped.read(size)

    def seek(self, position: int) -> int:
        """Goes on from there."""
        self._check(position)
        return self._unzipped.seek(position)

    def tell(self) -> int:
        """How far it was read."""
        return self._unzipped.tell()

    @staticmethod
    def _check(position: int) -> None:
        if position > 2 * MAX_UNPACKED_BYTES:  # each member has a header, and is filled up
            raise BadArchive(f"it holds over {MAX_UNPACKED_BYTES >> 30} GiB")


def unpack(data: bytes, target: Path, *, leave_out: frozenset[str] = frozenset()) -> None:
    """Unpacks tar.gz bytes into `target`, which is made, without members named as `leave_out`.

    Nothing lands outside of it, and no link in it is followed; links may lead outside. Raises
    BadArchive; then there may be a part of it.
    """
    target.mkdir()
    links: list[tuple[Path, str]] = []
    total = 0
    try:
        with tarfile.open(fileobj=Contents(data), mode="r:") as archive:  # type: ignore[call-overload]
            for count, member in enumerate(archive):
                total += member.size
                if member.size < 0 or total > MAX_UNPACKED_BYTES or count >= MAX_MEMBERS:
                    raise BadArchive(
                        f"it holds over {MAX_UNPACKED_BYTES >> 30} GiB or {MAX_MEMBERS} files; "
                        "leave out what the bug does not need"
                    )
                parts = _parts(member.name)
                if leave_out.intersection(parts):
                    continue
                place = target.joinpath(*parts)
                if member.isdir():
                    place.mkdir(parents=True, exist_ok=True)
                elif member.isreg():
                    _write(archive.extractfile(member), place, is_program=bool(member.mode & 0o100))
                elif member.issym():
                    links.append((place, member.linkname))
                else:
                    raise BadArchive(f"{member.name} is neither a file, a folder nor a link")
        for place, leads_to in links:
            place.parent.mkdir(parents=True, exist_ok=True)
            if place.parent.resolve() != target.resolve() / place.parent.relative_to(target):
                raise BadArchive(f"{place.relative_to(target)} lies behind another link")
            place.symlink_to(leads_to)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as problem:
        raise BadArchive(str(problem)) from problem


def _parts(name: str) -> tuple[str, ...]:
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts or "\0" in name:
        raise BadArchive(f"{name!r} would land outside")
    return parts


def _write(content: IO[bytes] | None, place: Path, *, is_program: bool) -> None:
    if content is None:
        raise BadArchive(f"{place.name} has no content")
    place.parent.mkdir(parents=True, exist_ok=True)
    with content, place.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 16)
    place.chmod(0o755 if is_program else 0o644)
