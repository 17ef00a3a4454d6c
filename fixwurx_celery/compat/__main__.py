"""Prints the folder to put first on the path."""

from fixwurx_celery.compat import FOLDER

print(FOLDER)
