"""Lines run by failing and by passing tests, and how suspicious that makes each (Ochiai)."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

from fixwurx_celery.engine.untrusted import read_file

Line = tuple[str, int]

IMPORT_WEIGHT = 0.5  # a line run by every import says less than one that a failing test ran
MAX_TESTS = 300
MAX_BYTES = 64 << 20  # of all records; a line that ran takes ten


@dataclass(slots=True)
class Spectrum:
    """The sums over all processes of one traced run."""

    failing: Counter[Line] = field(default_factory=Counter)
    passing: Counter[Line] = field(default_factory=Counter)
    imported: set[Line] = field(default_factory=set)
    failing_tests: list[str] = field(default_factory=list)
    passing_tests: list[str] = field(default_factory=list)
    failing_count: int = 0
    passing_count: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        """Add what one traced process wrote."""
        for sums, kind in ((self.failing, "failing"), (self.passing, "passing")):
            for path, lines in record[kind].items():
                for line, count in lines.items():
                    sums[path, int(line)] += count
        for path, lines in record["imported"].items():
            self.imported.update((path, line) for line in lines)
        for names, kind in ((self.failing_tests, "failing"), (self.passing_tests, "passing")):
            known = set(names)
            new = [name for name in record["names"][kind] if name not in known]
            names += new[: max(MAX_TESTS - len(names), 0)]
        self.failing_count += record["counts"]["failing"]
        self.passing_count += record["counts"]["passing"]

    def suspicion(self) -> dict[Line, float]:
        """Return 0..1 for every line that a failing test ran or that only imports ran.

        Without any failing test, all lines that ran are equally suspicious: the command itself is
        then the one failing test.
        """
        if not self.failing_count:
            return dict.fromkeys(self.imported, IMPORT_WEIGHT)
        total = self.failing_count
        found: dict[Line, float] = {}
        for line, failed in self.failing.items():
            found[line] = failed / sqrt(total * (failed + self.passing[line]))
        everywhere = IMPORT_WEIGHT * total / sqrt(total * (total + self.passing_count))
        for line in self.imported - found.keys():
            found[line] = everywhere
        return found


def read(folder: Path) -> Spectrum:
    """The sums over every record below `folder`."""
    spectrum = Spectrum()
    left = MAX_BYTES
    for name in sorted(path.name for path in folder.glob("*.json")):
        try:
            record = read_file(folder, name, left)
            left -= len(record)
            spectrum.add(json.loads(record))
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # written by the code under test, in a process that may have gone wrong
    return spectrum
