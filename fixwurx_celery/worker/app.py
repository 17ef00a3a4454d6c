"""The Celery application of a node: `celery -A fixwurx_celery worker -n node1@%h`.

Thin glue from Celery's hooks to `Node` (main process) and `Runner` (pool processes).
"""

import gc
import logging
import os
from typing import Any

import billiard.pool
from celery import Celery, bootsteps, signals
from celery.exceptions import WorkerShutdown
from celery.worker.consumer import Consumer

from fixwurx_celery.broker import PROCESS_BUG, Doorbells, doorbell, make_app, node_queue
from fixwurx_celery.domain.bugs import ID
from fixwurx_celery.engine.sandbox import SandboxError
from fixwurx_celery.errors import ConfigurationError
from fixwurx_celery.logs import words
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import ClusterStore
from fixwurx_celery.tracing import flush as flush_traces
from fixwurx_celery.worker.celery_logs import connect_logs
from fixwurx_celery.worker.node import DuplicateNode, Node
from fixwurx_celery.worker.runner import Runner
from fixwurx_celery.worker.stopping import hear_signals, tell_own_signals

__all__ = ["node_app"]

log = logging.getLogger(__name__)

FLUSH_EVENTS_S = 0.2
"""How long task events, which only Flower and `celery events` read, are gathered."""

LOOK_AT_POOL_S = 0.25
"""How often dead pool processes are looked for; Celery itself looks every 5 s."""


class NodeConsumer(Consumer):  # type: ignore[misc]
    """Celery's consumer, back within a second of the broker's return.

    Celery backs off to 30 s, which no setting reaches. Mingle and gossip are left out: they cost a
    second at every connection and tell a node nothing it acts on.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        options.update(without_mingle=True, without_gossip=True)
        self._flush_is_due = False
        super().__init__(*args, **options)

    def on_send_event_buffered(self) -> None:
        """Task events go out together a few times a second, or when 24 have gathered.

        Celery writes them at the loop's next turn, and waits for the broker's answer before the
        pool gets its next task.
        """
        if not self._flush_is_due:
            self._flush_is_due = True
            self.hub.call_later(FLUSH_EVENTS_S, self._flush_events)

    def _flush_events(self) -> None:
        self._flush_is_due = False
        super()._flush_events()

    def ensure_connected(self, conn: Any) -> Any:
        """As Celery's, with a back-off of 0.2 s to 1 s."""
        ensure = conn.ensure_connection

        def ensure_soon(errback: Any = None, max_retries: Any = None, **options: Any) -> Any:
            options.update(interval_start=0.2, interval_step=0.2, interval_max=1)
            return ensure(errback, max_retries, **options)

        conn.ensure_connection = ensure_soon
        return super().ensure_connected(conn)


class NodeStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Registers the node once its queue is consumed; drains and deregisters it at the end."""

    requires = ("celery.worker.consumer:Tasks",)

    def __init__(self, _consumer: Any, **_: Any) -> None:
        self._timers: list[Any] = []
        self._entered = False
        self._primary: tuple[str, int] | None = None
        self._node: Node | None = None

    def start(self, consumer: Any) -> None:
        """At boot, and after every reconnection to the broker."""
        self._node = node = consumer.app.fixwurx_node
        pool = consumer.pool
        node.pool_pids = lambda: [process.pid for process in getattr(pool._pool, "_pool", ())]
        self._timers = [
            consumer.timer.call_repeatedly(LOOK_AT_POOL_S, pool.maintain_pool),
            consumer.timer.call_repeatedly(LOOK_AT_POOL_S, self._follow, (node,)),
        ]
        if consumer.connection.transport.driver_type == "redis":
            # The node's queue is consumed without acks, yet kombu's Redis channel would write one
            # for each message: a round trip in which the node hands out nothing.
            consumer.task_consumer.channel.basic_ack = lambda *_, **__: None
        if not self._entered:
            hear_signals(consumer.controller)
            try:
                if not node.enter():
                    return
            except (DuplicateNode, SandboxError) as error:
                log.error(words(str(error), node=node.worker_id))
                raise WorkerShutdown(1) from error
            self._entered = True
        self._primary = node.primary()

    def stop(self, consumer: Any) -> None:
        """The broker is lost (the consumer's state is RUN then), or the worker shuts down."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._node and consumer.blueprint.state != bootsteps.RUN:
            self._node.drain()

    def _follow(self, node: Node) -> None:
        """Makes the consumer connect again when the heart has found another primary: one that was
        replaced may hold the consumer's connection for long, and say nothing on it."""
        if self._entered and node.primary() != self._primary:
            raise ConnectionResetError(f"the store's primary is at {node.primary()} now")

    def shutdown(self, consumer: Any) -> None:
        """The pool has ended its tasks."""
        if self._node:
            self._node.leave()
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()


def node_app(settings: Settings) -> Celery:
    """The application whose workers are nodes with these settings. Connects to nothing yet."""
    app = make_app(settings)
    app.conf.update(
        # One to spare: it takes the next bug while the last one's process still hands in its
        # result. Agents bound what runs, not processes; an idle one costs 5 MB.
        worker_concurrency=settings.total_agents + 1,
        worker_consumer=f"{__name__}:NodeConsumer",
        worker_proc_alive_timeout=30.0,
    )
    app.fixwurx_node = Node(settings, lambda: Doorbells(app))
    app.steps["consumer"].add(NodeStep)
    # A pool process that ends waits for the main process to have read its results, and for half a
    # minute in vain when one was thrown away while draining.
    billiard.pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = 10  # times 0.1 s
    _connect_signals(app)
    connect_logs(app, settings, is_node=True)

    runner: Runner | None = None

    @app.task(name=PROCESS_BUG, ignore_result=True)  # type: ignore[untyped-decorator, unused-ignore]
    def process_bug(bug_id: str, epoch: int) -> str:
        """Runs assignment `epoch` of the bug, if it is still this node's; how it ended, for the
        worker's log."""
        nonlocal runner
        if not ID.fullmatch(str(bug_id)) or not str(epoch).isdecimal():
            log.error(words(f"a doorbell for what can be no bug is thrown away: {bug_id!r:.200}"))
            return "REFUSED"
        if runner is None:  # first bug of this pool process: connect after the fork
            node = app.fixwurx_node
            tell_own_signals(node.stopping)
            runner = Runner(
                ClusterStore.from_settings(settings, bell=doorbell(settings), is_patient=False),
                settings,
                Doorbells(app).ring,
                worker_id=node.worker_id,
                incarnation=node.incarnation,
                run_dir=node.premises.run_dir,
                spool=node.premises.spool,
                stopping=node.stopping,
            )
        return runner.run(bug_id, int(epoch))

    return app


def _connect_signals(app: Celery) -> None:
    """Weak references would be collected with this frame, so each is connected strongly."""

    def only_own_queue(sender: str, instance: Any, **_: Any) -> None:
        if instance.app is not app:
            return
        queues = app.amqp.queues
        queues.deselect(list(queues.consume_from))
        queues.select_add(node_queue(sender, declare=True))
        try:
            app.fixwurx_node.prepare(sender)
        except ConfigurationError as error:
            log.error(words(str(error), node=sender))
            raise WorkerShutdown(error.exit_status) from error

    def share_memory(**_: Any) -> None:
        gc.collect()
        gc.freeze()

    def process_lost(
        sender: Any, exception: BaseException | None = None, args: Any = None, **_: Any
    ) -> None:
        # In the main process this signal tells of a pool process that died; in a pool process of an
        # exception in the task, which the runner's own lease covers.
        if os.getpid() == main_pid and args and sender.name == PROCESS_BUG:
            app.fixwurx_node.lost_process(
                args[0], int(args[1]), f"its pool process died: {exception}"
            )

    def revoked(sender: Any, request: Any = None, **_: Any) -> None:
        if os.getpid() == main_pid and request and sender.name == PROCESS_BUG:
            app.fixwurx_node.lost_process(
                request.args[0], int(request.args[1]), "its task was revoked", charge=""
            )

    def told_to_stop(sender: str, sig: str, **_: Any) -> None:
        if sender == app.fixwurx_node.worker_id:
            app.fixwurx_node.stopping.hear(sig)

    def received(sender: Any, **_: Any) -> None:
        if sender.app is app:
            app.fixwurx_node.took_a_message()

    def process_ends(**_: Any) -> None:
        flush_traces()

    main_pid = os.getpid()
    signals.celeryd_after_setup.connect(only_own_queue, weak=False)
    signals.worker_shutting_down.connect(told_to_stop, weak=False)
    signals.task_received.connect(received, weak=False)
    signals.worker_before_create_process.connect(share_memory, weak=False)
    signals.task_failure.connect(process_lost, weak=False)
    signals.task_retry.connect(revoked, weak=False)
    signals.worker_process_shutdown.connect(process_ends, weak=False)
    signals.task_revoked.connect(revoked, weak=False)
