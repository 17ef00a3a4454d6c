"""The output folder of a run: patches, logs, and results.jsonl, from which a later run goes on.

    <id>.patch           of each FIXED bug
    logs/<id>.<n>.log    what its n-th attempt printed
    results.jsonl        a line a bug as it ends, synced; the last line about an id counts
    predictions.jsonl    with --format swebench

A line answers a bug only when its outcome is an answer and its `input` is what is asked now. So
infrastructure errors, time-outs and cancellations are there to be read, and are done again.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.domain.bugs import ANSWERS, Outcome
from fixwurx_celery.errors import FixwurxError

__all__ = ["Results"]

FILE: Final = "results.jsonl"
NO_VERDICT: Final = "DONE"
"""The outcome of a bug whose engine, one of the user's, gave no verdict of ours."""
ANSWER_NAMES: Final = frozenset({*ANSWERS, NO_VERDICT})


class Results:
    """An output folder that is this run's alone until `close`."""

    def __init__(self, folder: Path) -> None:
        """Raises FixwurxError when another run has the folder, or it cannot be written."""
        self.folder = folder
        try:
            (folder / "logs").mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise FixwurxError(
                f"cannot write to {folder}: {error.strerror}; name another folder with -o"
            ) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise FixwurxError(
                f"another run is writing to {folder}; wait until it has ended, or name another "
                "folder with -o"
            ) from None
        self._lines = self._read()

    def _read(self) -> dict[str, Mapping[str, Any]]:
        """The last line about each id. What a crash left of a line is cut off."""
        content = (self.folder / FILE).read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            os.truncate(self._file, whole)
        found: dict[str, Mapping[str, Any]] = {}
        for line in content[:whole].splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and isinstance(entry.get("id"), str):
                found[entry["id"]] = entry
        return found

    def known_ids(self) -> frozenset[str]:
        """The ids of which some line is an answer, to whatever was asked then."""
        return frozenset(
            bug_id for bug_id, line in self._lines.items() if line.get("outcome") in ANSWER_NAMES
        )

    def answer(self, bug_id: str, input_name: str) -> Mapping[str, Any] | None:
        """The line that answers the bug, or None."""
        line = self._lines.get(bug_id)
        if line is None or line.get("input") != input_name:
            return None
        if line.get("outcome") not in ANSWER_NAMES:
            return None
        if line.get("patch") and not (self.folder / str(line["patch"])).is_file():
            return None
        return line

    def record(self, line: Mapping[str, Any], patch: str | None) -> None:
        """Writes the patch, then the line, each synced before this returns."""
        target = self.folder / f"{line['id']}.patch"
        if patch is None:
            target.unlink(missing_ok=True)  # of an earlier question
        else:
            replace_file(target, patch.encode("utf-8", "surrogatepass"))
        self._lines[str(line["id"])] = line
        os.write(self._file, (json.dumps(line, ensure_ascii=False) + "\n").encode())
        os.fsync(self._file)

    def attempts_logged(self, bug_id: str) -> int:
        """The highest number of a log of this bug that is there."""
        pattern = re.compile(re.escape(bug_id) + r"\.(\d+)\.log")
        numbers = [
            int(found[1])
            for path in (self.folder / "logs").iterdir()
            if (found := pattern.fullmatch(path.name))
        ]
        return max(numbers, default=0)

    def write_log(self, bug_id: str, number: int, text: str) -> None:
        """What that attempt printed."""
        path = self.folder / "logs" / f"{bug_id}.{number}.log"
        path.write_text(text, "utf-8", errors="surrogateescape")

    def write_predictions(self, bug_ids: Iterable[str]) -> Path:
        """predictions.jsonl for SWE-bench's harness: one line for each bug with an answer.

        A bug without an answer gets none, because an empty patch there reads as `tried and failed`.
        """
        lines = []
        for bug_id in bug_ids:
            line = self._lines.get(bug_id)
            if line is None or line.get("outcome") not in ANSWER_NAMES:
                continue
            has_patch = line["outcome"] == Outcome.FIXED and line.get("patch")
            patch = (self.folder / str(line["patch"])).read_text("utf-8") if has_patch else ""
            lines.append(
                {
                    "instance_id": bug_id,
                    "model_name_or_path": "fixwurx-celery",
                    "model_patch": patch,
                }
            )
        target = self.folder / "predictions.jsonl"
        replace_file(target, "".join(json.dumps(line) + "\n" for line in lines).encode())
        return target

    def close(self) -> None:
        """Gives the folder up. Harmless when repeated."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def replace_file(path: Path, content: bytes) -> None:
    """The file has all of the content, or what it had, whatever happens in between."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
