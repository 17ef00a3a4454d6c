"""The pytest plugin of the probe: records each test, stops at no failure, limits each test."""

# pytest passes hook arguments by name.
# mypy: ignore-errors
# ruff: noqa: ARG001

import fixwurx_probe
import pytest

_probe = fixwurx_probe.begin()
_failed = set()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config):
    """Run on after a failure, whatever the command says: passing tests are needed as well."""
    config.option.maxfail = 0


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item):
    """Record the lines of one test, its fixtures included."""
    _probe.between()
    _probe.tracer.start()
    yield
    _probe.test(item.nodeid, item.nodeid in _failed, _probe.tracer.take())


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item):
    """Turn a hang into a failure with a traceback."""
    fixwurx_probe.arm()
    try:
        yield
    finally:
        fixwurx_probe.disarm()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remember which tests failed."""
    outcome = yield
    if outcome.get_result().failed:
        _failed.add(item.nodeid)
