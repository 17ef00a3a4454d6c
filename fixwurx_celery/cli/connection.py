"""The cluster that a command speaks to, found to answer before anything is asked of it."""

import math
import os
import queue
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import click

from fixwurx_celery.broker import make_app
from fixwurx_celery.cli.output import pause
from fixwurx_celery.cli.server_findings import mode_of
from fixwurx_celery.cluster import Connection
from fixwurx_celery.errors import ConfigurationError, StoreUnavailable
from fixwurx_celery.redis_client import WrongAddress
from fixwurx_celery.settings import Settings, without_password
from fixwurx_celery.store import ClusterStore, connect

__all__ = [
    "ANSWER_S",
    "cluster",
    "patiently",
    "reach",
    "reach_broker",
    "settings_here",
    "variables_of_up",
]

ANSWER_S: Final = 5.0
"""A person waits so long for a store that neither answers nor refuses."""
AWAY_S: Final = 30.0
"""A command that follows something goes on when the store is back in time: a restart takes less."""

Answer = TypeVar("Answer")


def settings_here(**given: Any) -> Settings:
    """The settings of this environment; where it names no store, those of a running `up`. What is
    `given` by keyword wins.

    Raises ConfigurationError.
    """
    here = {name: value for name, value in os.environ.items() if value}
    return Settings.from_environment({**variables_of_up(), **here}, **given)


def variables_of_up() -> Mapping[str, str]:
    """What the `up` of this user told other shells; empty where a store is named, or none is up."""
    if os.environ.get("FIXWURX_REDIS_URL"):
        return {}
    from fixwurx_celery.embedded import state_root

    try:
        text = (state_root() / "up" / "env").read_text("utf-8")
    except OSError:
        return {}
    lines = (line.removeprefix("export ").partition("=") for line in text.splitlines())
    return {name: "".join(shlex.split(value)) for name, _, value in lines}


@contextmanager
def cluster(settings: Settings | None = None) -> Iterator[Connection]:
    """A connection to the cluster that the settings name, or this environment, or `up`.

    Raises ConfigurationError when none is named, StoreUnavailable within ANSWER_S.
    """
    settings = settings or settings_here()
    try:
        connection = Connection(settings)
    except ValueError as error:  # the client library's word on a URL that it cannot read
        raise ConfigurationError(
            [f"FIXWURX_REDIS_URL={without_password(settings.redis_url)} is no URL: {error}"]
        ) from error
    with connection:
        reach(connection)
        yield connection


def reach(connection: Connection) -> None:
    """Returns when the store answers; raises StoreUnavailable within ANSWER_S."""
    settings = connection.settings
    url = without_password(settings.redis_url)
    trouble = f"no answer within {ANSWER_S:g} s"
    probe = ClusterStore(connect(settings.redis_url, socket_timeout=ANSWER_S), settings)
    if retry := probe.client.get_retry():
        # The client tries a wrong password again and again, as if it were a broken connection.
        retry.update_retries(0)
        probe.client.set_retry(retry)
    info: dict[str, Any] = {}
    try:
        if answered(lambda: info.update(probe.ping())):
            if mode_of(info) != "sentinel":
                return
            trouble = "a sentinel answers there; write redis+sentinel://host:port/mastername"
    except Exception as error:  # also of what answers there and is no Redis, or refuses us
        if isinstance(error.__cause__, WrongAddress):  # which says what to mend
            raise
        trouble = str(error.__cause__ or error).rstrip(".")
    finally:
        probe.close()
    if variables_of_up().get("FIXWURX_REDIS_URL") == settings.redis_url:
        raise StoreUnavailable(f"`fixwurx-celery up` has ended, its store is gone: {trouble}")
    raise StoreUnavailable(
        f"cannot reach the store at {url}: {trouble}; is it running, and is FIXWURX_REDIS_URL "
        "right?"
    )


def reach_broker(settings: Settings) -> None:
    """Returns when the broker answers; raises StoreUnavailable within ANSWER_S."""
    url = without_password(settings.broker)
    variable = "FIXWURX_BROKER_URL" if settings.broker_url else "FIXWURX_REDIS_URL"

    def connect() -> None:
        with make_app(settings).connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.1, timeout=ANSWER_S)

    trouble = f"no answer within {ANSWER_S:g} s"
    try:
        if answered(connect):
            return
    except Exception as error:  # each of Celery's transports has errors of its own
        trouble = str(error) or type(error).__name__
    raise StoreUnavailable(
        f"cannot reach the broker at {url}: {trouble}; is it running, and is {variable} right?"
    )


def answered(ask: Callable[[], object]) -> bool:
    """Whether `ask` came back within ANSWER_S; raises what it raises.

    The client libraries' own time-outs add up to half a minute, and resolving a name has none, so
    the question is asked in a thread that the process does not wait for at its end.
    """
    answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def run() -> None:
        try:
            ask()
        except Exception as error:  # handed to the caller, whatever it is
            answer.put(error)
        else:
            answer.put(None)

    threading.Thread(target=run, name="reach", daemon=True).start()
    try:
        error = answer.get(timeout=ANSWER_S)
    except queue.Empty:
        return False
    if error is not None:
        raise error
    return True


def patiently(ask: Callable[[], Answer], most_s: float = AWAY_S) -> Answer:
    """The answer, asked again while the store is away; raises StoreUnavailable after that time."""
    away_since: float | None = None
    while True:
        try:
            answer = ask()
        except StoreUnavailable:
            if away_since is None:
                away_since = time.monotonic()
                how_long = "" if math.isinf(most_s) else f" for {most_s:g} s"
                click.echo(f"the store is away; trying again{how_long}", err=True)
            if time.monotonic() - away_since > most_s:
                raise
            pause(0.5)
        else:
            if away_since is not None:
                away_s = time.monotonic() - away_since
                click.echo(f"the store is back, after {away_s:.0f} s", err=True)
            return answer
