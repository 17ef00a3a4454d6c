"""The page and its API. Who is not known gets nothing, by the way these classes are made: a request
is checked before its method is reached."""

import hmac
import json
import logging
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flower.views import BaseHandler
from tornado.httputil import url_concat
from tornado.web import HTTPError, RequestHandler, StaticFileHandler, url

from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.patch import patch_of
from fixwurx_celery.dashboard.access import has_login, is_name_of_this_host
from fixwurx_celery.dashboard.actions import drain, resume, set_strategy
from fixwurx_celery.errors import BugUnknown, FixwurxError, NodeUnknown, StoreUnavailable
from fixwurx_celery.metrics.prometheus import default_page

if TYPE_CHECKING:
    from fixwurx_celery.dashboard.application import ClusterFlower

__all__ = ["ROUTES"]

log = logging.getLogger(__name__)

Answer = TypeVar("Answer")

ASSETS: Final = Path(__file__).parent / "static"

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""`data:` is for the pictures in Flower's own style sheet."""
TEXT_POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"


class OurHandler(BaseHandler):  # type: ignore[misc]
    """Answers only those who are known."""

    application: "ClusterFlower"

    def prepare(self) -> None:
        """Raises HTTPError for whoever may not see the cluster."""
        options = self.application.options
        if not has_login(options) and not options.unix_socket:
            self._refuse_other_names()
        if not self.current_user:
            self.refuse_unknown()

    def _refuse_other_names(self) -> None:
        """Without a login, a browser on this host could be made to read for other sites."""
        if not is_name_of_this_host(self.request.host):
            raise HTTPError(
                403,
                "this Flower has no login, and answers only to names of its own host "
                "(localhost); give it --basic_auth",
            )

    def refuse_unknown(self) -> None:
        """What who is not logged in gets: the way to log in."""
        raise HTTPError(401)

    async def blocking(self, work: Callable[..., Answer], *given: Any) -> Answer:
        """Does the work in a thread; raises HTTPError for what it raises."""
        try:
            return await self.application.in_thread(work, *given)
        except (BugUnknown, NodeUnknown) as error:
            raise HTTPError(404, str(error)) from error
        except StoreUnavailable as error:
            raise HTTPError(503, str(error)) from error
        except FixwurxError as error:
            raise HTTPError(400, str(error)) from error


class ClusterPage(OurHandler):
    """The page. All that it shows comes by the API."""

    def refuse_unknown(self) -> None:
        """Sends a browser to the login page, and from there back."""
        self.redirect(url_concat(self.get_login_url(), {"next": self.request.uri or ""}))

    def get(self) -> None:
        """The frame of the page, empty."""
        self.set_header("Content-Security-Policy", PAGE_POLICY)
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.render(
            "cluster.html",
            scripts=self.application.scripts,
            drain_timeout=f"{self.application.connection.settings.drain_timeout_sec:g}",
            refusal=refusal_to_act(self),
        )


class Asset(StaticFileHandler):
    """Scripts and styles. They name each other without a version, so browsers ask each time."""

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        """A new release must not meet the scripts of the old one."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


class Api(OurHandler):
    """Answers programs: in JSON, and errors in plain text."""

    def compute_etag(self) -> None:
        """None: nothing here is kept by whoever asks."""

    def set_default_headers(self) -> None:
        """Nobody else keeps or reads what is answered, whatever Flower allows to its own pages."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", TEXT_POLICY)

    def options(self, *_: str) -> None:
        """No other site is let in."""
        raise HTTPError(405)

    def write_error(self, status_code: int, **given: Any) -> None:
        """The reason in a line."""
        error = given.get("exc_info", (None, None))[1]
        said = error.get_message() if isinstance(error, HTTPError) else ""
        if status_code == 401 and self.application.options.basic_auth:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish((said or self._reason) + "\n")


class ClusterApi(Api):
    """GET ?have=V,V,...: the parts of the picture whose versions are not among these."""

    async def get(self) -> None:
        """304 when there is nothing new."""
        live = self.application.live
        await live.refresh()
        self.set_header("Fixwurx-Now-Ms", str(live.now_ms))
        self.set_header("Fixwurx-Due-Ms", str(live.due_ms))
        have = frozenset(self.get_query_argument("have", "").split(","))
        new = [name for name, part in live.parts().items() if part.version not in have]
        if not new:
            self.set_status(304)
            return
        is_gzip = "gzip" in self.request.headers.get("Accept-Encoding", "")
        if is_gzip:
            self.set_header("Content-Encoding", "gzip")
        self.set_header("Vary", "Accept-Encoding")
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        self.write(live.body(new, is_gzip=is_gzip))


class TextApi(Api):
    """Text by others, which no browser may take for anything else."""

    def answer(self, text: bytes) -> None:
        """The text as it is."""
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(text)


class LogApi(TextApi):
    """GET ?bug=ID&run=N: what that run of the bug printed, or the last one."""

    async def get(self) -> None:
        """Its last megabyte, at most two seconds old."""
        bug_id, run = self.get_query_argument("bug"), self.get_query_argument("run", "")
        if run and not run.isdecimal():
            raise HTTPError(400, "run must be a number")
        self.answer(await self.blocking(log_of, self.application.connection, bug_id, run))


class PatchApi(TextApi):
    """GET ?bug=ID: the patch of the bug, as `git apply` takes it."""

    async def get(self) -> None:
        """404 when it has none."""
        bug_id = self.get_query_argument("bug")
        self.answer(await self.blocking(patch_text, self.application.connection, bug_id))


def log_of(connection: Connection, bug_id: str, run: str) -> bytes:
    """Raises BugUnknown, StoreUnavailable."""
    record = connection.store.bug(bug_id)
    number = int(run) if run else record.runs
    text = connection.store.log(bug_id, number) if number else ""
    return (text or f"run {number} of {bug_id} printed nothing\n").encode("utf-8", "replace")


def patch_text(connection: Connection, bug_id: str) -> bytes:
    """Raises BugUnknown, StoreUnavailable."""
    patch = patch_of(connection.settings, connection.store.bug(bug_id), is_patient=False)
    if patch is None:
        raise HTTPError(404, "bug %s has no patch", bug_id)
    return patch


# -- what changes something ----------------------------------------------------------------------


def refusal_to_act(handler: OurHandler) -> str:
    """Why nothing can be changed from here; empty when it can."""
    options = handler.application.options
    if options.read_only:
        return "Flower was started with --read_only"
    if not has_login(options) and not handler.unauthenticated_api:
        return "Flower was started without a login; with --basic_auth the cluster can be steered"
    return ""


class ActionApi(Api):
    """POST of JSON, by those who may act, from our own page, with a line in the log."""

    def initialize(self, field: str, act: Callable[[Connection, str], str]) -> None:
        """`act` is done with what the request has in this field."""
        self.field, self.act = field, act

    def check_xsrf_cookie(self) -> None:
        """As Flower's, which trusts what browsers say of where a request comes from; and the token
        that only a page of ours could have read."""
        super().check_xsrf_cookie()
        RequestHandler.check_xsrf_cookie(self)
        if not self.request.headers.get("Content-Type", "").startswith("application/json"):
            raise HTTPError(415, "send JSON")

    def prepare(self) -> None:
        """Raises HTTPError when nothing can be changed from here."""
        super().prepare()
        if refusal := refusal_to_act(self):
            raise HTTPError(403, refusal)

    async def post(self) -> None:
        """What was done, in words."""
        try:
            given = json.loads(self.request.body)[self.field]
        except (ValueError, KeyError, TypeError) as error:
            raise HTTPError(400, f'send {{"{self.field}": "..."}}') from error
        if not isinstance(given, str):
            raise HTTPError(400, f"{self.field} must be text")
        asked = f"{self.who()} asked for {self.act.__name__} {given!r}"
        try:
            said = await self.blocking(self.act, self.application.connection, given)
        except HTTPError as error:
            log.warning("%s: refused: %s", asked, error.get_message())
            raise
        log.info("%s: %s", asked, said)
        self.application.live.expire()
        self.write({"said": said})

    def who(self) -> str:
        """Name and address of the one who asks, for the log."""
        name = self.current_user if isinstance(self.current_user, str) else ""
        if not name and self.application.options.basic_auth:
            _, _, encoded = self.request.headers.get("Authorization", "").partition(" ")
            name = b64decode(encoded).decode("utf-8", "replace").partition(":")[0]
        return f"{(name or 'somebody')!r} from {self.request.remote_ip}"


# -- Flower's own, which ask nobody who they are -------------------------------------------------


class Probed(BaseHandler):  # type: ignore[misc]
    """Open to those who are logged in, and to those who send FIXWURX_METRICS_TOKEN."""

    def prepare(self) -> None:
        """Raises HTTPError for everybody else."""
        wanted = self.application.connection.settings.metrics_token
        if not has_login(self.application.options):
            return
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bearer" and wanted:
            if hmac.compare_digest(token.encode(), wanted.encode()):
                return
            raise HTTPError(401)
        if not self.current_user:
            raise HTTPError(401)


class GuardedMetrics(Probed):
    """Flower's /metrics, with the cluster's."""

    async def get(self) -> None:
        """As Flower's, but the store is asked for ours in a thread."""
        self.application.purge_offline_worker_metrics()
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(await self.application.in_thread(default_page))


class GuardedHealthcheck(Probed):
    """Flower's /healthcheck, of the store too: 503 while the page could not show the cluster."""

    async def get(self) -> None:
        """OK, or what is the matter."""
        live = self.application.live
        await live.refresh()
        if live.trouble:
            self.set_status(503)
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(live.trouble or "OK")


ROUTES: Final = (
    url(r"/cluster", ClusterPage, name="cluster"),
    url(r"/api/fixwurx/cluster", ClusterApi, name="cluster-api"),
    url(r"/api/fixwurx/log", LogApi, name="log-api"),
    url(r"/api/fixwurx/patch", PatchApi, name="patch-api"),
    url(r"/api/fixwurx/drain", ActionApi, {"field": "node", "act": drain}, name="drain-api"),
    url(r"/api/fixwurx/resume", ActionApi, {"field": "node", "act": resume}, name="resume-api"),
    url(
        r"/api/fixwurx/strategy",
        ActionApi,
        {"field": "strategy", "act": set_strategy},
        name="strategy-api",
    ),
    url(r"/cluster/static/(.*)", Asset, {"path": str(ASSETS)}, name="asset"),
    url(r"/metrics", GuardedMetrics),
    url(r"/healthcheck", GuardedHealthcheck),
)
"""Before Flower's own, some of which they replace."""
