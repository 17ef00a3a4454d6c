"""Sources and patches, kept outside of messages and records, named by what they contain.

By default they lie in the store itself, compressed, bounded and expiring; `FIXWURX_ARTIFACTS` names
an fsspec URL instead (a shared folder, an object store).
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from typing import Protocol

import fsspec
import redis
from redis.backoff import ExponentialWithJitterBackoff
from redis.retry import Retry

from fixwurx_celery.errors import FixwurxError, InputError, StoreUnavailable
from fixwurx_celery.redis_client import open_client
from fixwurx_celery.settings import Settings

__all__ = ["Artifacts", "FolderArtifacts", "StoreArtifacts", "open_artifacts"]

MOST_BYTES = 64 * 2**20
"""An artifact in the store is at most this large when compressed; larger ones want a folder."""

MOST_CONTENT_BYTES = 512 * 2**20
"""No artifact is larger: it is held in memory, by whoever puts and gets it."""

REF = re.compile(r"[0-9a-f]{64}")


class Artifacts(Protocol):
    """Where bytes are put and got by reference. Putting the same bytes twice keeps them once."""

    def put(self, content: bytes) -> str:
        """The reference under which `get` answers these bytes, on any host of the cluster.

        Raises StoreUnavailable when they cannot be kept now."""

    def get(self, ref: str) -> bytes:
        """The bytes, which are what was put: others under that name are refused. Raises
        FixwurxError when they are not there (any more)."""


def _ref(content: bytes) -> str:
    return sha256(content).hexdigest()


def _too_large(size: int) -> InputError:
    return InputError(
        [
            f"an artifact of {size >> 20} MiB is too large ({MOST_CONTENT_BYTES >> 20} MiB); leave "
            "out what the bug does not need, or use a git source"
        ]
    )


def _checked(ref: str) -> str:
    """The reference, which may come from anywhere and names a file or a key."""
    if not REF.fullmatch(ref):
        raise FixwurxError(f"artifact {ref[:80]!r} is no reference: those are 64 digits of base 16")
    return ref


def _verified(ref: str, content: bytes) -> bytes:
    if _ref(content) != ref:
        raise FixwurxError(
            f"artifact {ref[:12]} is not what was put there: somebody wrote over it; "
            "submit the bug again"
        )
    return content


def _missing(ref: str) -> FixwurxError:
    return FixwurxError(
        f"artifact {ref[:12]} is not there: it expired, or this host sees another store; "
        "submit the bug again"
    )


@contextmanager
def _reaching(trouble: type[Exception]) -> Iterator[None]:
    """Turns what the place raises when it fails into StoreUnavailable."""
    try:
        yield
    except trouble as error:
        raise StoreUnavailable(f"cannot reach the artifacts: {error}") from error


class StoreArtifacts:
    """Artifacts in Redis. They expire when they were not used for as long as bugs are kept.

    Both methods raise StoreUnavailable when the store is away for longer than a minute.
    """

    def __init__(self, client: "redis.Redis", prefix: str, keep_s: float) -> None:
        self._client, self._prefix, self._keep_s = client, prefix, int(keep_s)

    def put(self, content: bytes) -> str:
        """See Artifacts. Raises InputError above 64 MiB."""
        if len(content) > MOST_CONTENT_BYTES:
            raise _too_large(len(content))
        packed = zlib.compress(content, 6)
        if len(packed) > MOST_BYTES:
            raise InputError(
                [
                    f"an artifact of {len(packed) >> 20} MiB is too large for the store (64 MiB); "
                    "set FIXWURX_ARTIFACTS to a folder that all hosts share, or use a git source"
                ]
            )
        ref = _ref(content)
        with _reaching(redis.RedisError):
            self._client.set(self._prefix + ref, packed, ex=self._keep_s)
        return ref

    def get(self, ref: str) -> bytes:
        """See Artifacts."""
        with _reaching(redis.RedisError):
            packed = self._client.getex(self._prefix + _checked(ref), ex=self._keep_s)
        if packed is None:
            raise _missing(ref)
        unzip = zlib.decompressobj()
        try:
            content = unzip.decompress(packed, MOST_CONTENT_BYTES)  # type: ignore[arg-type]
        except zlib.error as error:
            raise FixwurxError(f"artifact {ref[:12]} is damaged: {error}") from error
        return _verified(ref, content)


class FolderArtifacts:
    """Artifacts behind an fsspec URL."""

    def __init__(self, url: str) -> None:
        self._fs, self._root = fsspec.core.url_to_fs(url)

    def put(self, content: bytes) -> str:
        """See Artifacts. Written beside its name and then moved there, so never seen by halves."""
        if len(content) > MOST_CONTENT_BYTES:
            raise _too_large(len(content))
        ref = _ref(content)
        path = f"{self._root}/{ref[:2]}/{ref}"
        with _reaching(OSError):
            if not self._fs.exists(path):
                self._fs.makedirs(f"{self._root}/{ref[:2]}", exist_ok=True)
                self._fs.pipe_file(path + ".part", content)
                self._fs.mv(path + ".part", path)
        return ref

    def get(self, ref: str) -> bytes:
        """See Artifacts."""
        path = f"{self._root}/{_checked(ref)[:2]}/{ref}"
        try:
            if (size := self._fs.size(path)) > MOST_CONTENT_BYTES:
                raise _too_large(size)
            content: bytes = self._fs.cat_file(path)
        except FileNotFoundError:
            raise _missing(ref) from None
        return _verified(ref, content)


def open_artifacts(settings: Settings, *, is_patient: bool = True) -> Artifacts:
    """The artifacts that the settings name. Connects lazily.

    A source that cannot be got would end the bug, so a store that is away is waited for a minute,
    unless the caller is not patient: who has other things to do comes again.
    """
    if settings.artifacts:
        return FolderArtifacts(settings.artifacts)
    client = open_client(
        settings.redis_url,
        socket_timeout=30 if is_patient else 5,
        socket_connect_timeout=5 if is_patient else 1,
        retry=Retry(ExponentialWithJitterBackoff(base=0.1, cap=2.0), 60 if is_patient else 0),
    )
    return StoreArtifacts(client, f"{{{settings.namespace}}}:artifact:", settings.keep_finished_sec)
