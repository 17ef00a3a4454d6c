"""`fixwurx-celery up`: the embedded cluster in the foreground, for other shells to use."""

import os
import shlex
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from fixwurx_celery.cli.node_count import NODES_HELP, NodeCount, NodeCountType
from fixwurx_celery.cli.options import examples, option
from fixwurx_celery.cli.progress import SCALING, scaling_words
from fixwurx_celery.domain.words import clean_lines, counted
from fixwurx_celery.errors import ConfigurationError, FixwurxError
from fixwurx_celery.settings import Settings, without_password

if TYPE_CHECKING:
    from fixwurx_celery.embedded import EmbeddedCluster, NodePlan

__all__ = ["plan_nodes", "up"]

LOOK_EVERY_S: Final = 0.25
SLOW_NODES_S: Final = 60.0


@click.command(
    epilog="""\b
Its state (waiting and finished bugs, logs) lies in the state directory and is there again at the
next `up`. Bugs that run when it ends go back in line.

"""
    + examples("up --nodes 3", "up --nodes 0..4", "up --node 6 --node 6:python,large-memory")
)
@option("--nodes", env="NODES", type=NodeCountType(fewest=0), help=NODES_HELP)
@option("--node", "node_specs", env="NODE", multiple=True, metavar="AGENTS[:LABELS]",
        help="One of these nodes, e.g. 9:python,large-memory. Repeat it for more.")  # fmt: skip
@option("--state-dir", env="STATE_DIR", metavar="FOLDER",
        help="Where its state is kept. [default: the user's state directory]")  # fmt: skip
def up(nodes: NodeCount | None, node_specs: Sequence[str], state_dir: str | None) -> int:
    """Runs a cluster of its own on this machine until Ctrl-C.

    Prints the file that tells other shells, Celery and Flower how to reach it.
    """
    from fixwurx_celery.embedded import EmbeddedCluster, StateFolder, state_root

    settings = Settings.from_environment()
    if settings.redis_url:
        raise ConfigurationError(
            [
                f"FIXWURX_REDIS_URL names a cluster already, "
                f"{without_password(settings.redis_url)}; unset it to bring up one of your own"
            ]
        )
    plan = plan_nodes(settings, nodes, node_specs)
    stops: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: stops.append(number))
    with StateFolder.take(state_root(state_dir) / "up") as state:
        remove_old(state.folder("artifacts"), settings.keep_finished_sec)
        file = state.path / "env"
        with EmbeddedCluster(settings, plan.nodes(), state, plan.growth()) as cluster:
            try:
                write_environment(file, cluster.settings())
                click.echo("the store is up; in other shells:\n")
                click.echo(f"    . {shlex.quote(str(file))}\n")
                follow(cluster, stops)
            finally:
                file.unlink(missing_ok=True)
                click.echo("ending: nodes first, then the store", err=True)
    return 0


def plan_nodes(settings: Settings, count: NodeCount | None, specs: Sequence[str]) -> "NodePlan":
    """Which nodes the embedded cluster starts, from what was typed. Raises ConfigurationError."""
    from fixwurx_celery.embedded import NodePlan

    if count is None:
        return NodePlan(settings, None, specs)
    return NodePlan(settings, count.least, specs, most=count.most)


def follow(cluster: "EmbeddedCluster", stops: list[int]) -> None:
    """Says when the nodes are ready, which come and go, and what goes wrong, until told to stop."""
    from fixwurx_celery.cluster import Connection

    began = time.monotonic()
    is_ready = is_slow = False
    with Connection(cluster.settings()) as connection:
        after = connection.store.last_event_id()
        while not stops:
            for event in connection.store.events(after):
                after = event.id
                if event.action in SCALING:
                    click.echo(scaling_words(event))
            for trouble in cluster.trouble():
                click.echo(clean_lines(trouble.text), err=True)
                if trouble.is_final and trouble.name == "store":
                    raise FixwurxError("the store cannot be kept running (see above)")
            if not is_ready:
                seen = connection.store.snapshot()
                is_ready = len(seen.live) >= len(cluster.nodes)
                if len(seen.live) >= cluster.expected_nodes:
                    cluster.begin_scaling()
                if is_ready:
                    nodes = counted(len(seen.live), "node")
                    what = f"{nodes} with {seen.total_agents} agents"
                    if not cluster.nodes:
                        what = "nodes start when there are bugs for them"
                    click.echo(f"ready: {what}; Ctrl-C ends it")
                elif not is_slow and time.monotonic() - began > SLOW_NODES_S:
                    is_slow = True
                    click.echo(
                        f"{len(seen.live)} of {len(cluster.nodes)} nodes are ready; the others "
                        f"take long, see {cluster.logs}",
                        err=True,
                    )
            time.sleep(LOOK_EVERY_S)


def write_environment(file: Path, settings: Settings) -> None:
    """Writes what other shells source. The address holds a password, so only its owner reads it."""
    variables = settings.environment()
    variables.pop("FIXWURX_WORK_DIR", None)  # the nodes' own
    text = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
    file.unlink(missing_ok=True)
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)


def remove_old(folder: Path, keep_s: float) -> None:
    """Removes artifacts of bugs that are kept no longer."""
    for path in folder.glob("*/*"):
        if time.time() - path.stat().st_mtime > keep_s:
            path.unlink(missing_ok=True)
