"""Imported by every Python that a traced command starts, because its folder leads PYTHONPATH.

It lets the sitecustomize that it hides run as well, then begins to record (fixwurx_probe.py).
"""

# pathlib would be loaded into every Python that is traced.
# mypy: ignore-errors
# ruff: noqa: PTH100, PTH120

import importlib.machinery
import os
import sys


def _hidden() -> None:
    here = os.path.dirname(os.path.abspath(__file__))
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", rest)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)


try:
    import importlib.util

    _hidden()
finally:
    if os.environ.get("FIXWURX_PROBE_OUT"):
        import fixwurx_probe

        fixwurx_probe.begin()
