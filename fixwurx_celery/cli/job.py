"""One run of `fixwurx-celery run`: its cluster, its bugs, Ctrl-C, and the exit status."""

import contextlib
import hashlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from fixwurx_celery.cli.manifest import Manifest
from fixwurx_celery.cli.progress import Progress, RunView, open_progress
from fixwurx_celery.cli.results import Results
from fixwurx_celery.cli.sources import Packed, pack_sources
from fixwurx_celery.cli.summary import print_summary
from fixwurx_celery.cli.table import json_text
from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.domain.words import counted
from fixwurx_celery.embedded import EmbeddedCluster, Growth, StateFolder, prune, state_root
from fixwurx_celery.errors import FixwurxError, StoreUnavailable
from fixwurx_celery.settings import Settings, without_password

if TYPE_CHECKING:
    from fixwurx_celery.cli.following import Following

__all__ = ["Job"]

ALL_FIXED: Final = 0
SOME_NOT: Final = 4
CANCEL_DEADLINE_S: Final = 15.0
"""A cancelled bug's processes are killed within a second; its node may be gone, though."""


class Job:
    """One run of the command."""

    def __init__(
        self,
        *,
        loaded: Manifest,
        settings: Settings,
        results: Results,
        planned: Sequence[NodeSpec] | None,
        growth: Growth | None,
        max_time: float | None,
        max_failures: int | None,
        cancels_on_exit: bool,
        resume: str,
        as_json: bool,
    ) -> None:
        self.loaded, self.settings, self.results, self.planned = loaded, settings, results, planned
        self.growth = growth
        self.max_time, self.max_failures = max_time, max_failures
        self.cancels_on_exit, self.resume, self.as_json = cancels_on_exit, resume, as_json
        self.stops: list[int] = []
        self.began = time.monotonic()

    def run(self, state_dir: str | None) -> int:
        """The exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop_requested)
        if self.planned is None:
            return self._process(None)
        if {bug.id for bug in self.loaded.bugs} <= self.results.known_ids():
            # Most likely nothing is left to do: then nothing is started either.
            packed = self._packed()
            if not self._open(packed):
                return self._conclude(None, packed)
        with self._embedded(state_dir) as cluster:
            return self._process(cluster)

    def _stop_requested(self, number: int, _: object) -> None:
        self.stops += [number] if number == signal.SIGINT else [number, number]
        if len(self.stops) > 3 or (len(self.stops) > 2 and number == signal.SIGINT):
            raise KeyboardInterrupt

    @contextlib.contextmanager
    def _embedded(self, state_dir: str | None) -> Iterator[EmbeddedCluster]:
        runs = state_root(state_dir) / "runs"
        name = hashlib.sha256(str(self.results.folder.resolve()).encode()).hexdigest()[:16]
        prune(runs)
        state = StateFolder.take(runs / name)
        cluster = EmbeddedCluster(self.settings, self.planned or [], state, self.growth)
        is_done = False
        try:
            cluster.start()
            yield cluster
            is_done = not self.stops
        except KeyboardInterrupt:
            cluster.stop(now=True)
            raise
        finally:
            cluster.stop()
            # What is written down needs no store; what is not goes on from it.
            state.release(remove_it=is_done and not self._unanswered)

    _unanswered: bool = True

    def _packed(self) -> list[Packed]:
        return list(pack_sources(self.loaded, self.settings.engine))

    def _open(self, packed: Sequence[Packed]) -> list[Packed]:
        return [each for each in packed if not self.results.answer(each.bug.id, each.input)]

    # -- the run itself --------------------------------------------------------------------

    def _process(self, cluster: EmbeddedCluster | None) -> int:
        from fixwurx_celery.artifacts import open_artifacts
        from fixwurx_celery.cli.connection import reach
        from fixwurx_celery.cli.following import Following
        from fixwurx_celery.cli.lines import check_cluster
        from fixwurx_celery.cluster import Connection

        packed = self._packed()
        todo = self._open(packed)
        if not todo:
            return self._conclude(None, packed)
        settings = cluster.settings() if cluster else self.settings
        with Connection(settings) as connection:
            reach(connection)
            warnings = [] if cluster else check_cluster(connection, todo)
            self._say_what(todo, len(packed), settings)
            for warning in warnings:
                click.echo(f"warning: {warning}", err=True)
            progress = open_progress([each.bug.id for each in todo])
            try:
                following = Following(
                    connection=connection,
                    artifacts=open_artifacts(settings),
                    results=self.results,
                    progress=progress,
                    view=RunView(total=len(todo), began=self.began),
                    on_line=lambda line: self._emit(line, progress),
                    is_own_cluster=cluster is not None,
                )
                following.begin(todo)
                is_detached = self._follow(following, cluster, progress)
            except StoreUnavailable as error:
                raise StoreUnavailable(f"{error}; go on later with: {self.resume}") from error
            finally:
                progress.close()
            if is_detached:
                left = counted(len(following.open), "bug")
                verb, them = ("goes", "it") if len(following.open) == 1 else ("go", "them")
                click.echo(
                    f"{left} {verb} on without this command; take {them} up again with: "
                    f"{self.resume}",
                    err=True,
                )
                return 128 + self.stops[-1]
        return self._conclude(following, packed)

    def _say_what(self, todo: Sequence[Packed], total: int, settings: Settings) -> None:
        done = f" (of {total}; the others are answered already)" if len(todo) < total else ""
        if self.planned is None:
            where = f"the cluster at {without_password(settings.redis_url)}"
        else:
            agents = sum(node.agents for node in self.planned)
            nodes = counted(len(self.planned), "node")
            where = f"{nodes} of this machine with {agents} agents"
            if self.growth:
                where += f", and up to {self.growth.most} nodes if needed"
        click.echo(
            f"{counted(len(todo), 'bug')}{done} on {where}; results go to {self.results.folder}/",
            err=True,
        )

    def _follow(
        self, following: "Following", cluster: EmbeddedCluster | None, progress: Progress
    ) -> bool:
        """Takes the bugs to their ends; whether it left some to a cluster that runs on."""
        stage = 0
        deadline = float("inf")
        lost: set[str] = set()
        while not following.is_over():
            following.step()
            for trouble in cluster.trouble() if cluster else []:
                progress.note(trouble.text)
                if trouble.is_final:
                    lost.add(trouble.name)
                    self._check_nodes_left(following, lost)
            if cluster and following.view.ready_nodes >= cluster.expected_nodes:
                cluster.begin_scaling()
            now = time.monotonic()
            if stage == 0 and (why := self._limit_reached(following, now)):
                progress.note(f"{why}: no further bug begins")
                following.view.stopping = "no further bug begins"
                following.stop_admitting()
            if len(self.stops) > stage:
                if not self.cancels_on_exit:
                    return True
                stage = len(self.stops)
                if stage == 1:
                    following.view.stopping = "stopping: Ctrl-C again cancels the running bugs"
                    progress.note("no further bug begins; Ctrl-C again cancels those that run")
                    following.stop_admitting()
                else:
                    following.view.stopping = "cancelling: Ctrl-C again ends at once"
                    progress.note("the running bugs are cancelled; Ctrl-C again ends at once")
                    following.cancel_all()
                    deadline = now + CANCEL_DEADLINE_S
            if now > deadline:
                progress.note(f"no end in time of {counted(len(following.open), 'bug')}")
                break
        return False

    def _limit_reached(self, following: "Following", now: float) -> str:
        if self.max_time is not None and now - self.began > self.max_time:
            self.max_time = None
            return "--max-time has passed"
        if self.max_failures is not None and following.failures >= self.max_failures:
            self.max_failures = None
            return f"{counted(following.failures, 'bug')} not fixed (--max-failures)"
        return ""

    def _check_nodes_left(self, following: "Following", lost: set[str]) -> None:
        left = [
            node for number, node in enumerate(self.planned or [], 1) if f"node{number}" not in lost
        ]
        for item in following.open.values():
            if "store" in lost or not any(
                node.can_run(item.bug.agents, item.bug.requires) for node in left
            ):
                raise FixwurxError(
                    f"bug {item.id} cannot be run any more: {', '.join(sorted(lost))} cannot be "
                    f"kept running (see above); go on later with: {self.resume}"
                )

    # -- the end ---------------------------------------------------------------------------

    def _emit(self, line: Mapping[str, Any], progress: Progress | None = None) -> None:
        if self.as_json:
            with progress.aside() if progress else contextlib.nullcontext():
                click.echo(json_text(line))

    def _conclude(self, following: "Following | None", packed: Sequence[Packed]) -> int:
        """Prints the table, and answers the exit status."""
        ended = {item.id: item.line for item in following.ended} if following else {}
        lines: dict[str, Mapping[str, Any] | None] = {}
        earlier: set[str] = set()
        for each in packed:
            line = ended.get(each.bug.id)
            if line is None:
                line = self.results.answer(each.bug.id, each.input)
                if line is not None:
                    earlier.add(each.bug.id)
                    self._emit(line)
            lines[each.bug.id] = line
        self._unanswered = any(
            line is None or not self.results.answer(bug_id, str(line["input"]))
            for bug_id, line in lines.items()
        )
        all_fixed = all(line and line["outcome"] in ("FIXED", "DONE") for line in lines.values())
        if not self.as_json:
            print_summary(lines, earlier, self.results.folder, time.monotonic() - self.began)
        if any(line is None for line in lines.values()):
            click.echo(f"go on with: {self.resume}", err=True)
        if self.stops:
            return 128 + self.stops[-1]
        return ALL_FIXED if all_fixed else SOME_NOT
