"""Runs one command as an attempt does, in the process and with the rights of whoever starts this.

    python confined_run.py REQUEST_JSON

REQUEST: folder, command, sandbox (auto|bwrap|off), network, seconds, settings. The answer goes to
stdout.
"""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from fixwurx_celery.engine.process import Processes, environment
from fixwurx_celery.engine.sandbox import open_sandbox
from fixwurx_celery.settings import Settings


def main() -> None:
    request = json.loads(sys.argv[1])
    folder = Path(request["folder"])
    settings = Settings(sandbox=request["sandbox"], **request["settings"])
    sandbox = open_sandbox(settings).with_network(is_asked=request["network"])
    sandbox = sandbox.furnished(folder / "sandbox")
    copy = folder / "copy"
    copy.mkdir(exist_ok=True)
    sandbox.give(copy)
    with Processes(sandbox) as processes:
        running = processes.start(
            request["command"],
            cwd=copy,
            env=environment(os.environ, scratch=folder, sandbox=sandbox),
            output=folder / "output",
            timeout_s=request["seconds"],
        )
        finished = running.wait(request["seconds"] + 20)
        assert finished is not None, "the command has not ended"
    report = asdict(finished) | {
        "output": finished.text(),
        "copy": sorted(p.name for p in copy.iterdir()),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
