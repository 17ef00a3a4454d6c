"""Handlers that answer only those who are known, by the way they are made: who asks is looked at
before a method is reached."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

from flower.views import BaseHandler
from tornado.web import HTTPError

from fixwurx_celery.errors import BugUnknown, FixwurxError, NodeUnknown, StoreUnavailable

if TYPE_CHECKING:
    from fixwurx_celery.dashboard.application import ClusterFlower

__all__ = ["Api", "OurHandler", "Stranger", "in_a_line"]

Answer = TypeVar("Answer")

POLICY: Final = "default-src 'none'; sandbox; frame-ancestors 'none'"


class OurHandler(BaseHandler):  # type: ignore[misc]
    """Answers only those who are known."""

    application: "ClusterFlower"

    def prepare(self) -> None:
        """Raises HTTPError for whoever may not see the cluster."""
        if not self.current_user:
            self.refuse_unknown()

    def get_current_user(self) -> Any:
        """As Flower's, which fails over a name or password that is not ASCII."""
        try:
            return super().get_current_user()
        except TypeError as error:
            raise HTTPError(401) from error

    def refuse_unknown(self) -> None:
        """What who is not logged in gets: the way to log in."""
        raise HTTPError(401)

    async def blocking(self, work: Callable[..., Answer], *given: Any) -> Answer:
        """Does the work in a thread; raises HTTPError for what it raises."""
        try:
            return await self.application.in_thread(work, *given)
        except (BugUnknown, NodeUnknown) as error:
            raise HTTPError(404, in_a_line(error)) from error
        except StoreUnavailable as error:
            raise HTTPError(503, in_a_line(error)) from error
        except FixwurxError as error:
            raise HTTPError(400, in_a_line(error)) from error


class Api(OurHandler):
    """Answers programs: in JSON, and errors in plain text."""

    def compute_etag(self) -> None:
        """None: nothing here is kept by whoever asks."""

    def set_default_headers(self) -> None:
        """Nobody else keeps or reads what is answered, whatever Flower allows to its own pages."""
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", POLICY)

    def options(self, *_: str) -> None:
        """No other site is let in."""
        raise HTTPError(405)

    def write_error(self, status_code: int, **given: Any) -> None:
        """The reason in a line."""
        error = given.get("exc_info", (None, None))[1]
        said = error.get_message() if isinstance(error, HTTPError) else ""
        # A page says itself that it was logged out; a browser would ask for the password at once,
        # and every second again.
        is_page = self.request.headers.get("X-Requested-With") == "XMLHttpRequest"
        if status_code == 401 and self.application.options.basic_auth and not is_page:
            self.set_header("WWW-Authenticate", 'Basic realm="flower"')
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.finish(((said or self._reason) + "\n").encode("utf-8", "replace"))


class Stranger(Api):
    """What every path is to those who ask under another name than this host's own."""

    def check_xsrf_cookie(self) -> None:
        """Nothing is done here."""

    def prepare(self) -> None:
        """Raises HTTPError."""
        raise HTTPError(
            403,
            "this Flower has no login, and answers only to names of its own host (localhost); "
            "give it --basic_auth",
        )


def in_a_line(said: object) -> str:
    """What was said, as one line: nobody's text may begin a line of the log."""
    return " ".join(str(said).split())
