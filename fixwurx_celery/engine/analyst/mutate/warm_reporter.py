"""The pytest plugin of a warm host; standard library only.

Its hooks are marked when it is made, with the pytest of the program being repaired.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any


class Reporter:
    """The pytest plugin: forks inside collection (late), orders tests, stops at the first fall."""

    def __init__(self, host: Any, pytest: Any, beside: Callable[[str], Any], *, late: bool) -> None:
        self.host = host
        self.beside = beside
        self.late = late
        self.tracer: Any = None
        hook = pytest.hookimpl
        cls = type(self)
        for name, options in {
            "pytest_collection": {"tryfirst": True},
            "pytest_collection_modifyitems": {"trylast": True},
            "pytest_runtest_protocol": {"hookwrapper": True, "tryfirst": True},
            "pytest_runtest_makereport": {"hookwrapper": True},
            "pytest_sessionfinish": {"hookwrapper": True, "tryfirst": True},
        }.items():
            hook(**options)(getattr(cls, name))

    def pytest_collection(self, session: Any) -> None:
        """Fork here, again and again; what returns from `serve` is a child with work."""
        if self.late:
            self.host.serve()
        request = self.host.request
        if request["targets"]:
            session.config.args = list(request["targets"])
        if request["trace"]:
            self.tracer = self.beside("warm_trace").Tracer(self.host)

    def pytest_collectreport(self, report: Any) -> None:
        """A test file that cannot be imported decides a run."""
        if report.failed and not self.host.request["sweep"]:
            self.host.leave("fail", test=report.nodeid, phase="collect")
        if report.failed:
            self.host.say(uncollected=report.nodeid)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Put the tests that refuse a wrong candidate soonest first."""
        if self.host.request["sweep"]:
            self.host.say(collected=time.process_time())
        skipped = set(self.host.request["skipped"])
        items[:] = [item for item in items if item.nodeid not in skipped]
        order = self.host.request["order"]
        if order:
            place = {name: index for index, name in enumerate(order)}
            chosen = [item for item in items if item.nodeid in place]
            rest = [item for item in items if item.nodeid not in place]
            chosen.sort(key=lambda item: place[item.nodeid])
            if self.host.request["only"]:
                rest = []
            items[:] = chosen + rest

    def pytest_runtest_protocol(self, item: Any) -> Any:
        """Give every test its own processor time, and a sweep its measurements."""
        self.host.arm()
        if self.host.request["sweep"]:
            self.host.say(begin=item.nodeid)
        started, cpu = time.perf_counter(), time.process_time()
        if self.tracer:
            self.tracer.begin(item.nodeid)
        yield
        if self.tracer:
            self.tracer.end()
        if self.host.request["sweep"]:
            self.host.say(
                end=item.nodeid,
                seconds=time.perf_counter() - started,
                cpu=time.process_time() - cpu,
            )

    def pytest_runtest_makereport(self, item: Any, call: Any) -> Any:
        """Leave at the first failure, before a report is made of it."""
        if self.tracer:
            self.tracer.stop()
            self.tracer.raised(call.excinfo)
        if call.excinfo is not None and not self.host.request["sweep"] and self.is_plain(item):
            # building the report of a failure can cost more than the test
            kind = {cls.__name__ for cls in type(call.excinfo.value).__mro__}
            if not kind & {"OutcomeException", "SkipTest", "Exit"}:
                self.host.leave("fail", test=item.nodeid, phase=call.when)
        yield
        if self.tracer:
            self.tracer.start()

    @staticmethod
    def is_plain(item: Any) -> bool:
        """Whether an exception in this test can only mean failure."""
        return type(item).__name__ == "Function" and item.get_closest_marker("xfail") is None

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Leave at a failure that only its report shows."""
        if report.failed:
            if not self.host.request["sweep"]:
                self.host.leave("fail", test=report.nodeid, phase=report.when)
            self.host.say(failed=report.nodeid, phase=report.when)

    def pytest_internalerror(self) -> None:
        """Leave: pytest itself is broken by the edit."""
        self.host.leave("fail", phase="internal")

    def pytest_sessionfinish(self, session: Any) -> Any:
        """Give the verdict after every other plugin has had its say."""
        yield
        if self.host.request["sweep"]:
            outside = [
                name
                for name, module in list(sys.modules.items())
                if isinstance(file := getattr(module, "__file__", None), str)
                and not os.path.realpath(file).startswith(str(self.host.root) + os.sep)
            ]
            self.host.say(modules=outside)
        self.host.leave("pass" if session.exitstatus == 0 else "fail", phase="session")
