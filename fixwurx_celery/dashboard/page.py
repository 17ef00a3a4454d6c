"""The page, its scripts, and the picture of the cluster that they ask for."""

from pathlib import Path
from typing import Final

from tornado.httputil import url_concat
from tornado.web import StaticFileHandler

from fixwurx_celery.dashboard.guarded import Api, OurHandler
from fixwurx_celery.dashboard.steering import refusal_to_act

__all__ = ["ASSETS", "Asset", "ClusterApi", "ClusterPage"]

ASSETS: Final = Path(__file__).parent / "static"
SCRIPTS: Final = tuple(sorted(path.name for path in ASSETS.glob("*.js")))

PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""`data:` is for the pictures in Flower's own style sheet."""


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
            scripts=SCRIPTS,
            drain_timeout=f"{self.application.connection.settings.drain_timeout_sec:g}",
            refusal=refusal_to_act(self),
        )


class Asset(StaticFileHandler):
    """Scripts and styles. They name each other without a version, so browsers ask each time."""

    def set_extra_headers(self, path: str) -> None:  # noqa: ARG002
        """A new release must not meet the scripts of the old one."""
        self.set_header("Cache-Control", "no-cache")
        self.set_header("X-Content-Type-Options", "nosniff")


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
