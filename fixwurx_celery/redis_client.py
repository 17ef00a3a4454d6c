"""Clients of the store: of the one server that a URL names, or of the primary behind sentinels.

Behind sentinels the address is asked for at every connection, so a client finds a primary that has
moved by connecting again: after a broken connection, and after a server's word that it is a
primary no more, or has lost its replicas. These count as connection errors, and are retried so.
A primary that was replaced while it is well may go on for seconds, and what it acknowledges then
is lost; so its clients ask every two seconds whether it still is the one.
"""

import contextlib
import time
from collections.abc import Collection, Mapping, Sequence
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

__all__ = ["WrongAddress", "follow", "open_client", "primary_of", "sentinel_options"]

SENTINEL_ANSWERS_S: Final = 1.0
"""A sentinel answers in milliseconds; one that is silent for so long is passed over."""


ASK_AGAIN_S: Final = 2.0
"""Of each process that is at work. Sentinels themselves tell each other every two seconds."""

REFUSED: Final = "refuses our password"

DEPOSED: Final = ("UNBLOCKED", "NOREPLICAS")
"""How a server answers that stepped down under a call that waits, or whose replicas have left it,
be it because one of them was promoted."""


class WrongAddress(redis.RedisError):
    """What the URL names is there, and is not what the URL says. Trying again does not help."""


def open_client(url: str, **options: Any) -> "redis.Redis":
    """A client for this process, with options of the client library. Connects lazily.

    Raises ValueError for a URL that cannot be read.
    """
    if not is_sentinel(url):
        return redis.Redis.from_url(url, **options)
    address = SentinelAddress.parse(url)
    pool = PrimaryPool(
        address.master,
        Sentinels(address),
        db=address.db,
        username=address.username,
        password=address.password,
        **options,
    )
    return redis.Redis.from_pool(pool)


def primary_of(client: "redis.Redis") -> tuple[str, int] | None:
    """Where the client last found the primary, without asking; None where there is but one server,
    or before the first call."""
    pool = client.connection_pool
    return pool.master_address if isinstance(pool, PrimaryPool) else None


def follow(client: "redis.Redis") -> None:
    """Lets a client that only waits for news wait at the primary; one that asks does so anyway."""
    pool = client.connection_pool
    if isinstance(pool, PrimaryPool):
        pool.follow()


def sentinel_options(address: SentinelAddress) -> dict[str, Any]:
    """How sentinels are asked: one try each, for the next one may know more."""
    return {
        "password": address.sentinel_password,
        "socket_timeout": SENTINEL_ANSWERS_S,
        "socket_connect_timeout": SENTINEL_ANSWERS_S,
        "retry": None,
    }


class PrimaryConnection(SentinelManagedConnection):
    """A connection to whichever server is the primary when it connects.

    The library asks the sentinels only when a connection leaves the pool; one that it opens again
    in the middle of a call went to the old address (redis-py issue 3874).
    """

    def connect(self) -> None:
        """Connects if it is not, to the primary as the sentinels name it at each try."""
        self.connect_check_health()

    def connect_check_health(
        self, check_health: bool = True, retry_socket_connect: bool = True
    ) -> None:
        """As `connect`."""
        retry = self.retry if retry_socket_connect else Retry(NoBackoff(), 0)
        retry.call_with_retry(lambda: self._open(check_health), self._give_up)

    def _give_up(self, _: Exception) -> None:
        self.disconnect()  # type: ignore[no-untyped-call]

    def _open(self, check_health: bool) -> None:
        if not self.is_connected:
            self.host, self.port = self.connection_pool.get_master_address()
            super().connect_check_health(check_health, retry_socket_connect=False)

    def read_response(self, *args: Any, **options: Any) -> Any:
        """As the library's, which turns READONLY into a connection error; so are others here."""
        try:
            return super().read_response(*args, **options)
        except redis.ResponseError as error:
            if not str(error).startswith(DEPOSED):
                raise
            self._give_up(error)
            raise redis.ConnectionError(str(error)) from error


class PrimaryPool(SentinelConnectionPool):
    """Connections to the primary. When it moves they move, also while the old one answers."""

    def __init__(self, master: str, sentinels: "Sentinels", **options: Any) -> None:
        options["connection_class"] = PrimaryConnection
        super().__init__(master, sentinels, **options)  # type: ignore[no-untyped-call]
        self._asked_at = time.monotonic()
        self._at: tuple[str, int] | None = None

    def get_connection(self, *args: Any, **options: Any) -> Any:
        """As the library's, after a look at where the primary is."""
        self.follow()
        return super().get_connection(*args, **options)

    def follow(self) -> None:
        """Asks the sentinels, when they were not asked of late. The library closes idle connections
        when they name another primary; one that waits for news elsewhere is opened anew by the next
        question to it."""
        now = time.monotonic()
        if now - self._asked_at > ASK_AGAIN_S:
            self._asked_at = now
            # Without an answer things stay as they are: a connection that breaks asks for itself.
            with contextlib.suppress(redis.RedisError):
                self.get_master_address()  # type: ignore[no-untyped-call]
        if self._at != self.master_address:
            self._at = self.master_address
            for connection in list(self._in_use_connections):
                if (connection.host, connection.port) != self._at:
                    connection.mark_for_reconnect()


class Sentinels:
    """The sentinels of one store. Nothing stays connected to them between questions."""

    def __init__(self, address: SentinelAddress) -> None:
        self._places: Sequence[tuple[str, int]] = address.sentinels
        self._options = sentinel_options(address)

    def discover_master(self, master: str) -> tuple[str, int]:
        """The primary's address, from the first sentinel that sees one in service.

        Raises MasterNotFoundError (a connection error) when none does, and WrongAddress when all
        refuse us, or those that answer know no store of that name.
        """
        known: set[str] = set()
        troubles: dict[str, str] = {}
        for place in self._places:
            try:
                stores, primary = self._ask(place, master)
            except redis.AuthenticationError:
                troubles[written(place)] = REFUSED
                continue
            except (redis.ConnectionError, redis.TimeoutError) as error:
                troubles[written(place)] = str(error).rstrip(".")
                continue
            known.update(stores)
            if primary is not None:
                # The one that knew is asked first from now on.
                self._places = [place, *(other for other in self._places if other != place)]
                return primary
            if master in stores:
                troubles[written(place)] = "it is down"
        if set(troubles.values()) == {REFUSED}:
            raise WrongAddress(
                f"names {', '.join(troubles)}, which {REFUSED}: that of the sentinels is the "
                "option sentinel_password, the one before the @ is the store's"
            )
        if master not in known and len(troubles) < len(self._places):
            raise WrongAddress(
                f"names the master {master}, which its sentinels do not know: they watch over "
                f"{', '.join(sorted(known)) or 'none'}"
            )
        told = "; ".join(f"{name}: {trouble}" for name, trouble in troubles.items())
        raise MasterNotFoundError(f"no sentinel sees a primary of {master} in service ({told})")

    def _ask(
        self, place: tuple[str, int], master: str
    ) -> tuple[Collection[str], tuple[str, int] | None]:
        """The names of the stores that this sentinel watches over, and the primary of this one;
        None when it has no such store, or sees its primary down and no other yet."""
        with redis.Redis(*place, **self._options) as sentinel:
            try:
                stores: Mapping[str, Any] = sentinel.sentinel_masters()
                if master not in stores:
                    return stores, None
                # Names the new primary as soon as it was promoted; the list still has the old one.
                host, port = sentinel.sentinel_get_master_addr_by_name(master)
            except redis.ResponseError as error:
                if "unknown command" not in str(error):
                    raise
                raise WrongAddress(
                    f"names {written(place)}, which is a server and no sentinel; name its "
                    f"sentinels, or write redis://{written(place)}/0"
                ) from error
        primary = host.decode() if isinstance(host, bytes) else str(host), int(port)
        seen = stores[master]
        is_down = seen["is_sdown"] or seen["is_odown"]
        return stores, None if is_down and primary == (seen["ip"], seen["port"]) else primary


def written(place: tuple[str, int]) -> str:
    """`host:port`."""
    host, port = place
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
