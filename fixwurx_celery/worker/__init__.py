"""A node: a Celery worker that runs the bugs assigned to it, each in a process group of its own."""
