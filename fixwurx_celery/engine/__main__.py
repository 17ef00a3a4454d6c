"""Runs the shipped engine on one bug, on this machine, without any cluster.

    python -m fixwurx_celery.engine BUG.json [--agents N] [--checkpoint IN_OUT.json] [--keep]

BUG.json holds the payload; `id` and `agents` beside it are taken too. The log goes to stderr, the
outcome as JSON to stdout. Exit status 0 when fixed, 4 for any other outcome, 2 for a bad file.
"""

import argparse
import contextlib
import json
import shutil
import sys
import tempfile
from pathlib import Path

from fixwurx_celery.engine.base import EngineBug
from fixwurx_celery.engine.sandbox import open_sandbox
from fixwurx_celery.engine.triangulation import Triangulation
from fixwurx_celery.settings import Settings

CLUSTER_FIELDS = ("requires", "priority", "timeout", "limits", "expected_seconds")


def _source(bug: EngineBug) -> list[Path]:
    match bug.payload.get("source"):
        case {"path": str(path)}:
            return [Path(path).resolve()]
    return []


def main(arguments: list[str] | None = None) -> int:
    """Run one payload and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m fixwurx_celery.engine")
    parser.add_argument("bug", type=Path, help="JSON file with the payload")
    parser.add_argument("--agents", type=int, help="processes at work for the bug (default 3)")
    parser.add_argument("--checkpoint", type=Path, help="resume from it; written when it changes")
    parser.add_argument("--keep", action="store_true", help="keep the workspace and name it")
    options = parser.parse_args(arguments)
    try:
        payload = json.loads(options.bug.read_text())
        bug = EngineBug(
            id=str(payload.pop("id", options.bug.stem)),
            agents=options.agents or int(payload.pop("agents", 3)),
            payload={k: v for k, v in payload.items() if k not in (*CLUSTER_FIELDS, "agents")},
        )
    except (OSError, ValueError, AttributeError) as problem:
        print(f"{options.bug}: {problem}; give a JSON object with the payload", file=sys.stderr)
        return 2
    saved = None
    if options.checkpoint and options.checkpoint.exists():
        saved = json.loads(options.checkpoint.read_text())
    root = Path(tempfile.mkdtemp(prefix="fixwurx-"))
    try:
        with contextlib.redirect_stdout(sys.stderr):
            # Whoever runs this names a folder of their own.
            sandbox = open_sandbox(Settings.from_environment(), *_source(bug))
            engine = Triangulation(bug, root, saved, sandbox)
            try:
                while not engine.all_done():
                    engine.execute_tick()
                    if options.checkpoint:
                        options.checkpoint.write_text(json.dumps(engine.checkpoint()))
            finally:
                engine.cancel()
    finally:
        if options.keep:
            print(f"workspace kept: {root}", file=sys.stderr)
        else:
            shutil.rmtree(root, ignore_errors=True)
    outcome = engine.outcome
    print(json.dumps(outcome, indent=2))
    return 0 if isinstance(outcome, dict) and outcome["outcome"] == "FIXED" else 4


if __name__ == "__main__":
    sys.exit(main())
