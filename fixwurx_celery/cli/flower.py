"""`flower`: Celery's web page, with a tab that shows the cluster."""

import importlib.util
import os
from collections.abc import Sequence

import click

from fixwurx_celery.cli.connection import settings_here
from fixwurx_celery.cli.options import examples
from fixwurx_celery.errors import FixwurxError

__all__ = ["flower"]


@click.command(
    context_settings={"ignore_unknown_options": True},
    epilog="""\b
Options of Flower's that are often wanted; FLOWER_<NAME> sets each too:
  --address=0.0.0.0              listen for other hosts; refused without a login
  --port=5555
  --basic_auth=NAME:PASSWORD     a login; may have several, separated by commas
  --auth=REGEXP --auth_provider=flower.views.auth.GithubLoginHandler   log in with OAuth
  --url_prefix=flower            behind a proxy that serves it below /flower
  --read_only=True               nobody can change anything
With a login, /metrics and /healthcheck answer to FIXWURX_METRICS_TOKEN as a bearer token too.
All options: https://flower.readthedocs.io/en/latest/config.html

"""
    + examples("flower", "flower --basic_auth=me:secret --address=0.0.0.0"),
)
@click.argument("options", metavar="[OPTIONS OF FLOWER]...", nargs=-1, type=click.UNPROCESSED)
def flower(options: Sequence[str]) -> None:
    """Serves Flower with a page of the cluster, on http://127.0.0.1:5555.

    The same as `celery -A fixwurx_celery flower`, but it finds the cluster of a running `up` too.
    """
    settings = settings_here()
    if importlib.util.find_spec("flower") is None:
        raise FixwurxError("Flower is not installed: pip install 'fixwurx-celery[flower]'")
    from fixwurx_celery.dashboard.launching import serve

    os.environ.update(settings.environment())
    serve(options)
