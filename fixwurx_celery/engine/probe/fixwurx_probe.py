"""Records which lines of the tree each test runs, from inside the process that runs the tests.

Works in any Python from 3.8 on and needs nothing but the standard library; where `coverage` is
importable its C tracer is used, which is faster. It serves a pytest plugin
(fixwurx_probe_pytest.py) and wraps `unittest.TestCase.run`; where neither runs, the whole process
counts as one failing test. Only sums are kept (by line: failing and passing tests that ran it), so
size does not grow with the number of tests. They are written to FIXWURX_PROBE_OUT/<pid>.json whole,
by rename, whenever a test fails and at the end; so a later hang or kill leaves what was learnt.
"""

# It runs in any Python and loads as little as it can.
# mypy: ignore-errors
# ruff: noqa: ARG001, ARG002, D102, PTH105, PTH118, PTH123, UP031

import atexit
import json
import os
import signal
import sys
import threading
import time

ROOT = os.path.realpath(os.environ.get("FIXWURX_PROBE_ROOT", ".")) + os.sep
LIMIT_S = float(os.environ.get("FIXWURX_PROBE_TEST_LIMIT_S", "0"))
START_LIMIT_S = float(os.environ.get("FIXWURX_PROBE_START_LIMIT_S", "0"))  # until the first test
MAX_NAMES = 300
SKIPPED = (os.sep + "site-packages" + os.sep, os.sep + ".tox" + os.sep, os.sep + "venv" + os.sep)


class TestTookTooLong(BaseException):
    """Raised in a test that overran its limit, so that a hang has a traceback and coverage."""

    __test__ = False


class PlainTracer:
    """Lines by file through sys.settrace."""

    def __init__(self):
        self.lines = {}
        self.wanted = {}

    def _global(self, frame, event, arg):
        name = frame.f_code.co_filename
        lines = self.wanted.get(name)
        if lines is None:
            path = os.path.realpath(name)
            is_file = not name.startswith("<")  # else it has a name of the interpreter's making
            is_ours = is_file and path.startswith(ROOT) and not any(p in path for p in SKIPPED)
            lines = self.wanted[name] = path[len(ROOT) :] if is_ours else ""
        if not lines:
            return None
        seen = self.lines.setdefault(lines, set())

        def local(frame, event, arg):
            if event == "line":
                seen.add(frame.f_lineno)
            return local

        return local

    def start(self):
        threading.settrace(self._global)
        sys.settrace(self._global)

    def take(self):
        sys.settrace(None)
        threading.settrace(None)
        lines, self.lines = self.lines, {}
        return lines


class CoverageTracer:
    """The same through coverage, one in-memory run a test."""

    def __init__(self):
        import coverage

        self.coverage = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[ROOT + "*"],
            omit=["*" + part + "*" for part in SKIPPED],
            messages=False,
        )
        quiet = ["no-data-collected", "trace-changed", "already-imported", "module-not-measured"]
        self.coverage.set_option("run:disable_warnings", quiet)

    def start(self):
        self.coverage.erase()
        self.coverage.start()

    def take(self):
        self.coverage.stop()
        data = self.coverage.get_data()
        found = {}
        for name in data.measured_files():
            path = os.path.realpath(name)
            if path.startswith(ROOT):
                found[path[len(ROOT) :]] = set(data.lines(name) or ())
        return found


class Probe:
    """The sums of this process."""

    def __init__(self):
        try:
            self.tracer = CoverageTracer()
        except Exception:
            self.tracer = PlainTracer()
        self.failed = {}
        self.passed = {}
        self.imported = {}
        self.names = {"failing": [], "passing": []}
        self.counts = {"failing": 0, "passing": 0}
        self.has_tests = False
        self.written = 0.0
        self.pid = os.getpid()

    def between(self):
        """End what runs before the first test (imports, collection) and keep its lines."""
        if self.has_tests:
            return
        self.has_tests = True
        disarm()
        for path, lines in self.tracer.take().items():
            self.imported.setdefault(path, set()).update(lines)

    def test(self, name, is_failing, lines):
        kind, sums = ("failing", self.failed) if is_failing else ("passing", self.passed)
        self.counts[kind] += 1
        if len(self.names[kind]) < MAX_NAMES:
            self.names[kind].append(name)
        for path, numbers in lines.items():
            file = sums.setdefault(path, {})
            for number in numbers:
                file[number] = file.get(number, 0) + 1
        if is_failing or time.monotonic() - self.written > 1.0:
            self.write()

    def write(self):
        folder = os.environ["FIXWURX_PROBE_OUT"]
        record = {
            "has_tests": self.has_tests,
            "counts": self.counts,
            "names": self.names,
            "failing": self.failed,
            "passing": self.passed,
            "imported": {path: sorted(lines) for path, lines in self.imported.items()},
        }
        target = os.path.join(folder, "%d.json" % self.pid)
        with open(target + ".part", "w") as stream:
            json.dump(record, stream)
        os.replace(target + ".part", target)
        self.written = time.monotonic()

    def finish(self):
        if os.getpid() != self.pid:
            return
        if not self.has_tests:
            self.between()
            self.has_tests = False
        self.write()


_probe = None


def begin():
    """Start recording in this process; a fork of it records nothing."""
    global _probe
    if _probe is None:
        _probe = Probe()
        _probe.tracer.start()
        atexit.register(_probe.finish)
        _wrap_unittest(_probe)
        arm(START_LIMIT_S)
    return _probe


def _on_alarm(signum, frame):
    raise TestTookTooLong("no end within the limit")


def arm(limit=LIMIT_S):
    """Limit what follows."""
    if limit and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, _on_alarm)
        signal.setitimer(signal.ITIMER_REAL, limit)


def disarm():
    """Lift the limit."""
    if threading.current_thread() is threading.main_thread():
        signal.setitimer(signal.ITIMER_REAL, 0)


def _wrap_unittest(probe):
    import unittest

    original = unittest.TestCase.run

    def run(self, result=None):
        if "pytest" in sys.modules or result is None or os.getpid() != probe.pid:
            return original(self, result)
        probe.between()
        before = len(result.errors) + len(result.failures)
        probe.tracer.start()
        too_long = None
        try:
            arm()
            try:
                returned = original(self, result)
            finally:
                disarm()
        except TestTookTooLong as problem:
            too_long, returned = problem, result
            result.addError(self, (type(problem), problem, problem.__traceback__))
        lines = probe.tracer.take()
        is_failing = too_long is not None or len(result.errors) + len(result.failures) > before
        probe.test(self.id(), is_failing, lines)
        return returned

    unittest.TestCase.run = run
