"""The scaling tick: observe, put right, decide, act, record.

Any number of controllers may hold a Scaler. Each tick is claimed in the store under a term, and
whatever is meant to be done is written there under that term before it is done: two of them never
launch more than is allowed, and one that dies half-way leaves nothing that the next tick does not
find.
"""

import logging
import os
import socket
import time
import uuid
from collections.abc import Callable
from itertools import count
from typing import Final, assert_never

from fixwurx_celery.cluster.connection import Connection
from fixwurx_celery.cluster.reconciliation import Step, StepKind, reconcile
from fixwurx_celery.cluster.scaling_view import view_of
from fixwurx_celery.domain.clocks import MAX_SECONDS
from fixwurx_celery.domain.nodes import LaunchStage, NodeSpec
from fixwurx_celery.domain.scaling import ScalingDecision, ScalingPolicy, decide
from fixwurx_celery.errors import ConfigurationError, NodeUnknown, ProviderError
from fixwurx_celery.logs import event, words
from fixwurx_celery.providers import LaunchOrder, ProvidedNode, Provider, open_provider
from fixwurx_celery.settings import Settings
from fixwurx_celery.store.scaling_state import SCALE, Observation, ScalingState, TermOver

__all__ = ["Scaler", "pause_of", "policy_of"]

KILL_AFTER_S: Final = 15.0
"""Beyond the grace time, a node that was told to end is killed so much later."""

FENCE_MS: Final = 10
"""As the period of a tick: it is claimed unless another was claimed so shortly before."""
FENCE_TRIES: Final = 50

NOT_FOR_NODES: Final = (
    "FIXWURX_PROVIDER",
    "FIXWURX_PROVIDER_OPTIONS",
    "FIXWURX_NODE_SPECS",
    "FIXWURX_STATE_PATH",
    "FIXWURX_METRICS_LISTEN",
    "FIXWURX_METRICS_TOKEN",
    "FIXWURX_METRICS_ALLOW_REMOTE",
)

EVENTS: Final = {
    StepKind.ADOPT: "launch_adopted",
    StepKind.ADOPT_STOPPING: "launch_adopted",
    StepKind.DRAIN: "launch_moved",
    StepKind.STOP: "launch_moved",
    StepKind.SETTLE: "launch_moved",
    StepKind.AWAIT: "launch_moved",
    StepKind.REMOVE: "launch_ended",
    StepKind.FORGET: "launch_ended",
    StepKind.FAIL: "launch_failed",
}
"""What a step is in the log. That a launch is asked for once more is none."""

log = logging.getLogger(__name__)


def policy_of(settings: Settings) -> ScalingPolicy:
    """What the settings want of scaling. Without a provider it says what one would be asked for."""
    usual = NodeSpec(agents=settings.total_agents, capabilities=settings.capabilities)
    return ScalingPolicy(
        specs=settings.launchable or (usual,),
        min_workers=settings.min_workers,
        max_workers=settings.max_workers,
        target=settings.scale_up_threshold,
        window_s=settings.scale_down_window_sec,
        scale_down_threshold=settings.scale_down_threshold,
        acceptable_wait_s=settings.acceptable_wait_sec,
    )


def pause_of(seen: Observation, provider: str) -> str:
    """Why nothing is asked of the provider now; empty where it is."""
    if seen.pause_until_ms <= seen.now_ms:
        return ""
    for_s = (seen.pause_until_ms - seen.now_ms) / 1000
    return (
        f"{provider} failed {seen.failures} times in a row, and is asked again in {for_s:.0f} s; "
        f"its last error: {seen.error}"
    )


class Scaler:
    """Decides, once a tick, how many nodes there should be, and has its provider see to it."""

    def __init__(
        self,
        connection: Connection,
        *,
        settings: Settings | None = None,
        provider_of: Callable[[Settings, str], Provider | None] = open_provider,
    ) -> None:
        """`settings` are the connection's unless given."""
        self._connection, self._settings = connection, settings or connection.settings
        self._state = ScalingState(connection.store)
        self._policy = policy_of(self._settings)
        self._provider_of = provider_of
        self._provider: Provider | None = None
        self._holder = f"{socket.gethostname()}:{os.getpid()}"
        self._said = ""

    def close(self) -> None:
        """Closes the way to the provider. The nodes go on."""
        if self._provider is not None:
            self._provider.close()

    @property
    def scope(self) -> str:
        """What the provider's nodes are launched under; empty without one. Raises ProviderError,
        and ConfigurationError."""
        provider = self._open(self._observe().cluster)
        return provider.scope if provider else ""

    def forget_nodes(self, scope: str) -> None:
        """Notes that the provider of this scope has ended, and all its nodes with it. Fences a tick
        that anybody carries out meanwhile: the next one sees what is."""
        for _ in range(FENCE_TRIES):
            term = self._connection.store.claim_tick(SCALE, self._holder, FENCE_MS)
            if term is not None:
                break
            time.sleep(FENCE_MS / 1000)
        else:
            return  # somebody ticks without a pause, and finds them gone by himself
        for launch in self._connection.store.snapshot(most_nodes=0).launches.values():
            if launch.scope == scope:
                self._state.end_launch(term, launch.node, "its program has ended")
        self._connection.store.end_tick(SCALE, term)

    def tick(self) -> ScalingDecision | None:
        """What was decided and done; None when somebody else carries out this tick."""
        period_ms = int(self._settings.scaling_interval_sec * 1000)
        term = self._connection.store.claim_tick(SCALE, self._holder, period_ms)
        if term is None:
            return None
        try:
            decision = self._carry_out(term)
        except TermOver:
            log.info(words("another controller has taken over scaling"))
            return None
        self._connection.store.end_tick(SCALE, term)
        return decision

    # -- one tick --------------------------------------------------------------------------

    def _carry_out(self, term: int) -> ScalingDecision:
        seen = self._observe()
        trouble = pause_of(seen, self._settings.provider)
        provided: dict[str, ProvidedNode] = {}
        steps: list[Step] = []
        provider = None
        if not trouble:
            try:
                provider = self._open(seen.cluster)
                if provider is None:
                    trouble = "no provider is set (FIXWURX_PROVIDER)"
                else:
                    provided = {provider.worker_id(one.name): one for one in provider.list()}
                    steps = reconcile(
                        seen,
                        provided,
                        scope=provider.scope,
                        is_gone=provider.is_gone,
                        boot_timeout_s=self._settings.boot_timeout_sec,
                        kill_after_s=self._settings.drain_timeout_sec + KILL_AFTER_S,
                    )
                    for step in steps:
                        self._take(term, step, provider)
            except (ProviderError, ConfigurationError) as error:
                trouble = str(error)
                self._state.fail_provider(term, trouble)
        if steps:
            seen = self._observe()
        scope = provider.scope if provider and not trouble else None
        view = view_of(seen, scope=scope, may_launch=not trouble)
        decision = decide(view, self._policy)
        failed = ""
        if provider is not None and not trouble:
            try:
                self._act(term, decision, provider, {*seen.known, *provided})
            except ProviderError as error:
                failed = str(error)
                self._state.fail_provider(term, failed)
        self._say(decision, seen.error if trouble and seen.failures else trouble or failed)
        self._state.record_decision(
            term,
            action=decision.action,
            reason=decision.reason,
            needed=decision.needed,
            window_s=self._policy.window_s,
            told={
                **decision.as_dict(),
                "view": view.as_dict(),
                "policy": self._policy.as_dict(),
                "interval_s": self._settings.scaling_interval_sec,
                "provider": self._settings.provider,
                "trouble": trouble or failed,
                "steps": [
                    {"node": step.node, "kind": str(step.kind), "reason": step.reason}
                    for step in steps
                ],
            },
        )
        return decision

    def _observe(self) -> Observation:
        new_id = f"{self._settings.namespace}-{uuid.uuid4().hex[:10]}"
        return self._state.observe(self._policy.window_s, new_id)

    def _open(self, cluster: str) -> Provider | None:
        if self._provider is None:
            self._provider = self._provider_of(self._settings, cluster)
        return self._provider

    def _say(self, decision: ScalingDecision, trouble: str) -> None:
        """Changes always, a trouble when it is another one than the last."""
        if decision.is_change:
            what = f"{decision.action}: {decision.reason}"
            log.info(event("scaled", what, action=decision.action, reason=decision.reason))
        if trouble and trouble != self._said and self._settings.provider != "none":
            provider = self._settings.provider
            log.warning(event("provider_failed", reason=trouble, provider=provider))
        self._said = trouble

    # -- doing it --------------------------------------------------------------------------

    def _take(self, term: int, step: Step, provider: Provider) -> None:
        if action := EVENTS.get(step.kind):
            level = logging.WARNING if step.kind is StepKind.FAIL else logging.INFO
            log.log(level, event(action, reason=step.reason, step=str(step.kind), node=step.node))
        match step.kind:
            case StepKind.ADOPT | StepKind.ADOPT_STOPPING:
                is_ending = step.kind is StepKind.ADOPT_STOPPING
                self._state.adopt_launch(
                    term,
                    step.node,
                    name=step.name,
                    profile=step.spec.profile,
                    scope=provider.scope,
                    age_s=step.age_s,
                    stage=LaunchStage.STOPPING if is_ending else LaunchStage.STARTING,
                )
            case StepKind.LAUNCH:
                provider.launch(self._order(step.name, step.spec))
            case StepKind.SETTLE:
                self._state.move_launch(term, step.node, LaunchStage.READY, step.reason)
            case StepKind.AWAIT:
                self._state.move_launch(term, step.node, LaunchStage.STARTING, step.reason)
            case StepKind.DRAIN:
                self._drain(term, step.node, step.name, step.reason, provider)
            case StepKind.STOP:
                self._stop(term, step.node, step.name, step.reason, provider)
            case StepKind.REMOVE | StepKind.FAIL:
                self._state.move_launch(term, step.node, LaunchStage.STOPPING, step.reason)
                provider.remove(step.name)
                self._state.end_launch(
                    term, step.node, step.reason, is_failure=step.kind is StepKind.FAIL
                )
            case StepKind.FORGET:
                self._state.end_launch(term, step.node, step.reason)
            case _:
                assert_never(step.kind)

    def _act(
        self, term: int, decision: ScalingDecision, provider: Provider, taken: set[str]
    ) -> None:
        for node in decision.resume:
            try:
                self._connection.ring(self._connection.store.resume(node))
            except NodeUnknown:
                continue  # it has ended meanwhile; the next tick sees to it
            self._state.move_launch(term, node, LaunchStage.READY, "demand is back")
        for node in decision.drain:
            name = node.partition("@")[0]
            self._state.move_launch(term, node, LaunchStage.DRAINING, decision.reason)
            self._drain(term, node, name, decision.reason, provider)
        # The lowest number is used again: whoever shows nodes by name keeps few of those that went.
        # The word keeps clear of nodes that others start.
        names = (f"auto{number}" for number in count(1))
        free = (name for name in names if provider.worker_id(name) not in taken)
        for spec in decision.launch:
            while (status := self._launch(term, next(free), spec, provider)) == "EXISTS":
                pass  # somebody's, or of another host
            if status == "FULL":
                break  # others have registered since

    def _launch(self, term: int, name: str, spec: NodeSpec, provider: Provider) -> str:
        node = provider.worker_id(name)
        status = self._state.plan_launch(
            term,
            node,
            name=name,
            profile=spec.profile,
            scope=provider.scope,
            most=self._policy.max_workers,
        )
        if status != "PLANNED":
            return status
        try:
            provider.launch(self._order(name, spec))
        except ProviderError as error:
            # Should it have been launched after all, the next tick finds and adopts it.
            self._state.end_launch(term, node, str(error))
            raise
        log.info(event("launch_planned", profile=spec.profile, node=node))
        return status

    def _order(self, name: str, spec: NodeSpec) -> LaunchOrder:
        environment = self._settings.environment()
        for variable in NOT_FOR_NODES:
            environment.pop(variable, None)
        return LaunchOrder(name=name, spec=spec, environment=environment)

    def _drain(self, term: int, node: str, name: str, reason: str, provider: Provider) -> None:
        """Gives it no more bugs; those it runs may end, however long that takes. One that runs
        none is stopped at once."""
        try:
            running, assignments = self._connection.store.drain(node, MAX_SECONDS)
        except NodeUnknown:
            return
        self._connection.ring(assignments)
        if not running:
            self._stop(term, node, name, reason, provider)

    def _stop(self, term: int, node: str, name: str, reason: str, provider: Provider) -> None:
        self._state.move_launch(term, node, LaunchStage.STOPPING, reason)
        provider.stop(name)
