"""References and contents that nobody vouches for."""

import zlib
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
import redis

from fixwurx_celery import artifacts
from fixwurx_celery.artifacts import FolderArtifacts, StoreArtifacts
from fixwurx_celery.errors import FixwurxError, InputError

CONTENT = b"a patch"
REF = sha256(CONTENT).hexdigest()


@pytest.fixture(params=["store", "folder"])
def kept(
    request: pytest.FixtureRequest, redis_url: str, namespace: str, tmp_path: Path
) -> "Iterator[StoreArtifacts | FolderArtifacts]":
    if request.param == "folder":
        yield FolderArtifacts(f"file://{tmp_path / 'artifacts'}")
        return
    with redis.Redis.from_url(redis_url) as client:
        yield StoreArtifacts(client, f"{{{namespace}}}:artifact:", 60)


def write_over(kept: "StoreArtifacts | FolderArtifacts", content: bytes) -> None:
    """As somebody does who may write there."""
    if isinstance(kept, StoreArtifacts):
        kept._client.set(kept._prefix + REF, zlib.compress(content))
    else:
        Path(f"{kept._root}/{REF[:2]}/{REF}").write_bytes(content)


def test_what_was_put_is_got(kept: StoreArtifacts) -> None:
    assert kept.put(CONTENT) == REF
    assert kept.get(REF) == CONTENT


@pytest.mark.parametrize(
    "ref", ["../../secret", "/etc/passwd", "..", "", REF.upper(), REF + "\n", f"{REF[:62]}/.", "*"]
)
def test_a_reference_names_nothing_but_an_artifact(
    kept: StoreArtifacts, tmp_path: Path, ref: str
) -> None:
    kept.put(CONTENT)
    (tmp_path / "secret").write_text("secret")

    with pytest.raises(FixwurxError, match="no reference"):
        kept.get(ref)


def test_content_that_somebody_wrote_over_is_refused(kept: StoreArtifacts) -> None:
    kept.put(CONTENT)
    write_over(kept, b"another patch")

    with pytest.raises(FixwurxError, match="is not what was put there"):
        kept.get(REF)


def test_content_that_unzips_without_end_is_not_held_in_memory(
    kept: StoreArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.put(CONTENT)
    write_over(kept, b"\0" * (4 << 20))
    monkeypatch.setattr(artifacts, "MOST_CONTENT_BYTES", 1 << 20)
    seen: list[int] = []
    monkeypatch.setattr(artifacts, "_ref", lambda content: seen.append(len(content)) or "other")

    with pytest.raises((FixwurxError, InputError)):
        kept.get(REF)

    assert all(size <= 1 << 20 for size in seen)


def test_damaged_content_is_refused(redis_url: str, namespace: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        kept = StoreArtifacts(client, f"{{{namespace}}}:artifact:", 60)
        client.set(f"{{{namespace}}}:artifact:{REF}", b"no zip")

        with pytest.raises(FixwurxError, match="damaged"):
            kept.get(REF)


def test_more_than_an_artifact_may_be_is_not_put(
    kept: StoreArtifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "MOST_CONTENT_BYTES", 10)

    with pytest.raises(InputError, match="too large"):
        kept.put(b"x" * 11)
