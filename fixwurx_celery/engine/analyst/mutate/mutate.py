"""The analyst that repairs single-edit defects: every small edit, the likeliest first.

    launch -> measure -> (edits made and ranked) -> search -> overdue -> exhausted

`launch` starts warm hosts on private copies, `measure` runs the tests on the program as it is,
`search` runs edits in ranked order, `overdue` runs those again, with more time, that ran out of
it. Where the command is not one pytest run, edits are run as whole commands instead. A candidate
is returned only when the command passed with it here; it is proven elsewhere, from clean.
"""

import hashlib
import warnings
from collections import deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from time import monotonic

from fixwurx_celery.engine.analyst.base import Candidate, Case
from fixwurx_celery.engine.analyst.mutate import makers
from fixwurx_celery.engine.analyst.mutate.cold import ColdPool
from fixwurx_celery.engine.analyst.mutate.command_line import parse
from fixwurx_celery.engine.analyst.mutate.edit import Edit, digest_of, unified_diff
from fixwurx_celery.engine.analyst.mutate.profile import Profile, measure
from fixwurx_celery.engine.analyst.mutate.ranking import ranked
from fixwurx_celery.engine.analyst.mutate.runs import Idle, Run, Runs
from fixwurx_celery.engine.analyst.mutate.source import Source
from fixwurx_celery.engine.analyst.mutate.suspects import editable, spread
from fixwurx_celery.engine.analyst.mutate.warm import Pool
from fixwurx_celery.engine.base import JSON
from fixwurx_celery.engine.process import Processes

STEP_S = 1.0
EDITS_MAX = 60_000
SMALL_FILE_LINES = 400  # in these, lines that no failing test ran are tried too, last
OVERDUE_FACTOR = 10.0
OVERDUE_MAX = 500
REMEMBERED_SURVIVORS = 8
COMPILED_CHARS = 60_000  # above this, finding syntax errors here costs more than a run


class Mutate:
    """An `Analyst` for Python programs; see the module for its phases."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self._tried = 0
        self._exhausted = False
        self._texts: dict[str, str] = {}
        self._ranked: Sequence[tuple[float, Edit]] = ()
        self._digest = ""
        self._next = 0
        self._settled: set[int] = set()
        self._done = 0
        self._overdue: dict[int, None] = {}
        self._survivors: deque[int] = deque(maxlen=REMEMBERED_SURVIVORS)
        self._again: deque[int] = deque()
        self._seen: set[bytes] = set()
        self._profile = Profile()
        self._runs: Runs = Idle()
        self._pending = 0
        self._found: list[Candidate] = []
        self._deadline = 0.0
        self._closed = False
        self._life = self._live()

    @property
    def exhausted(self) -> bool:
        """True when every edit was tried."""
        return self._exhausted

    @property
    def tried(self) -> int:
        """How many edits were run, also by earlier lives."""
        return self._tried

    def step(self) -> Sequence[Candidate]:
        """Work for about a second; return the edits with which the command passed, best first."""
        self._deadline = monotonic() + STEP_S
        self._found = []
        while not self._exhausted and monotonic() < self._deadline:
            try:
                next(self._life)
            except StopIteration:
                self._exhausted = True
        return sorted(self._found, key=lambda candidate: -candidate.score)

    def checkpoint(self) -> JSON:
        """Return how far the ranked list was worked off, and what identifies that list."""
        return {
            "digest": self._digest,
            "done": self._done,
            "tried": self._tried,
            "overdue": list(self._overdue)[:OVERDUE_MAX],
            "survivors": list(self._survivors),
        }

    def close(self) -> None:
        """End the hosts and remove their copies."""
        if self._closed:
            return
        self._closed = True
        self._exhausted = True
        self._life.close()
        self._runs.close()

    # The life of an analyst; every `yield` gives `step` the chance to return.

    def _live(self) -> Generator[None, None, None]:
        case = self._case
        for path in editable(case):
            try:
                self._texts[path] = (case.source / path).read_bytes().decode()
            except UnicodeDecodeError:
                case.log(f"mutate: {path} is not UTF-8, left alone")
        if not self._texts:
            case.log("mutate: no Python file to edit")
            return
        yield from self._measure()
        suspicion: dict[tuple[str, int], float] = {}
        sources: list[Source] = []
        for path, text in self._texts.items():
            yield
            try:
                source = Source(path, text)
            except Exception as error:  # a parser may refuse what another version accepts
                case.log(f"mutate: {path} cannot be parsed ({type(error).__name__}), left alone")
                continue
            suspicion |= self._suspect(source)
            sources.append(source)
        self._ranked = yield from self._make(sources, suspicion)
        self._digest = digest_of(edit for _, edit in self._ranked)
        self._resume(case.resume)
        yield from self._search()
        every = {
            (source.path, line): 0.0
            for source in sources
            if source.text.count("\n") <= SMALL_FILE_LINES
            for line in range(1, source.text.count("\n") + 2)
            if (source.path, line) not in suspicion
        }
        self._ranked = [*self._ranked, *(yield from self._make(sources, every))]
        yield from self._search()

    def _suspect(self, source: Source) -> dict[tuple[str, int], float]:
        """Tell `source` what was measured of it, and return how suspicious its lines are."""
        seen, profile = self._case.observation, self._profile
        accused = profile.accused()
        observed = dict(seen.suspicion) if seen else {}
        if seen and not accused and not observed:
            observed = {
                (path, line): 1.0 / (1 + depth) for path, line, depth in seen.traceback_lines
            }
        source.types = {
            line: names for (name, line), names in profile.types.items() if name == source.path
        }
        source.raised = {line for name, line in profile.raised if name == source.path}
        return spread(source, accused, observed)

    def _make(
        self, sources: Sequence[Source], suspicion: Mapping[tuple[str, int], float]
    ) -> Generator[None, None, Sequence[tuple[float, Edit]]]:
        """Return the edits of the lines in `suspicion`, best first."""
        found: list[Edit] = []
        for source in sources:
            source.keep_lines({line for name, line in suspicion if name == source.path})
            for edit in makers.edits(source):
                found.append(edit)
                if len(found) % 2000 == 0:
                    yield
        yield
        chosen = ranked(found, suspicion, EDITS_MAX)
        self._case.log(f"mutate: {len(chosen)} edits of {len(sources)} files")
        return chosen

    def _measure(self) -> Iterator[None]:
        case, profile = self._case, self._profile
        command = parse(case.reproduce, case.source, case.environment)
        if command is None:
            case.log("mutate: runs whole commands, because this one is not a single pytest run")
            self._runs = ColdPool(case)
            return
        self._runs = warm = Pool(
            source=case.source,
            scratch=case.scratch / "warm",
            command=command,
            edited=tuple(self._texts),
            environment=case.environment,
            count=case.agents,
            log=case.log,
            processes=Processes(case.sandbox),
        )
        while not warm.ready and not warm.refused:
            warm.poll(0.2)
            yield
        if not warm.refused:
            seen = case.observation
            seconds = None if seen is None or seen.timed_out else seen.seconds
            yield from measure(warm, profile, seconds=seconds)
            if not (profile.failing or profile.uncollected):
                warm.refused = "no test fails in a warm process"
        if warm.refused:
            case.log(f"mutate: runs whole commands, because {warm.refused}")
            warm.close()
            self._runs = ColdPool(case)
        else:
            warm.preload(profile.modules)
            warm.grow()

    def _resume(self, saved: JSON) -> None:
        if not isinstance(saved, Mapping) or saved.get("digest") != self._digest:
            return
        done, tried = saved.get("done"), saved.get("tried")
        overdue, survivors = saved.get("overdue"), saved.get("survivors")
        if isinstance(done, int) and isinstance(tried, int):
            self._done = self._next = done
            self._tried = tried
        if isinstance(overdue, list):
            self._overdue = dict.fromkeys(i for i in overdue if isinstance(i, int))
        if isinstance(survivors, list):  # perhaps nobody came to verify them
            self._again = deque(i for i in survivors if isinstance(i, int))
        self._case.log(f"mutate: goes on behind the first {self._done} edits")

    def _search(self) -> Iterator[None]:
        profile = self._profile
        confirm: deque[int] = deque()
        files = profile.failing_files()
        staged = len(profile.all_files()) > len(files) > 0
        cpu = profile.cpu_limit()
        for factor in (1.0, OVERDUE_FACTOR):
            if factor > 1.0:
                self._again = deque(self._overdue)
                self._overdue.clear()
            while True:
                while self._runs.room():
                    index = confirm.popleft() if confirm else None
                    whole = index is not None or not staged
                    if index is None:
                        index = self._take(only_again=factor > 1.0)
                        if index is None:
                            break
                    self._submit(index, cpu * factor, whole=whole, files=files)
                if not self._pending:
                    break
                for (index, whole), ran in self._runs.poll(self._left()):
                    self._pending -= 1
                    if ran.late and factor == 1.0:
                        self._overdue[index] = None
                    if ran.passed and not whole:
                        confirm.append(index)
                        continue
                    self._settle(index, survived=ran.passed)
                yield

    def _take(self, *, only_again: bool) -> int | None:
        """Return the index of the next edit that compiles and was not yet tried as such."""
        if self._again:
            return self._again.popleft()
        while not only_again and self._next < len(self._ranked):
            index = self._next
            self._next += 1
            edit = self._ranked[index][1]
            text = edit.apply(self._texts[edit.path])
            digest = hashlib.blake2b(f"{edit.path}\0{text}".encode(), digest_size=12).digest()
            if digest not in self._seen and _compiles(text):
                self._seen.add(digest)
                self._tried += 1
                return index
            self._settle(index, survived=False)
        return None

    def _submit(self, index: int, cpu: float, *, whole: bool, files: Sequence[str]) -> None:
        edit = self._ranked[index][1]
        profile = self._profile
        tests = profile.cpu if whole else (*profile.failing, *profile.hung)
        expected = sum(profile.cpu.get(test, 0.0) for test in tests)
        run = Run(
            sources={edit.path: edit.apply(self._texts[edit.path])},
            targets=() if whole else tuple(files),
            order=profile.order(),
            cpu=cpu,
            wall=1.5 + 3 * cpu + 5 * (expected + profile.collect_cpu),
        )
        self._pending += 1
        self._runs.submit(run, (index, whole))

    def _left(self) -> float:
        return max(0.0, min(0.25, self._deadline - monotonic()))

    def _settle(self, index: int, *, survived: bool) -> None:
        self._settled.add(index)
        while self._done in self._settled:
            self._settled.remove(self._done)
            self._done += 1
        if survived:
            score, edit = self._ranked[index]
            text = self._texts[edit.path]
            self._survivors.append(index)
            self._found.append(
                Candidate(
                    diff=unified_diff(edit.path, text, edit.apply(text)),
                    description=edit.describe(text),
                    score=score,
                )
            )


def _compiles(text: str) -> bool:
    if len(text) > COMPILED_CHARS:
        return True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(text, "<edit>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
