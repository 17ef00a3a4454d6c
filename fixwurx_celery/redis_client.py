"""Clients of the store: of the one server that a URL names, or of the primary behind sentinels.

Behind sentinels the address is asked for at every connection, so a client finds a primary that has
moved by connecting again: after a broken connection, and after a server's word that it is a
primary no more. Both count as connection errors, and are retried like these.
"""

from collections.abc import Sequence
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    SentinelConnectionPool,
    SentinelManagedConnection,
)

from fixwurx_celery.addresses import SentinelAddress, is_sentinel

__all__ = ["WrongAddress", "open_client", "sentinel_options"]

SENTINEL_ANSWERS_S: Final = 1.0
"""A sentinel answers in milliseconds; one that is silent for so long is passed over."""


class WrongAddress(redis.RedisError):
    """What the URL names is there, and is not what the URL says. Trying again does not help."""


def open_client(url: str, **options: Any) -> "redis.Redis":
    """A client for this process, with options of the client library. Connects lazily.

    Raises ValueError for a URL that cannot be read.
    """
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **options)
    address = SentinelAddress.parse(url)
    pool = SentinelConnectionPool(  # type: ignore[no-untyped-call]
        address.master,
        Sentinels(address),
        connection_class=PrimaryConnection,
        db=address.db,
        username=address.username,
        password=address.password,
        **options,
    )
    return redis.Redis.from_pool(pool)


def sentinel_options(address: SentinelAddress) -> dict[str, Any]:
    """How sentinels are asked: one try each, for the next one may know more."""
    return {
        "password": address.sentinel_password,
        "socket_timeout": SENTINEL_ANSWERS_S,
        "socket_connect_timeout": SENTINEL_ANSWERS_S,
        "retry": Retry(NoBackoff(), 0),
    }


class PrimaryConnection(SentinelManagedConnection):
    """A connection to whichever server is the primary when it connects."""

    def read_response(self, *args: Any, **options: Any) -> Any:
        """As the library's, which turns READONLY into a connection error; so is UNBLOCKED here:
        what a call that waits is told when its server steps down."""
        try:
            return super().read_response(*args, **options)
        except redis.ResponseError as error:
            if not str(error).startswith("UNBLOCKED"):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.ConnectionError("the store's primary has stepped down") from error


class Sentinels:
    """The sentinels of one store. Nothing stays connected to them between questions."""

    def __init__(self, address: SentinelAddress) -> None:
        self._places: Sequence[tuple[str, int]] = address.sentinels
        self._options = sentinel_options(address)

    def discover_master(self, master: str) -> tuple[str, int]:
        """The primary's address, from the first sentinel that sees one in service.

        Raises MasterNotFoundError (a connection error) when none does, and WrongAddress when those
        that answer know no store of that name.
        """
        known: set[str] = set()
        troubles: list[str] = []
        for place in self._places:
            try:
                stores = self._stores(place)
            except (redis.ConnectionError, redis.TimeoutError) as error:
                troubles.append(f"{written(place)}: {error}".rstrip("."))
                continue
            known.update(stores)
            state = stores.get(master)
            if state and state["is_master"] and not (state["is_sdown"] or state["is_odown"]):
                # The one that knew is asked first from now on.
                self._places = [place, *(other for other in self._places if other != place)]
                return str(state["ip"]), int(state["port"])
            if state:
                troubles.append(f"{written(place)}: it is down")
        if master not in known and len(troubles) < len(self._places):
            raise WrongAddress(unknown(master, sorted(known)))
        raise MasterNotFoundError(
            f"no sentinel sees a primary of {master} in service ({'; '.join(troubles)})"
        )

    def _stores(self, place: tuple[str, int]) -> dict[str, dict[str, Any]]:
        """What this sentinel knows of the stores that it watches over, by their names."""
        with redis.Redis(*place, **self._options) as sentinel:
            try:
                stores: dict[str, dict[str, Any]] = sentinel.sentinel_masters()
            except redis.AuthenticationError as error:
                raise redis.ConnectionError(
                    f"{error} (a sentinel's own password is the option sentinel_password)"
                ) from error
            except redis.ResponseError as error:
                if "unknown command" not in str(error):
                    raise
                raise WrongAddress(
                    f"names {written(place)}, which is a server and no sentinel; name its "
                    f"sentinels, or write redis://{written(place)}/0"
                ) from error
        return stores


def written(place: tuple[str, int]) -> str:
    """`host:port`."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def unknown(master: str, known: Sequence[str]) -> str:
    """That no store of that name is watched over, and which ones are."""
    rather = f"they watch over {', '.join(known)}" if known else "they watch over none"
    return f"names the master {master}, which its sentinels do not know: {rather}"
