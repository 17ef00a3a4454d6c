"""FixWurx on Celery: bugs in, verified patches out, agents never over-committed."""

__version__ = "0.1.0"
