"""`fixwurx-celery run`: from bugs to patches, on a cluster of its own or on a running one."""

import contextlib
import hashlib
import json
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from fixwurx_celery.cli.options import examples, option
from fixwurx_celery.cli.progress import RunView, counted, open_progress
from fixwurx_celery.errors import FixwurxError, InputError, StoreUnavailable
from fixwurx_celery.settings import Settings, without_password

if TYPE_CHECKING:
    from fixwurx_celery.cli.following import Following
    from fixwurx_celery.cli.manifest import Manifest
    from fixwurx_celery.cli.progress import Progress
    from fixwurx_celery.cli.results import Results
    from fixwurx_celery.cli.sources import Packed
    from fixwurx_celery.embedded import EmbeddedCluster, NodeSpec

__all__ = ["run"]

ALL_FIXED: Final = 0
SOME_NOT: Final = 4
CANCEL_DEADLINE_S: Final = 15.0
"""A cancelled bug's processes are killed within a second; its node may be gone, though."""


@click.command(
    epilog="""\b
In OUT: <id>.patch for each bug that was fixed, logs/<id>.<attempt>.log, and results.jsonl with a
line for each bug as it ends. Run the same again and it goes on: what is answered there (FIXED,
NOT_FIXED, NOT_REPRODUCED, to the same input) is not done again; time-outs, errors and cancellations
are.

\b
Ctrl-C stops: once, and no further bug begins; twice, and running ones are cancelled; three times,
and it ends at once. On a cluster that runs already (FIXWURX_REDIS_URL), once leaves the bugs to it,
unless --cancel-on-exit is given.

\b
Exit status:
  0    every bug was fixed
  1    refused, or failed otherwise
  2    wrong usage, configuration or manifest; nothing was started
  3    the store cannot be reached, or no server for an embedded one exists
  4    not every bug was fixed
  130  ended by Ctrl-C

\b
A manifest:
  bugs:
    - id: BUG-123
      source: {path: ./repo}              # or {git: URL, ref: COMMIT}
      reproduce: python -m pytest -q -x tests/test_gcd.py

"""
    + examples(
        "run bugs.yaml",
        "run bugs.yaml -o out/ --nodes 3",
        "run bugs.yaml --node 9 --node 9:python,large-memory",
        "run bugs.jsonl --json | jq .outcome",
    )
)
@click.argument("manifest", metavar="MANIFEST")
@option("-o", "--out", env="OUT", default="out", show_default=True, type=click.Path(path_type=Path),
        help="The folder for patches, logs and results.jsonl.")  # fmt: skip
@option("--nodes", env="NODES", type=click.IntRange(1, 64),
        help="Nodes of the embedded cluster. [default: one for every three cores]")  # fmt: skip
@option("--node", "node_specs", env="NODE", multiple=True, metavar="AGENTS[:LABELS]",
        help="One of these nodes, e.g. 9:python,large-memory. Repeat it for more.")  # fmt: skip
@option("--timeout", env="TIMEOUT", default=300.0, show_default=True,
        type=click.FloatRange(0, 604800, min_open=True),
        help="Seconds for each bug that states none.")  # fmt: skip
@option("--max-time", env="MAX_TIME", type=click.FloatRange(0, min_open=True),
        help="Seconds after which no further bug begins.")  # fmt: skip
@option("--max-failures", env="MAX_FAILURES", type=click.IntRange(1),
        help="Bugs not fixed after which no further bug begins.")  # fmt: skip
@option("--format", "output_format", env="FORMAT", type=click.Choice(["swebench"]),
        help="Also write OUT/predictions.jsonl, as SWE-bench's harness takes it.")  # fmt: skip
@option("--cancel-on-exit", env="CANCEL_ON_EXIT", is_flag=True,
        help="Ctrl-C withdraws the bugs from a running cluster too.")  # fmt: skip
@option("--state-dir", env="STATE_DIR", metavar="FOLDER",
        help="For the embedded cluster's state. [default: the user's state directory]")  # fmt: skip
@option("--json", "as_json", env="JSON", is_flag=True,
        help="The lines of results.jsonl on stdout instead of a table.")  # fmt: skip
def run(
    manifest: str,
    out: Path,
    nodes: int | None,
    node_specs: Sequence[str],
    timeout: float,
    max_time: float | None,
    max_failures: int | None,
    output_format: str | None,
    cancel_on_exit: bool,
    state_dir: str | None,
    as_json: bool,
) -> int:
    """Repairs the bugs that MANIFEST lists.

    MANIFEST is YAML or JSON Lines; `-` reads it from standard input. Brings its own cluster along
    unless FIXWURX_REDIS_URL names one, and takes it away at the end.
    """
    from fixwurx_celery.cli.manifest import load_manifest
    from fixwurx_celery.cli.results import Results
    from fixwurx_celery.embedded import NodePlan

    settings = Settings.from_environment()
    plan = None if settings.redis_url else NodePlan(settings, nodes, node_specs)
    context = click.get_current_context()
    typed = [
        name
        for name in ("nodes", "node_specs")
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if plan is None and typed:
        raise InputError(
            [
                "--nodes and --node are for an embedded cluster, but FIXWURX_REDIS_URL names a "
                "running one; unset it, or leave them out"
            ]
        )
    loaded = load_manifest(
        manifest,
        engine=settings.engine,
        nodes=plan.nodes if plan else None,
        default_timeout_s=timeout,
    )
    planned = plan.nodes(max(bug.agents for bug in loaded.bugs)) if plan else None
    results = Results(out)
    try:
        job = Job(
            loaded=loaded,
            settings=settings,
            results=results,
            planned=planned,
            max_time=max_time,
            max_failures=max_failures,
            cancels_on_exit=cancel_on_exit or planned is not None,
            resume=resume_command(manifest, out),
            as_json=as_json,
        )
        status = job.run(state_dir)
        if output_format:
            target = results.write_predictions([bug.id for bug in loaded.bugs])
            click.echo(f"predictions are in {target}", err=True)
        return status
    finally:
        results.close()


class Job:
    """One run of the command."""

    def __init__(
        self,
        *,
        loaded: "Manifest",
        settings: Settings,
        results: "Results",
        planned: "Sequence[NodeSpec] | None",
        max_time: float | None,
        max_failures: int | None,
        cancels_on_exit: bool,
        resume: str,
        as_json: bool,
    ) -> None:
        self.loaded, self.settings, self.results, self.planned = loaded, settings, results, planned
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
    def _embedded(self, state_dir: str | None) -> "Iterator[EmbeddedCluster]":
        from fixwurx_celery.embedded import EmbeddedCluster, StateFolder, prune, state_root

        runs = state_root(state_dir) / "runs"
        name = hashlib.sha256(str(self.results.folder.resolve()).encode()).hexdigest()[:16]
        prune(runs)
        state = StateFolder.take(runs / name)
        cluster = EmbeddedCluster(self.settings, self.planned or [], state)
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

    def _packed(self) -> "list[Packed]":
        from fixwurx_celery.cli.sources import pack_sources

        return list(pack_sources(self.loaded, self.settings.engine))

    def _open(self, packed: "Sequence[Packed]") -> "list[Packed]":
        return [each for each in packed if not self.results.answer(each.bug.id, each.input)]

    # -- the run itself --------------------------------------------------------------------

    def _process(self, cluster: "EmbeddedCluster | None") -> int:
        from fixwurx_celery.artifacts import open_artifacts
        from fixwurx_celery.cli.connection import reach
        from fixwurx_celery.cli.following import Following, check_cluster
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
                    on_line=self._emit,
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

    def _say_what(self, todo: "Sequence[Packed]", total: int, settings: Settings) -> None:
        done = f" (of {total}; the others are answered already)" if len(todo) < total else ""
        if self.planned is None:
            where = f"the cluster at {without_password(settings.redis_url)}"
        else:
            agents = sum(node.agents for node in self.planned)
            nodes = counted(len(self.planned), "node")
            where = f"{nodes} of this machine with {agents} agents"
        click.echo(
            f"{counted(len(todo), 'bug')}{done} on {where}; results go to {self.results.folder}/",
            err=True,
        )

    def _follow(
        self, following: "Following", cluster: "EmbeddedCluster | None", progress: "Progress"
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

    def _emit(self, line: Mapping[str, Any]) -> None:
        if self.as_json:
            click.echo(json.dumps(line, ensure_ascii=False))

    def _conclude(self, following: "Following | None", packed: "Sequence[Packed]") -> int:
        """Prints the table, and answers the exit status."""
        from fixwurx_celery.cli.summary import print_summary

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


def resume_command(manifest: str, out: Path) -> str:
    """The command as it was given: the same again goes on where this one stopped."""
    import shlex

    if manifest == "-":
        return f"fixwurx-celery run - -o {shlex.quote(str(out))}"
    return shlex.join(["fixwurx-celery", *sys.argv[1:]])
