"""The payload of the shipped engine: the manifest's fields about the work itself, checked."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from fixwurx_celery.engine.base import JSON

REPRODUCE_TIMEOUT_S = 60.0
VERIFY_TIMEOUT_S = 300.0
MAX_TIMEOUT_S = 86_400.0
KEYS = frozenset(
    {
        "source", "reproduce", "verify", "files", "analyst", "network", "reproduce_timeout",
        "verify_timeout",
    }
)  # fmt: skip


class PayloadError(ValueError):
    """The payload is not one that the shipped engine understands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathSource:
    """A folder on this host."""

    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSource:
    """A commit, tag or branch of a repository."""

    url: str
    ref: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactSource:
    """A packed tree in the artifact store."""

    ref: str


Source: TypeAlias = PathSource | GitSource | ArtifactSource


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What is to be done for one bug."""

    source: Source
    reproduce: str
    verify: str
    files: tuple[str, ...]
    analyst: JSON
    network: bool
    reproduce_timeout_s: float
    verify_timeout_s: float
    digest: str


def _text(payload: Mapping[str, JSON], key: str) -> str:
    value = payload.get(key)
    if not isinstance(value, str) or not value.strip():
        raise PayloadError(f"payload.{key} is {value!r}; give it a non-empty text")
    return value


def _source(value: JSON) -> Source:
    match value:
        case {"path": str(path), **rest} if path and not rest:
            return PathSource(path=path)
        case {"git": str(url), "ref": str(ref), **rest} if url and ref and not rest:
            if url.startswith("-") or ref.startswith("-"):
                raise PayloadError(f"payload.source {url} at {ref} must not begin with a dash")
            return GitSource(url=url, ref=ref)
        case {"artifact": str(ref), **rest} if ref and not rest:
            return ArtifactSource(ref=ref)
    raise PayloadError(
        f"payload.source is {value!r}; give {{path: folder}}, {{git: url, ref: commit}} "
        "or {artifact: reference}"
    )


def _files(value: JSON) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise PayloadError(f"payload.files is {value!r}; give a list of paths or globs")
    patterns: list[str] = []
    for pattern in value:
        if not isinstance(pattern, str) or not pattern:
            raise PayloadError(f"payload.files holds {pattern!r}; give paths or globs only")
        if pattern.startswith("/") or ".." in pattern.split("/"):
            raise PayloadError(f"payload.files holds {pattern}; give paths below the source's root")
        patterns.append(pattern.removeprefix("./"))
    return tuple(patterns)


def _seconds(payload: Mapping[str, JSON], key: str, default: float) -> float:
    value = payload.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PayloadError(f"payload.{key} is {value!r}; give seconds as a number")
    if not 0 < value <= MAX_TIMEOUT_S:
        raise PayloadError(f"payload.{key} is {value}; give 0 to {MAX_TIMEOUT_S:.0f} seconds")
    return float(value)


def _flag(payload: Mapping[str, JSON], key: str) -> bool:
    value = payload.get(key)
    if value is not None and not isinstance(value, bool):
        raise PayloadError(f"payload.{key} is {value!r}; give true or false")
    return bool(value)


def parse(payload: Mapping[str, JSON]) -> Assignment:
    """Return the assignment that `payload` describes, or raise `PayloadError`."""
    unknown = sorted(set(payload) - KEYS)
    if unknown:
        raise PayloadError(
            f"payload has {unknown[0]!r}; known fields are {', '.join(sorted(KEYS))}"
        )
    reproduce = _text(payload, "reproduce")
    reproduce_timeout_s = _seconds(payload, "reproduce_timeout", REPRODUCE_TIMEOUT_S)
    text = json.dumps(payload, sort_keys=True, default=str)
    return Assignment(
        source=_source(payload.get("source")),
        reproduce=reproduce,
        verify=_text(payload, "verify") if payload.get("verify") is not None else reproduce,
        files=_files(payload.get("files")),
        analyst=payload["analyst"] if payload.get("analyst") is not None else "mutate",
        network=_flag(payload, "network"),
        reproduce_timeout_s=reproduce_timeout_s,
        verify_timeout_s=_seconds(
            payload, "verify_timeout", max(VERIFY_TIMEOUT_S, reproduce_timeout_s)
        ),
        digest=hashlib.sha256(text.encode()).hexdigest()[:16],
    )
