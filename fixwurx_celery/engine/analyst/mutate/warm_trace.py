"""What a traced test run touched: lines, the types of local names, where it raised or hung.

Loaded into a forked child of the warm host, under the interpreter of the program being repaired:
standard library only.
"""

import os
import signal
import sys
from collections import Counter, deque
from types import CodeType, FrameType
from typing import Any

TAIL_EVENTS = 600  # enough for several turns of a short endless loop
RETURNS_TYPED = 20
TYPED_VISITS = 4  # reading locals is slow, and types rarely change after the first visits


class Tracer:
    """Counts line events in the files under edit, test by test."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.edited: dict[str, str] = {}
        for name in host.spec["edited"]:
            self.edited[os.path.realpath(host.root / name)] = name
        self.known: dict[CodeType, str | None] = {}
        self.test = ""
        self.lines: Counter[tuple[str, int]] = Counter()
        self.tail: deque[tuple[str, int]] = deque(maxlen=TAIL_EVENTS)
        self.types: dict[tuple[str, int], dict[str, set[str]]] = {}
        self.returns: Counter[tuple[str, int]] = Counter()
        self.frames: list[tuple[str, int]] = []
        signal.signal(signal.SIGPROF, self.hung)

    def begin(self, test: str) -> None:
        """Forget the previous test and start counting for this one."""
        self.test = test
        self.lines.clear()
        self.tail.clear()
        self.frames = []
        self.start()

    def start(self) -> None:
        """Count from here on."""
        sys.settrace(self.enter)

    def stop(self) -> None:
        """Do not count what pytest itself does."""
        sys.settrace(None)

    def end(self) -> None:
        """Report the test that just ended."""
        self.stop()
        self.report(hung=False)

    def hung(self, _signum: int, _frame: FrameType | None) -> None:
        """Report the test that used up its processor time, and leave."""
        self.stop()
        self.report(hung=True)
        self.host.leave("fail", phase="hung")

    def report(self, *, hung: bool) -> None:
        """Send the counts to the host."""
        self.host.say(
            trace=self.test,
            hung=hung,
            lines=[[file, line, count] for (file, line), count in self.lines.items()],
            tail=sorted({*self.tail}) if hung else [],
            raised=self.frames,
            types=[
                [file, line, {name: sorted(kinds) for name, kinds in names.items()}]
                for (file, line), names in self.types.items()
            ],
        )
        self.types.clear()

    def raised(self, excinfo: Any) -> None:
        """Keep the frames of an exception that lie in the files under edit, innermost first."""
        if excinfo is None or self.frames:
            return
        step = excinfo.tb
        while step is not None:
            name = self.file_of(step.tb_frame.f_code)
            if name is not None:
                self.frames.append((name, step.tb_lineno))
            step = step.tb_next
        self.frames = self.frames[::-1][:50]

    def file_of(self, code: CodeType) -> str | None:
        """Return the file under edit that `code` belongs to."""
        if code not in self.known:
            self.known[code] = self.edited.get(os.path.realpath(code.co_filename))
        return self.known[code]

    def enter(self, frame: FrameType, _event: str, _arg: Any) -> Any:
        """Trace only frames of the files under edit."""
        name = self.file_of(frame.f_code)
        if name is None:
            return None
        first = frame.f_code.co_firstlineno

        def trace(frame: FrameType, event: str, _arg: Any) -> Any:
            if event == "line":
                place = (name, frame.f_lineno)
                self.lines[place] += 1
                self.tail.append(place)
                if self.lines[place] <= TYPED_VISITS:
                    self.note_types(name, first, frame)
            elif event == "return" and self.returns[name, first] < RETURNS_TYPED:
                self.returns[name, first] += 1
                self.note_types(name, first, frame)
            return trace

        return trace

    def note_types(self, name: str, first: int, frame: FrameType) -> None:
        """Remember the types of the local names of a function, as seen at one moment."""
        seen = self.types.setdefault((name, first), {})
        for variable, value in list(frame.f_locals.items()):
            kinds = seen.setdefault(variable, set())
            if len(kinds) < 6:
                kinds.add(type(value).__name__)
