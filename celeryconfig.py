"""The Celery settings of this deployment, for `celery --config celeryconfig` and Flower.

Derived from FIXWURX_* variables; what each is for stands in fixwurx_celery/broker.py.
"""

from fixwurx_celery.broker import celery_settings
from fixwurx_celery.settings import Settings

globals().update(celery_settings(Settings.from_environment()))
