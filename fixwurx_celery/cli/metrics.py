"""`metrics`: the cluster for Prometheus, served or printed."""

import threading
from typing import Any, Final

import click

from fixwurx_celery.cli.connection import cluster, settings_here
from fixwurx_celery.cli.options import examples, option
from fixwurx_celery.errors import FixwurxError
from fixwurx_celery.metrics import page, server_of

__all__ = ["metrics"]

LISTEN: Final = "127.0.0.1:9464"


@click.command(
    epilog=examples(
        "metrics",
        "metrics --once | grep fixwurx_agents",
        "metrics --listen 0.0.0.0:9464    # with FIXWURX_METRICS_TOKEN",
    )
)
@option(
    "--listen", env="METRICS_LISTEN", default=LISTEN, show_default=True, metavar="HOST:PORT",
    help="Where Prometheus finds them, at /metrics.",
)  # fmt: skip
@option(
    "--allow-remote", env="METRICS_ALLOW_REMOTE", is_flag=True,
    help="Serve other hosts without a token: anybody there may read them.",
)  # fmt: skip
@option("--once", env="METRICS_ONCE", is_flag=True, help="Print them, and end.")
def metrics(listen: str, allow_remote: bool, once: bool) -> None:
    """Serves the cluster's metrics to Prometheus, until Ctrl-C.

    They are read from the store when they are asked for; docs/metrics.md has what each means. A
    controller with FIXWURX_METRICS_LISTEN serves the same. Other hosts are served only with
    FIXWURX_METRICS_TOKEN, or with --allow-remote. While the store is away there is `fixwurx_up 0`.
    """
    given: dict[str, Any] = {"metrics_listen": listen}
    if allow_remote:
        given["metrics_allow_remote"] = True
    settings = settings_here(**given)
    if once:
        with cluster(settings):
            click.echo(page(settings), nl=False)
        return
    server = server_of(settings)
    try:
        server.start()
    except OSError as error:
        raise FixwurxError(f"cannot listen at {listen}: {error.strerror}") from error
    click.echo(f"metrics are at http://{server.address}/metrics until Ctrl-C", err=True)
    threading.Event().wait()
