"""`fixwurx-celery run`: from bugs to patches, on a cluster of its own or on a running one."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from fixwurx_celery.cli.node_count import NODES_HELP, NodeCount, NodeCountType
from fixwurx_celery.cli.options import examples, option
from fixwurx_celery.errors import InputError
from fixwurx_celery.settings import Settings

__all__ = ["run"]


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
      timeout: 300                        # seconds of one run, but for its set-up
      limits: {setup: 900, waiting: 3600} # seconds by clock: waiting, setup, run, verify

\b
Four clocks: waiting in line, setup (fetching the source, until it is ready to be worked on), run,
and verify. Each may have a limit, after which the bug ends TIMED_OUT. Those of a run that have none
share `timeout`; setup has 600 s of its own unless `limits` says otherwise, so that a slow clone is
never charged to `timeout`. Waiting is not limited unless `limits` says so, and counts over all
stays in line; the others begin anew with each attempt.

"""
    + examples(
        "run bugs.yaml",
        "run bugs.yaml -o out/ --nodes 3",
        "run bugs.yaml --nodes 1..4",
        "run bugs.yaml --node 9 --node 9:python,large-memory",
        "run bugs.jsonl --json | jq .outcome",
    )
)
@click.argument("manifest", metavar="MANIFEST")
@option("-o", "--out", env="OUT", default="out", show_default=True, type=click.Path(path_type=Path),
        help="The folder for patches, logs and results.jsonl.")  # fmt: skip
@option("--nodes", env="NODES", type=NodeCountType(fewest=1), help=NODES_HELP)
@option("--node", "node_specs", env="NODE", multiple=True, metavar="AGENTS[:LABELS]",
        help="One of these nodes, e.g. 9:python,large-memory. Repeat it for more.")  # fmt: skip
@option("--timeout", env="TIMEOUT", default=300.0, show_default=True,
        type=click.FloatRange(0, 604800, min_open=True),
        help="Seconds for a run, without set-up, of each bug that states none.")  # fmt: skip
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
    nodes: NodeCount | None,
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
    from fixwurx_celery.cli.job import Job
    from fixwurx_celery.cli.manifest import load_manifest
    from fixwurx_celery.cli.results import Results
    from fixwurx_celery.cli.up import plan_nodes

    settings = Settings.from_environment()
    plan = None if settings.redis_url else plan_nodes(settings, nodes, node_specs)
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
    largest = max(bug.agents for bug in loaded.bugs)
    results = Results(out)
    try:
        job = Job(
            loaded=loaded,
            settings=settings,
            results=results,
            planned=plan.nodes(largest) if plan else None,
            growth=plan.growth(largest) if plan else None,
            max_time=max_time,
            max_failures=max_failures,
            cancels_on_exit=cancel_on_exit or plan is not None,
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


def resume_command(manifest: str, out: Path) -> str:
    """The command as it was given: the same again goes on where this one stopped."""
    if manifest == "-":
        return f"fixwurx-celery run - -o {shlex.quote(str(out))}"
    return shlex.join(["fixwurx-celery", *sys.argv[1:]])
