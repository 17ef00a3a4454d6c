"""What changes something, asked for by a page."""

import json
import logging
from base64 import b64decode
from collections.abc import Callable

from tornado.web import HTTPError, RequestHandler

from fixwurx_celery.cluster import Connection
from fixwurx_celery.dashboard.access import has_login
from fixwurx_celery.dashboard.guarded import Api, OurHandler, in_a_line

__all__ = ["ActionApi", "refusal_to_act"]

log = logging.getLogger(__name__)


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
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HTTPError(400, f'send {{"{self.field}": "..."}}') from error
        if not isinstance(given, str):
            raise HTTPError(400, f"{self.field} must be text")
        asked = f"{self.who()} asked for {self.act.__name__} {given!r}"
        try:
            said = await self.blocking(self.act, self.application.connection, given)
        except HTTPError as error:
            log.warning("%s: refused: %s", asked, error.get_message())
            raise
        log.info("%s: %s", asked, in_a_line(said))
        self.application.live.expire()
        self.write({"said": said})

    def who(self) -> str:
        """Name and address of the one who asks, for the log."""
        name = self.current_user if isinstance(self.current_user, str) else ""
        if not name and self.application.options.basic_auth:
            _, _, encoded = self.request.headers.get("Authorization", "").partition(" ")
            name = b64decode(encoded).decode("utf-8", "replace").partition(":")[0]
        return f"{(name or 'somebody')!r} from {self.request.remote_ip}"
