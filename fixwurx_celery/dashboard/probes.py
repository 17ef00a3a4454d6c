"""/metrics and /healthcheck, of which Flower's own ask nobody who they are."""

import hmac

from tornado.web import HTTPError

from fixwurx_celery.dashboard.access import has_login
from fixwurx_celery.dashboard.guarded import OurHandler
from fixwurx_celery.metrics.prometheus import default_page

__all__ = ["Healthcheck", "Metrics"]


class Probed(OurHandler):
    """Open to those who are logged in, and to those who send FIXWURX_METRICS_TOKEN; to all where
    there is neither."""

    def prepare(self) -> None:
        """Raises HTTPError for everybody else."""
        wanted = self.application.connection.settings.metrics_token
        is_guarded = has_login(self.application.options)
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if wanted and scheme == "Bearer":
            if not hmac.compare_digest(token.encode(), wanted.encode()):
                raise HTTPError(401)
        elif (wanted and not is_guarded) or not self.current_user:
            raise HTTPError(401)


class Metrics(Probed):
    """Flower's /metrics, with the cluster's."""

    async def get(self) -> None:
        """As Flower's, but the store is asked for ours in a thread."""
        self.application.purge_offline_worker_metrics()
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(await self.application.in_thread(default_page))


class Healthcheck(Probed):
    """Flower's /healthcheck, of the store too: 503 while the page could not show the cluster."""

    async def get(self) -> None:
        """OK, or what is the matter."""
        live = self.application.live
        await live.refresh()
        if live.trouble:
            self.set_status(503)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(live.trouble or "OK")
