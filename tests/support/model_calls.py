"""What each call of the store must answer and do to the model. Same names as the store's."""

from collections.abc import Callable, Collection, Sequence

from fixwurx_celery.domain.bugs import Bug, BugState
from fixwurx_celery.store import Event
from tests.support.model import HOLDING, WAITING, Model, ModelBug, ModelNode, clock_in

Taken = Callable[[], list[Event]]
OFF_ITS_NODE = ("bug_given_back", "bug_escalated", "bug_cancelled", "bug_released")


class ModelCalls(Model):
    """Each method gets the events that the real call wrote, and answers what it must have said."""

    def submit(self, bugs: Sequence[Bug], events: list[Event]) -> list[str]:
        """The statuses; ASSIGNED and PENDING are told apart by where the bug is then."""
        answers: dict[int, str] = {}
        fresh: list[tuple[Bug, int]] = []
        for at, bug in enumerate(bugs):
            if bug.id in self.bugs:
                answers[at] = "KNOWN"
            elif bug.agents > self.largest(bug):
                answers[at] = "UNSATISFIABLE"
            else:
                fresh.append((bug, at))
        fresh.sort(key=lambda entry: (-entry[0].priority, -self._expected_ms(entry[0]), entry[1]))
        taken = [event for event in events if event.action == "bug_submitted"]
        if taken:
            self.batches += 1
        rest = list(events)
        for bug, at in fresh:
            if bug.id in self.bugs:
                answers[at] = "KNOWN"
                continue
            candidate = self._candidate(bug)
            told = (taken[0].bug, taken[0].detail) if taken else None
            if told != (bug.id, candidate.name_of_class):  # its id may be taken further on
                assert self.waiting() >= self.limits["max_waiting"], f"{bug.id} was refused"
                is_first = not self.line(candidate.name_of_class)
                for node in self.nodes.values():
                    assert node.sick or not (is_first and self.is_open(node, candidate))
                answers[at] = "FULL"
                continue
            taken.pop(0)
            self.arrivals += 1
            candidate.arrival = self.arrivals
            self.bugs[bug.id] = candidate
            rest.pop(0)
            while rest and rest[0].action != "bug_submitted":
                self.follow([rest.pop(0)])
            answers[at] = "PENDING" if candidate.state is WAITING else "ASSIGNED"
        assert not taken, f"{taken} were taken"
        return [answers[at] for at in range(len(bugs))]

    def _expected_ms(self, bug: Bug) -> int:
        return int((bug.expected_s or 0) * 1000) or self.took.get(bug.id, 0)

    def _candidate(self, bug: Bug) -> ModelBug:
        return ModelBug(
            bug.id, bug.agents, bug.requires, bug.priority, self.batches, self.tenths_of(bug),
            waiting_ms=self.now_ms, since_ms=self.now_ms,
            wait_limit_ms=int(bug.limits["waiting"] * 1000) if "waiting" in bug.limits else None,
        )  # fmt: skip

    def start(self, bug_id: str, node: str, life: str, epoch: int, runner: str) -> str:
        bug = self.bugs.get(bug_id)
        if bug is not None and bug.state is BugState.CANCELLED:
            return "CANCELLED"
        if bug is None or not self.owns(bug, node, life, epoch):
            return "STALE"
        if bug.state is BugState.RUNNING and bug.runner == runner:
            return "STARTED"
        if bug.state is not BugState.ASSIGNED:
            return "STALE"
        bug.stop_clock(self.now_ms)
        bug.state, bug.runner, bug.started_ms = BugState.RUNNING, runner, self.now_ms
        bug.phase = "TRIAGE"
        bug.runs += 1
        bug.bell_ms, bug.lease_ms = None, self.now_ms + self.limits["lease_ms"]
        return "STARTED"

    def report(self, bug_id: str, node: str, life: str, epoch: int, runner: str, phase: str) -> str:
        bug = self.bugs.get(bug_id)
        if (
            bug is None
            or bug.state is not BugState.RUNNING
            or not self.owns(bug, node, life, epoch)
            or bug.runner != runner
        ):
            return "STALE"
        if clock_in(phase) != bug.clock:
            bug.stop_clock(self.now_ms)
        bug.phase = phase
        bug.lease_ms = self.now_ms + self.limits["lease_ms"]
        if bug.cancelling:
            return "CANCELLED"
        drains_until_ms = self.nodes[node].drain_until_ms
        return "MOVED" if drains_until_ms and drains_until_ms <= self.now_ms else "CONTINUE"

    def finish(
        self, bug_id: str, node: str, life: str, epoch: int, runner: str, state: BugState,
        events: list[Event],
    ) -> str:  # fmt: skip
        bug = self.bugs.get(bug_id)
        if bug is None or not self.owns(bug, node, life, epoch) or bug.runner != runner:
            return "STALE"
        if bug.state is state:
            return "FINISHED"
        if bug.state is not BugState.RUNNING:
            return "STALE"
        if state is BugState.DONE:
            self.took[bug.id] = max(0, self.now_ms - bug.started_ms)
        self.let_go(bug)
        self.conclude(bug, state)
        self.follow(events)
        return "FINISHED"

    def fail_attempt(
        self, bug_id: str, node: str, life: str, epoch: int, charge: str, events: list[Event]
    ) -> str:
        bug = self.bugs.get(bug_id)
        if (
            bug is None
            or bug.state not in (BugState.RUNNING, BugState.ASSIGNED)
            or not self.owns(bug, node, life, epoch)
        ):
            return "STALE"
        status = self.give_back(bug, charge)
        self.follow(events)
        return status

    def cancel(self, bug_id: str, events: list[Event]) -> str:
        bug = self.bugs.get(bug_id)
        if bug is None:
            return "UNKNOWN"
        if bug.state is BugState.RUNNING:
            bug.cancelling = True
            return "CANCELLING"
        if bug.state is BugState.RESERVED:
            self.let_go(bug)
            del self.bugs[bug_id]
            self.follow(events)
            return "RELEASED"
        if bug.state is WAITING:
            self.stop_waiting(bug, BugState.CANCELLED)
        elif bug.state is BugState.ASSIGNED:
            self.let_go(bug)
            self.conclude(bug, BugState.CANCELLED)
        else:
            return str(bug.state)
        self.follow(events)
        return "CANCELLED"

    def prioritise(self, bug_id: str, priority: int) -> dict[str, BugState]:
        bug = self.bugs.get(bug_id)
        if bug is None or bug.state is BugState.RESERVED or self.is_over(bug_id):
            return {}
        bug.priority = priority
        return {bug_id: bug.state}

    def release(self, bug_id: str, events: list[Event]) -> str:
        bug = self.bugs.get(bug_id)
        if bug is None:
            return "UNKNOWN"
        if bug.state is WAITING:
            self.stop_waiting(bug, None)
        elif bug.state in HOLDING:
            self.let_go(bug)
            del self.bugs[bug_id]
        else:
            return str(bug.state)
        self.follow(events)
        return "RELEASED"

    def retry(self, bug_id: str, events: list[Event]) -> str:
        bug = self.bugs.get(bug_id)
        if bug is None:
            return "UNKNOWN"
        if not self.is_over(bug_id):
            return str(bug.state)
        self.batches += 1
        self.arrivals += 1
        tenths = self.took.get(bug_id, 0) // 100 if self.took.get(bug_id) else bug.tenths
        fresh = ModelBug(bug_id, bug.agents, bug.labels, bug.priority, self.batches, tenths)
        fresh.arrival, fresh.waiting_ms = self.arrivals, self.now_ms
        fresh.since_ms, fresh.wait_limit_ms = self.now_ms, bug.wait_limit_ms
        fresh.epoch, fresh.runs = bug.epoch, bug.runs
        self.bugs[bug_id] = fresh
        self.follow(events)
        return "PENDING"

    def reserve(self, bug_id: str, agents: int, holder: str, events: list[Event]) -> str:
        bug = self.bugs.get(bug_id)
        if bug is not None:
            mine = bug.state is BugState.RESERVED and bug.runner == holder
            return "RESERVED" if mine else "HELD"
        wanted = ModelBug(bug_id, agents, frozenset(), runner=holder)
        if not [event for event in events if event.action == "bug_reserved"]:
            line = self.line(wanted.name_of_class)
            for node in self.nodes.values():
                assert line or node.sick or not self.is_open(node, wanted), f"{node} has room"
            return "NO_ROOM"
        self.bugs[bug_id] = wanted
        wanted.lease_ms = self.now_ms + self.limits["lease_ms"]
        self.follow(events)
        return "RESERVED"

    def renew(self, bug_ids: Sequence[str], holder: str) -> list[str]:
        """Those that are lost."""
        lost = []
        for bug_id in bug_ids:
            bug = self.bugs.get(bug_id)
            if bug is not None and bug.state is BugState.RESERVED and bug.runner == holder:
                bug.lease_ms = self.now_ms + self.limits["lease_ms"]
            else:
                lost.append(bug_id)
        return lost

    def register(
        self, name: str, life: str, agents: int, labels: frozenset[str],
        listening: Collection[tuple[str, str]], events: list[Event],
    ) -> str:  # fmt: skip
        old = self.nodes.get(name)
        if old is not None and old.state != "OFFLINE":
            if old.incarnation == life:
                return "REGISTERED"
            if (name, old.incarnation) in listening and old.deadline_ms > self.now_ms:
                return "DUPLICATE"
            self.lose(old, "losses")
        self.nodes[name] = ModelNode(
            name, life, agents, labels, deadline_ms=self.now_ms + self.limits["heartbeat_ttl_ms"]
        )
        self.hear(name, life, listens=(name, life) in listening)
        self.follow(events)
        return "REGISTERED"

    def heartbeat(
        self, name: str, life: str, listening: Collection[tuple[str, str]], events: list[Event]
    ) -> bool:
        """Whether this life is in service."""
        node = self.nodes.get(name)
        if node is None or node.incarnation != life or node.state == "OFFLINE":
            return False
        node.deadline_ms = self.now_ms + self.limits["heartbeat_ttl_ms"]
        self.hear(name, life, listens=(name, life) in listening)
        self.follow(events)
        return True

    def drain(self, name: str, grace_ms: int, events: list[Event]) -> int | None:
        node = self.nodes.get(name)
        if node is None or node.state == "OFFLINE":
            return None
        until_ms = self.now_ms + grace_ms
        if node.state == "STOPPING":  # a grace that is over stays over
            until_ms = min(until_ms, node.drain_until_ms or 0)
        node.state, node.kept_for, node.drain_until_ms = "STOPPING", "", until_ms
        for bug_id in list(node.held):
            if self.bugs[bug_id].state is BugState.ASSIGNED:
                self.give_back(self.bugs[bug_id], "")
        self.follow(events)
        return len(node.held)

    def resume(self, name: str, events: list[Event]) -> bool:
        node = self.nodes.get(name)
        if node is None or node.state == "OFFLINE":
            return False
        node.state, node.drain_until_ms = "READY", None
        self.follow(events)
        return True

    def retire(self, name: str, life: str, events: list[Event]) -> None:
        node = self.nodes.get(name)
        if node is not None and node.incarnation == life and node.state != "OFFLINE":
            self.lose(node, "")
            self.follow(events)

    def forgive_silence(self) -> None:
        """Nobody swept for a third of the heartbeat timeout, or it is another server: all have
        their whole time anew."""
        ttl_ms, last_ms = self.limits["heartbeat_ttl_ms"], self.swept_ms
        is_another, self.is_another_server = self.is_another_server, False
        self.swept_ms = self.now_ms
        if not is_another and (last_ms is None or self.now_ms - last_ms <= ttl_ms / 3):
            return
        if is_another:
            self.heard.clear()
        self.unheard.clear()
        for node in self.nodes.values():
            node.deadline_ms = max(node.deadline_ms, self.now_ms + ttl_ms)
        for bug in self.bugs.values():
            if bug.lease_ms is not None:
                bug.lease_ms = max(bug.lease_ms, self.now_ms + self.limits["lease_ms"])
            if bug.bell_ms is not None:  # as if it were assigned now
                bug.bell_ms = bug.assigned_ms = self.now_ms

    def sweep(
        self, name: str, life: str, listening: Collection[tuple[str, str]], events: list[Event]
    ) -> list[str]:
        """The nodes that are gone, in order. Bugs are given back in the order that was logged."""
        self.forgive_silence()
        if self.heard.get(name) == life:
            self.unheard.pop(name, None)
        for node, heard in self.heard.items():
            if (node, heard) in listening:
                self.unheard.pop(node, None)
            else:
                self.unheard.setdefault(node, self.now_ms)
        due_ms = self.now_ms - self.limits["hang_up_ms"]
        hung_up = sorted((since, node) for node, since in self.unheard.items() if since <= due_ms)
        overdue = sorted(
            (n.deadline_ms, n.name)
            for n in self.nodes.values()
            if n.state != "OFFLINE" and n.deadline_ms <= self.now_ms
        )
        silent = [self.nodes[node] for node in dict.fromkeys(n for _, n in hung_up + overdue)]
        lost = {bug for node in silent for bug in node.held}
        for node in silent:
            self.lose(node, "losses")
        for node in self.nodes.values():
            taken_ms = self.now_ms - self.limits["move_after_ms"]
            if _due(node.drain_until_ms, taken_ms):
                lost |= set(node.held)
                for bug_id in [*node.held]:
                    self.give_back(self.bugs[bug_id], "")
                node.drain_until_ms = None
        expired = {b.id for b in self.bugs.values() if _due(b.lease_ms, self.now_ms)}
        unanswered = {b.id for b in self.bugs.values() if _due(b.bell_ms, self.now_ms)}
        patience_ms = 3 * self.limits["ring_after_ms"]
        given_up = {b for b in unanswered if self.now_ms - self.bugs[b].assigned_ms > patience_ms}
        back_off_over = [b for b in self.bugs.values() if _due(b.due_ms, self.now_ms)]
        for bug_id in unanswered - given_up:
            self.bugs[bug_id].bell_ms = self.now_ms + self.limits["ring_after_ms"]
        for event in events:
            if event.action in OFF_ITS_NODE and event.bug in expired | given_up:
                charge = "attempts" if event.bug in expired else ""
                (expired if charge else given_up).remove(event.bug)
                self.give_back(self.bugs[event.bug], charge)
                if _due(
                    self.bugs[event.bug].due_ms if event.bug in self.bugs else None, self.now_ms
                ):
                    back_off_over.append(self.bugs[event.bug])
            elif event.action in OFF_ITS_NODE and event.bug in lost:
                lost.remove(event.bug)
            elif event.action == "bug_escalated" and not self.is_over(event.bug):
                self._join(back_off_over)
                self._give_up_waiting(self.bugs[event.bug])
            elif event.bug in {bug.id for bug in back_off_over}:
                self._join(back_off_over)
            self.follow([event])
        self._join(back_off_over)
        assert not lost | expired | given_up, "bugs that should have been given back"
        for bug in self.bugs.values():
            assert not _due(bug.patience_ms, self.now_ms), f"{bug.id} waits past its limit"
        for bug in [*self.bugs.values()]:
            kept_until = (bug.finished_ms or self.now_ms) + self.limits["keep_finished_ms"]
            if self.is_over(bug.id) and kept_until <= self.now_ms:
                del self.bugs[bug.id]
        for node in [*self.nodes.values()]:
            if node.gone_ms is not None and (
                node.gone_ms + self.limits["forget_node_ms"] <= self.now_ms
            ):
                del self.nodes[node.name]
        return [node.name for node in silent]

    def _give_up_waiting(self, bug: ModelBug) -> None:
        assert _due(bug.patience_ms, self.now_ms), f"{bug} may wait longer"
        if bug.state is WAITING:
            self.stop_waiting(bug, BugState.ESCALATED)
        else:
            self.let_go(bug)
            self.conclude(bug, BugState.ESCALATED)

    def _join(self, bugs: list[ModelBug]) -> None:
        for bug in bugs:
            bug.due_ms = None
        bugs.clear()


def _due(at_ms: int | None, now_ms: int) -> bool:
    return at_ms is not None and at_ms <= now_ms
