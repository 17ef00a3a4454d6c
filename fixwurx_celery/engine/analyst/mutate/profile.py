"""What the tests did before any edit: outcomes, times, lines, types; and whom that accuses."""

import math
from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import dataclass, field

from fixwurx_celery.engine.analyst.mutate.runs import Ran, Run
from fixwurx_celery.engine.analyst.mutate.warm import Pool

HUNG_MAX = 2  # tests that hang cost their whole limit; the others are told apart without them
HUNG_CPU_S = 1.0  # a test of a small program that takes longer is taken to hang
TRACED_FAILING = 12
TRACED_PASSING = 40
HOT_LOOP = 1.0
RAISED = 0.35


@dataclass(slots=True)
class Profile:
    """The tests of one command on the program as it is."""

    collect_cpu: float = 0.0
    cpu: dict[str, float] = field(default_factory=dict)
    failing: dict[str, None] = field(default_factory=dict)
    hung: dict[str, None] = field(default_factory=dict)
    uncollected: dict[str, None] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    lines: dict[str, set[tuple[str, int]]] = field(default_factory=dict)
    hot: Counter[tuple[str, int]] = field(default_factory=Counter)
    raised: list[tuple[str, int]] = field(default_factory=list)
    types: dict[tuple[str, int], dict[str, set[str]]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def passing(self) -> list[str]:
        """The tests that passed, fastest first."""
        found = [test for test in self.cpu if test not in self.failing and test not in self.hung]
        return sorted(found, key=lambda test: self.cpu[test])

    def order(self) -> tuple[str, ...]:
        """Return the tests in the order in which they refuse a wrong candidate soonest."""
        quick = sorted(
            (test for test in self.failing if test not in self.hung),
            key=lambda test: self.cpu.get(test, 0.0),
        )
        return (*quick, *self.hung, *self.passing)

    def failing_files(self) -> tuple[str, ...]:
        """Return the test files that hold a failing test."""
        names = [*self.failing, *self.hung, *self.uncollected]
        return tuple(dict.fromkeys(name.split("::")[0] for name in names))

    def all_files(self) -> tuple[str, ...]:
        """Return every test file that took part."""
        names = [*self.cpu, *self.failing, *self.hung, *self.uncollected]
        return tuple(dict.fromkeys(name.split("::")[0] for name in names))

    def cpu_limit(self) -> float:
        """Return the processor time that one test of a candidate may take."""
        slowest = max((self.cpu[test] for test in self.passing), default=0.0)
        slowest = max([slowest, *(self.cpu[t] for t in self.failing if t in self.cpu)])
        return max(0.12, min(10 * slowest, 1.5), 2.5 * slowest) + 2 * self.collect_cpu

    def accused(self) -> dict[tuple[str, int], float]:
        """Return how suspicious each line is, from 0 to 1, by the lines that tests ran."""
        failed = [lines for test, lines in self.lines.items() if self._fails(test)]
        passed = [lines for test, lines in self.lines.items() if not self._fails(test)]
        if not failed:
            return {}
        by_failed = Counter(line for lines in failed for line in lines)
        by_passed = Counter(line for lines in passed for line in lines)
        found = {
            line: count / math.sqrt(len(failed) * (count + by_passed[line]))
            for line, count in by_failed.items()
        }
        top = max(found.values(), default=1.0)
        found = {line: score / top for line, score in found.items()}
        for depth, line in enumerate(self.raised):
            if line in found:
                found[line] += RAISED / (1 + depth)
        for line in self.hot:
            found[line] = found.get(line, 0.5) + HOT_LOOP
        top = max(found.values(), default=1.0)
        return {line: score / top for line, score in found.items()}

    def _fails(self, test: str) -> bool:
        return test in self.failing or test in self.hung

    def take(self, ran: Ran) -> str | None:
        """Learn from one sweep; return the test at which it was killed, if it was."""
        self.seconds = max(self.seconds, ran.seconds)
        begun: str | None = None
        for say in ran.says:
            if "begin" in say:
                begun = say["begin"]
            elif "end" in say:
                self.cpu[say["end"]] = say["cpu"]
                begun = None
            elif "failed" in say:
                self.failing[say["failed"]] = None
            elif "uncollected" in say:
                self.uncollected[say["uncollected"]] = None
            elif "modules" in say:
                self.modules = list(say["modules"])
            elif "collected" in say:
                self.collect_cpu = max(self.collect_cpu, say["collected"])
        return begun

    def take_trace(self, ran: Ran) -> None:
        """Learn lines and types from a traced sweep."""
        for say in ran.says:
            if "trace" not in say:
                continue
            test = say["trace"]
            self.lines[test] = {(file, line) for file, line, _ in say["lines"]}
            if say["hung"]:
                self.hot.update((file, line) for file, line in say["tail"])
                # a loop's own suspects are its lines; what ran once before it is not one
            if self._fails(test):
                self.raised += [(file, line) for file, line in say["raised"]][:6]
            for file, line, names in say["types"]:
                seen: dict[str, set[str]] = self.types.setdefault((file, line), defaultdict(set))
                for name, kinds in names.items():
                    seen[name].update(kinds)


def measure(pool: Pool, profile: Profile, *, seconds: float | None) -> Generator[None, None, None]:
    """Fill `profile`, yielding while runs are under way.

    `seconds` is how long the whole command took, or None where it had to be killed.

    The first sweep runs every test without tracing; a test that hangs is set aside and the sweep
    goes on behind it. The second traces the failing tests and some that pass.
    """
    cpu = HUNG_CPU_S if seconds is None else min(20.0, max(HUNG_CPU_S, 2 * seconds))
    wall = 30.0 if seconds is None else max(20.0, 3 * seconds)
    skip: list[str] = []
    for _ in range(HUNG_MAX + 1):
        order = tuple(skip)
        pool.submit(
            Run(sweep=True, write_bytecode=True, cpu=cpu, wall=wall, skipped=order), "sweep"
        )
        ran = yield from _result(pool)
        at = profile.take(ran)
        if at is None:
            break
        profile.hung[at] = None
        profile.failing[at] = None
        skip = [*profile.cpu, *profile.hung]
    chosen = [test for test in profile.failing if test not in profile.hung][:TRACED_FAILING]
    chosen += profile.passing[:TRACED_PASSING]
    for batch in (chosen, *([test] for test in list(profile.hung)[:1])):
        if batch:
            pool.submit(
                Run(
                    sweep=True,
                    trace=True,
                    order=tuple(batch),
                    only=True,
                    cpu=1.0 if batch[0] in profile.hung else 6.0,
                    wall=wall,
                ),
                "trace",
            )
            ran = yield from _result(pool)
            profile.take_trace(ran)


def _result(pool: Pool) -> Generator[None, None, Ran]:
    """Yield until the one run under way has ended, and return what became of it."""
    while True:
        for _, ran in pool.poll(0.2):
            return ran
        yield
