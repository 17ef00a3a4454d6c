"""The fields of a manifest that the shipped engine reads, checked where the files are."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.cli.names import did_you_mean
from fixwurx_celery.domain.bugs import MAX_PAYLOAD_BYTES
from fixwurx_celery.engine.payload import MAX_TIMEOUT_S

__all__ = ["check_payload"]

MOST_PATCH_BYTES: Final = 2**20

SOURCES: Final = "source: {path: ./folder}, or source: {git: URL, ref: COMMIT}"
ANALYSTS: Final = "analyst: mutate, analyst: {command: '...'}, or analyst: {patches: [a.diff]}"

Report = Callable[[tuple[str | int, ...], str], None]


def check_payload(fields: Mapping[str, Any], folder: Path, problem: Report) -> dict[str, Any]:
    """The payload, its paths made absolute against `folder` and its patches read in; what is wrong
    is told to `problem`."""
    payload = dict(fields)
    payload["source"] = _source(fields.get("source"), folder, problem)
    for key in ("reproduce", "verify"):
        value = fields.get(key)
        if value is None and key == "verify":
            payload.pop(key, None)
        elif value is None:
            problem((), f"{key} is missing: the shell command that fails because of the bug")
        elif not isinstance(value, str) or not value.strip() or "\0" in value:
            problem((key,), f"{key} {value!r} must be a shell command; e.g. python -m pytest -q -x")
    _files(fields.get("files"), problem)
    for key in ("reproduce_timeout", "verify_timeout"):
        value = fields.get(key)
        if value is None:
            payload.pop(key, None)
        elif type(value) not in (int, float) or not 0 < value <= MAX_TIMEOUT_S:
            problem(
                (key,),
                f"{key} {value!r} must be a number of seconds, above 0 and at most "
                f"{MAX_TIMEOUT_S:g}",
            )
    network = fields.get("network")
    if network is None:
        payload.pop("network", None)
    elif not isinstance(network, bool):
        problem(("network",), f"network {network!r} must be true or false")
    payload["analyst"] = _analyst(fields.get("analyst"), folder, problem)
    size = len(json.dumps(payload, default=str))
    if size > MAX_PAYLOAD_BYTES:
        problem(
            (), f"its fields and patches are {size >> 10} KiB; at most 2048: give fewer patches"
        )
    return payload


def _source(value: Any, folder: Path, problem: Report) -> Any:
    if value is None:
        problem((), f"source is missing; write {SOURCES}")
        return None
    if isinstance(value, str):
        problem(("source",), f"source {value!r} says neither path nor git; write {SOURCES}")
        return None
    if not isinstance(value, dict):
        problem(("source",), f"source {value!r} must be a mapping; write {SOURCES}")
        return None
    known = ("path", "git", "ref")
    for key, text in value.items():
        if key not in known:
            problem(("source", key), f"unknown field source.{key}{did_you_mean(key, known)}")
            return None
        if not isinstance(text, str) or not text.strip():
            problem(("source", key), f"source.{key} {text!r} must be a text; put it in quotes")
            return None
    match value:
        case {"path": path, **rest} if not rest:
            return _folder(path, folder, problem)
        case {"git": url, "ref": ref}:
            return _repository(url, ref, folder, problem)
        case {"git": url}:
            problem(("source",), f"source.git {url} has no ref; add ref: a commit, tag or branch")
        case _:
            problem(("source",), f"source {value!r} is neither a path nor git; write {SOURCES}")
    return None


def _folder(path: str, folder: Path, problem: Report) -> Any:
    place = folder / Path(path).expanduser()
    if place.is_dir():
        return {"path": str(place.resolve())}
    if place.exists():
        problem(("source", "path"), f"source.path {path} is a file; name the folder it lies in")
    else:
        nearby = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        problem(
            ("source", "path"),
            f"source.path {path} does not exist (looked for {place})"
            + (did_you_mean(place.name, nearby) or "; it is relative to the manifest's folder"),
        )
    return None


def _repository(url: str, ref: str, folder: Path, problem: Report) -> Any:
    for key, text in (("git", url), ("ref", ref)):
        if text.startswith("-"):
            problem(("source", key), f"source.{key} {text} must not begin with a dash")
            return None
    is_remote = "://" in url or ":" in url.partition("/")[0]
    if is_remote:
        return {"git": url, "ref": ref}
    place = folder / Path(url).expanduser()
    if not place.is_dir():
        problem(
            ("source", "git"),
            f"source.git {url} is no URL, and no folder {place} exists; write https://..., "
            "git@host:path, or the folder of a repository",
        )
        return None
    return {"git": str(place.resolve()), "ref": ref}


def _files(value: Any, problem: Report) -> None:
    if value is None:
        return
    if not isinstance(value, list) or not value:
        problem(
            ("files",), f"files {value!r} must be a list of paths or globs; e.g. files: [src/*.py]"
        )
        return
    for number, pattern in enumerate(value):
        if not isinstance(pattern, str) or not pattern:
            problem(("files", number), f"files has {pattern!r}; give paths or globs")
        elif pattern.startswith("/") or ".." in pattern.split("/"):
            problem(
                ("files", number), f"files has {pattern}; give paths relative to the source's root"
            )


def _analyst(value: Any, folder: Path, problem: Report) -> Any:
    match value:
        case None | "mutate":
            return "mutate"
        case {"command": str(command), **rest} if command.strip() and not rest:
            return {"command": command}
        case {"patches": list(patches), **rest} if patches and not rest:
            texts = [_patch(number, patch, folder, problem) for number, patch in enumerate(patches)]
            return {"patches": [text for text in texts if text is not None]}
        case str(name):
            known = ("mutate", "command", "patches")
            problem(("analyst",), f"no analyst {name}{did_you_mean(name, known)}; write {ANALYSTS}")
        case _:
            problem(("analyst",), f"analyst {value!r} is none of the three; write {ANALYSTS}")
    return None


def _patch(number: int, patch: Any, folder: Path, problem: Report) -> str | None:
    where = ("analyst", "patches", number)
    if not isinstance(patch, str) or not patch.strip():
        problem(where, f"analyst.patches has {patch!r}; give names of files")
        return None
    if "\n" in patch:  # the diff itself
        return patch
    place = folder / Path(patch).expanduser()
    try:
        if place.stat().st_size > MOST_PATCH_BYTES:
            problem(where, f"analyst.patches: {patch} is larger than 1 MiB; give smaller diffs")
            return None
        text = place.read_text("utf-8")
    except UnicodeDecodeError:
        problem(where, f"analyst.patches: {patch} is not UTF-8 text; give a unified diff")
        return None
    except OSError as error:
        why = (error.strerror or "it cannot be read").lower()
        nearby = [entry.name for entry in place.parent.iterdir()] if place.parent.is_dir() else []
        hint = did_you_mean(place.name, nearby) or f" (looked for {place})"
        problem(where, f"analyst.patches: {patch}: {why}{hint}")
        return None
    if not text.strip():
        problem(where, f"analyst.patches: {patch} is empty; give a unified diff")
        return None
    return text
