"""What it costs, measured on real processes beside plain Celery: `python -m bench`."""
