"""FixWurx's own module names, resolved to this package's classes.

With this folder first on the path, `from resource_manager import ResourceManager` and the like give
the cluster's. `python -m fixwurx_celery.compat` prints the folder, so that a program need not be
touched:

    PYTHONPATH="$(python -m fixwurx_celery.compat)" python main.py
"""

from pathlib import Path

__all__ = ["FOLDER"]

FOLDER = Path(__file__).parent
"""The one to put first on the path."""
