"""FixWurx on Celery: bugs in, verified patches out, agents never over-committed.

Importing this package connects to nothing and starts nothing. `celery -A fixwurx_celery` finds the
node's application as `app`, made from FIXWURX_* variables when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["__version__", "app"]

if TYPE_CHECKING:
    from celery import Celery

    app: Celery


def __getattr__(name: str) -> Any:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fixwurx_celery.settings import Settings
    from fixwurx_celery.worker.app import node_app

    globals()["app"] = made = node_app(Settings.from_environment())
    return made
