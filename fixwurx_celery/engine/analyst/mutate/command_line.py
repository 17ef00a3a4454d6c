"""Reads a reproduce command: is it one pytest run, and how would it be started."""

import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

SWALLOWED = {"-x", "--exitfirst", "--lf", "--ff", "--sw"}
SWALLOWED_WITH_VALUE = {"--maxfail", "-n", "--numprocesses", "--tb", "--color", "-r"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PytestCommand:
    """One run of pytest: interpreter and its flags, pytest's arguments, folder, environment."""

    python: tuple[str, ...]
    args: tuple[str, ...]
    folder: str = "."
    cwd_on_path: bool = True
    environment: Mapping[str, str]


def _interpreter_of(script: str, environment: Mapping[str, str]) -> str | None:
    """Return the interpreter that an installed console script names in its first line."""
    found = shutil.which(script, path=environment.get("PATH"))
    if found is None:
        return None
    with Path(found).open("rb") as file:
        first = file.readline(512)
    if first.startswith(b"#!"):
        words = first[2:].decode(errors="replace").split()
        if words and "python" in words[0]:
            return words[0]
    beside = Path(found).with_name("python")
    return str(beside) if beside.exists() else None


def _words(command: str) -> list[str] | None:
    lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        return list(lexer)
    except ValueError:
        return None


def _pytest_args(words: list[str]) -> tuple[str, ...]:
    """Drop what would stop a sweep early, or start other processes."""
    kept: list[str] = []
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in SWALLOWED_WITH_VALUE:
            skip = True
        elif re.fullmatch(r"-[qvxs]+", word) and "x" in word:
            if word != "-x":
                kept.append(word.replace("x", ""))
        elif word in SWALLOWED or word.split("=")[0] in SWALLOWED_WITH_VALUE or word[:2] == "-n":
            continue
        else:
            kept.append(word)
    return tuple(kept)


def parse(command: str, source: Path, environment: Mapping[str, str]) -> PytestCommand | None:
    """Return the pytest run that `command` is, or None where only a shell can tell."""
    words = _words(command)
    if not words or re.search(r"[$`*?{~]", command):
        return None
    folder = PurePosixPath(".")
    extra: dict[str, str] = {}
    while words:
        word = words[0]
        if word == "cd" and len(words) > 2 and words[2] in ("&&", ";"):
            folder = folder / words[1]
            words = words[3:]
        elif match := re.fullmatch(r"([A-Za-z_]\w*)=(.*)", word, re.DOTALL):
            extra[match[1]] = match[2]
            words = words[1:]
        elif word in ("env", "exec"):
            words = words[1:]
        elif word == "timeout" and len(words) > 2:
            words = words[1:]
            while words and (words[0].startswith("-") or re.fullmatch(r"[\d.]+[smh]?", words[0])):
                words = words[1:]
        else:
            break
    if not words or any(re.fullmatch(r"[;&|<>()]+", word) for word in words):
        return None
    if folder.is_absolute() or ".." in folder.parts or not (source / folder).is_dir():
        return None
    merged = {**environment, **extra}
    name = PurePosixPath(words[0]).name
    if name in ("pytest", "py.test"):
        python = _interpreter_of(words[0], merged)
        if python is None:
            return None
        return PytestCommand(
            python=(python,),
            args=_pytest_args(words[1:]),
            folder=str(folder),
            cwd_on_path=False,
            environment=extra,
        )
    if not re.fullmatch(r"python[\d.]*", name):
        return None
    found = shutil.which(words[0], path=merged.get("PATH"))
    flags: list[str] = []
    rest = words[1:]
    while rest and rest[0] != "-m":
        if rest[0] in ("-W", "-X"):
            flags += rest[:2]
            rest = rest[2:]
        elif re.fullmatch(r"-(?:[BbdEOqRsuv]+|[WX].+)", rest[0]):
            flags.append(rest[0])
            rest = rest[1:]
        else:
            return None
    if found is None or rest[:2] != ["-m", "pytest"]:
        return None
    return PytestCommand(
        python=(found, *flags),
        args=_pytest_args(rest[2:]),
        folder=str(folder),
        environment=extra,
    )
