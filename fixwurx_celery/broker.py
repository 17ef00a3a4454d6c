"""Celery's side of the cluster: its settings, the queues of nodes, and the doorbells.

A message says "bug B, epoch E is yours" and nothing else. It may be lost, doubled or late: the
store refuses what is stale and a sweep rings again what nobody answered. Where the broker is the
store itself, its scripts write the message in the same step as the assignment (`doorbell`);
elsewhere the caller sends it afterwards (`Doorbells`).
"""

import contextlib
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue
from kombu.exceptions import KombuError

from fixwurx_celery.addresses import SentinelAddress, is_sentinel
from fixwurx_celery.domain.bugs import Assignment
from fixwurx_celery.domain.words import counted
from fixwurx_celery.logs import Outage, words
from fixwurx_celery.redis_client import sentinel_options
from fixwurx_celery.settings import Settings

__all__ = [
    "CONTROL_QUEUE",
    "PROCESS_BUG",
    "Doorbells",
    "celery_settings",
    "doorbell",
    "make_app",
    "node_queue",
]

PROCESS_BUG: Final = "fixwurx.process_bug"
CONTROL_QUEUE: Final = "fixwurx.control"

IN_USE: Final = 406
"""AMQP's answer to the deletion of a queue that is consumed."""

PATIENCE_S: Final = 3
"""How long a broker may be silent before it is taken for hung. To err costs one late doorbell."""

PRODUCER_OPTIONS: Final = {
    # An AMQP publish is one-way: without confirms a hung or alarmed broker looks like a fast one.
    "confirm_publish": True,
    "read_timeout": PATIENCE_S,
    "write_timeout": PATIENCE_S,
    "socket_timeout": PATIENCE_S,  # Redis
    "socket_connect_timeout": PATIENCE_S,
}
"""Of connections that ring, not of those that consume: those wait for as long as it takes. Each
transport takes what it knows."""

AGAIN_AFTER_S: Final = 1
"""How long at least a broker that did not take a doorbell is left alone."""

log = logging.getLogger(__name__)


class BrokerBlocked(KombuError):
    """It has an alarm (memory, disk) and takes nothing from publishers until that is over."""


class Unshown(Mapping[str, Any]):
    """Options that nobody is shown. Celery tells its own to whoever asks a worker for its stats,
    and Flower puts them on a page; of passwords it leaves out only the one of the URL."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = dict(options)

    def __getitem__(self, name: str) -> Any:
        return self._options[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._options)

    def __len__(self) -> int:
        return len(self._options)

    def __repr__(self) -> str:
        return "(hidden)"

    def __json__(self) -> str:
        return "(hidden)"


def node_queue(worker_id: str, *, declare: bool = False) -> Queue:
    """The queue of one node. Only the node declares it; senders address it as it is.

    It is consumed without acks: a doorbell that a node took and lost is rung again by the sweep.
    It outlives its node's connection: what is rung meanwhile waits in it.
    """
    name = f"fixwurx.node.{worker_id}"
    return Queue(
        name, Exchange("fixwurx.node", "direct"), name, no_declare=not declare, no_ack=True
    )


def celery_settings(settings: Settings) -> dict[str, Any]:
    """The Celery settings of every process of the cluster, each with why it is not the default."""
    broker = settings.broker
    on_redis = broker.startswith(
        ("redis://", "rediss://", "unix://", "redis+socket://", "redis+sentinel://")
    )
    is_tls = broker.startswith("rediss://")
    if broker.startswith("unix://"):  # kombu calls it redis+socket
        broker = "redis+socket://" + broker.removeprefix("unix://")
    transport: dict[str, Any] = {
        # Publishing into a hung broker would otherwise block for ever.
        "socket_timeout": 5,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        # kombu writes `unacked*` and `_kombu.*` bare into the database.
        "global_keyprefix": f"{{{settings.namespace}}}:celery:",
        "visibility_timeout": 60,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,
    }
    if is_sentinel(broker):
        address = SentinelAddress.parse(broker)
        broker = address.urls_for_celery()
        transport |= {
            "master_name": address.master,
            "sentinel_kwargs": Unshown(sentinel_options(address)),
            # A primary that froze keeps its connections; this long after a silent one is dropped,
            # and the next goes to whoever took its place.
            "health_check_interval": 3,
        }
    amqp = {
        # The mailbox of a node that hangs, or whose connection broke unnoticed, would be locked
        # until the broker finds out, and whoever takes over its name would end with
        # RESOURCE_LOCKED. It is deleted when nobody has read it for 10 s.
        "control_queue_exclusive": False,
        "control_queue_durable": True,
        # After two or three of these it finds out.
        "broker_heartbeat": max(10, int(settings.heartbeat_timeout_sec)),
    }
    return {
        **({} if on_redis else amqp),
        "broker_url": broker,
        "broker_transport_options": transport if on_redis else {},
        # Without it kombu takes rediss:// for redis://, unless the URL has options of TLS in it,
        # which then count in place of this.
        **({"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}} if is_tls else {}),
        "broker_connection_retry_on_startup": True,
        # The default gives up after 100 tries, and with that a node ends by itself.
        "broker_connection_max_retries": None,
        # A store that refuses writes for a while (its disk is full, its replica is away) refuses to
        # hand out messages too. A worker would end by that.
        "broker_channel_error_retry": on_redis,
        # Nothing but JSON crosses the broker, in either direction.
        "accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        # Outcomes live in the store.
        "task_ignore_result": True,
        # Early ack and no prefetch: the one combination under which a restart of the broker neither
        # ends a busy worker nor starts a task twice. What acks would do, the store's epochs do.
        "task_acks_late": False,
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": on_redis,
        "worker_enable_prefetch_count_reduction": False,
        # Flower shows tasks only of workers that send events.
        "worker_send_task_events": True,
        "task_default_queue": CONTROL_QUEUE,
        "task_create_missing_queues": True,
        "worker_hijack_root_logger": False,
        "enable_utc": True,
        "timezone": "UTC",
    }


def make_app(settings: Settings, name: str = "fixwurx_celery") -> Celery:
    """A Celery application with these settings; it connects to nothing until used.

    Raises ConfigurationError when no store is named.
    """
    settings.need_store()
    app = Celery(name, set_as_current=False)
    app.conf.update(celery_settings(settings))
    return app


def doorbell(settings: Settings) -> dict[str, str]:
    """Queue and message of a doorbell as kombu's Redis transport writes them, with @node@, @bug@
    and @epoch@ to be filled in; empty when the broker is not the store."""
    if settings.broker != settings.redis_url:
        return {}
    task_id = "@bug@:@epoch@"
    message = {
        "body": _body("@bug@", "@epoch@"),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": _headers(task_id, "('@bug@', @epoch@)", "fixwurx@store"),
        "properties": {
            "correlation_id": task_id,
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "fixwurx.node.@node@"},
            "priority": 0,
            "delivery_tag": task_id,
        },
    }
    return {
        "queue": f"{{{settings.namespace}}}:celery:fixwurx.node.@node@",
        "message": json.dumps(message, separators=(",", ":")),
    }


def _body(bug_id: str, epoch: int | str) -> str:
    no_callbacks = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}
    return json.dumps([[bug_id, epoch], {}, no_callbacks])


def _headers(task_id: str, arguments: str, origin: str) -> dict[str, Any]:
    """The headers of Celery's task protocol, version 2."""
    return {
        "lang": "py",
        "task": PROCESS_BUG,
        "id": task_id,
        "root_id": task_id,
        "parent_id": None,
        "group": None,
        "eta": None,
        "expires": None,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": arguments,
        "kwargsrepr": "{}",
        "origin": origin,
        "ignore_result": True,
    }


class Doorbells:
    """Rings the nodes of assignments. Not for sharing between threads, nor across a fork."""

    def __init__(self, app: Celery) -> None:
        self._app = app
        self._producer: Any = None
        self._origin = f"fixwurx@{socket.gethostname()}"
        self._left_alone_until = 0.0
        self._is_blocked = False
        self._outage = Outage(log)

    def ring(self, assignments: Sequence[Assignment]) -> bool:
        """Whether the broker took all, in one batch. When not, the sweep rings them later.

        Waits for a hung broker for a few seconds, and then leaves it alone for as long, so a caller
        with many bugs spends at most half of its time on it.
        """
        if not assignments:
            return True
        return self._try(
            f"ring {counted(len(assignments), 'assignment')}, which the next sweep does again",
            lambda producer, until: self._publish_all(producer, assignments, until),
        )

    def forget(self, worker_id: str) -> bool:
        """Deletes the queue of a node that has gone, with whatever lies in it; whether it is.

        RabbitMQ keeps it for as long as somebody consumes it: the connection of a node that hangs.
        """
        is_deleted = True

        def delete(producer: Any, _: float) -> None:
            nonlocal is_deleted
            queue = node_queue(worker_id, declare=True)(producer.channel)
            if producer.connection.transport.driver_type == "redis":
                queue.declare()  # kombu deletes only those bindings that this process has seen
                mailbox = self._app.control.mailbox.get_queue(worker_id)(producer.channel)
                mailbox.declare()
                mailbox.delete()  # elsewhere it expires by itself
            try:
                queue.delete(if_unused=True)
            except producer.connection.channel_errors as error:
                if getattr(error, "code", None) != IN_USE:
                    raise
                is_deleted = False
                self.close()  # a refusal ends the channel

        return self._try(f"delete the queue of {worker_id}", delete) and is_deleted

    def close(self) -> None:
        """Closes the connection; the next ring opens another."""
        self._is_blocked = False
        if self._producer is not None:
            producer, self._producer = self._producer, None
            try:
                producer.connection.collect()  # no word of farewell: a hung broker has no answer
            except Exception as error:  # a broken connection may break in any way at its end
                log.debug("closing the broker connection: %s", error)

    def _connect(self) -> Any:
        connection = self._app.connection_for_write(
            connect_timeout=PATIENCE_S,
            transport_options=PRODUCER_OPTIONS
            | {"on_blocked": self._on_blocked, "on_unblocked": self.close},
        )
        # Each of several brokers has its turn.
        connection.ensure_connection(max_retries=len(connection.alt or [""]) - 1)
        self._producer = self._app.amqp.Producer(connection, auto_declare=False)
        return self._producer

    def _on_blocked(self, _reason: str) -> None:
        self._is_blocked = True
        raise BrokerBlocked("it has an alarm, and takes nothing until that is over")

    def _hear_whether_unblocked(self) -> None:
        """Raises BrokerBlocked while it is not. Once it is, the connection is closed: what was sent
        on it is confirmed late, and would be taken for the confirms of later doorbells.
        """
        with contextlib.suppress(TimeoutError):
            while self._is_blocked:
                self._producer.connection.drain_events(timeout=0)
        if self._is_blocked:
            raise BrokerBlocked("its alarm is not over")

    def _try(self, what: str, work: Callable[[Any, float], None]) -> bool:
        """Whether the broker did the work. When not, the log says why, unless it was not asked."""
        if time.monotonic() < self._left_alone_until:
            return False
        while True:
            kept, began = self._producer is not None, time.monotonic()
            try:
                if self._is_blocked:
                    self._hear_whether_unblocked()
                work(self._producer or self._connect(), began + PATIENCE_S)
                self._outage.end("the broker takes doorbells again")
                return True
            except BrokerBlocked as error:
                # Kept: the broker reads nothing from it, not even that it was closed.
                trouble: Exception = error
            except self._errors() as error:
                self.close()
                if kept and time.monotonic() - began < PATIENCE_S:
                    continue  # it had ended while it was idle: a new one may do
                trouble = error
            ended = time.monotonic()
            self._left_alone_until = ended + max(AGAIN_AFTER_S, ended - began)
            self._outage.begin(words(f"could not {what}: {trouble}"))
            return False

    def _errors(self) -> tuple[type[Exception], ...]:
        of = self._app.connection_for_write()
        return (
            KombuError,
            OSError,
            *of.connection_errors,
            *of.recoverable_connection_errors,
            *of.channel_errors,
        )

    def _publish_all(self, producer: Any, assignments: Sequence[Assignment], until: float) -> None:
        if len(assignments) == 1:
            self._publish(producer, assignments[0], until)
            return
        with producer.batch():
            for assignment in assignments:
                self._publish(producer, assignment, until)

    def _publish(self, producer: Any, assignment: Assignment, until: float) -> None:
        task_id = f"{assignment.bug_id}:{assignment.epoch}"
        arguments = f"({assignment.bug_id!r}, {assignment.epoch})"
        producer.publish(
            _body(assignment.bug_id, assignment.epoch),
            exchange="",
            routing_key=f"fixwurx.node.{assignment.worker_id}",
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=task_id,
            headers=_headers(task_id, arguments, self._origin),
            confirm_timeout=max(0.1, until - time.monotonic()),
        )
