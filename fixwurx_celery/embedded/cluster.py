"""The embedded cluster, as the command or program that brings it along holds it.

All processes belong to a guardian, which ends them when this process ends, in whatever way.
"""

import contextlib
import json
import os
import secrets
import selectors
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.embedded.node_plan import Growth
from fixwurx_celery.embedded.server import server_binary
from fixwurx_celery.embedded.state_folder import StateFolder
from fixwurx_celery.errors import ConfigurationError, FixwurxError, StoreUnavailable
from fixwurx_celery.processes.child import last_lines
from fixwurx_celery.settings import Settings, inherited_environment

__all__ = ["EmbeddedCluster", "Trouble"]

CONTROLLER_AFTER_S: Final = 2.0
"""The controller has nothing to do in the first seconds, and the nodes want the processor."""
DRAIN_S: Final = 1.0
"""Nodes end with their command: what still runs then goes back in line, for the next time."""
STOP_DEADLINE_S: Final = 20.0
STORE_DEADLINE_S: Final = 65.0
GUARDIAN_BURIED_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Something that happened to a process of the cluster."""

    name: str
    is_final: bool
    text: str


class EmbeddedCluster:
    """A controller with beat, nodes, and a private store unless the settings name one. Start, use
    `settings`, stop."""

    def __init__(
        self,
        settings: Settings,
        nodes: Sequence[NodeSpec],
        state: StateFolder,
        growth: Growth | None = None,
        *,
        is_kept: bool = True,
    ) -> None:
        """Starts nothing yet. `nodes` are there as long as the cluster is; with `growth`, without
        which there must be some, the controller adds others and takes those away again. The state
        goes with the cluster unless it `is_kept`.

        Raises NotBuilt, and ConfigurationError for a broker without a store.
        """
        if settings.broker_url and not settings.redis_url:
            raise ConfigurationError(
                [
                    "FIXWURX_BROKER_URL is set and FIXWURX_REDIS_URL is not: an embedded cluster "
                    "has its own broker; set both, or neither"
                ]
            )
        self.nodes, self.state, self.growth = list(nodes), state, growth
        self.is_kept = is_kept
        self._given = settings
        self._settings: Settings | None = None
        self._password = secrets.token_urlsafe(24)
        self._server = "" if settings.redis_url else server_binary()
        self._guardian: subprocess.Popen[bytes] | None = None
        self._is_scaling = False
        self._failed: set[str] = set()
        self._events = -1
        self._unread = b""
        self.logs = state.folder("logs")

    # -- starting --------------------------------------------------------------------------

    def start(self) -> None:
        """Has the guardian start everything, and returns at once."""
        read, write = os.pipe()
        order = json.dumps(self._plan()).encode() + b"\n"
        log = os.open(self.logs / "guardian.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            self._guardian = guardian = subprocess.Popen(
                # -P: a file json.py of the user's in the current folder is not our json.
                [sys.executable, "-P", "-m", "fixwurx_celery.embedded.guardian"],
                stdin=subprocess.PIPE,
                stdout=write,
                stderr=log,
                start_new_session=True,
                pass_fds=[self.state.lock_fd],
            )
        finally:
            os.close(write)
            os.close(log)
        os.set_blocking(read, False)
        self._events = read
        with contextlib.suppress(BrokenPipeError):  # its death is told by its own pipe
            if guardian.stdin is not None:
                guardian.stdin.write(order)
                guardian.stdin.flush()

    def _plan(self) -> Mapping[str, Any]:
        celery = [sys.executable, "-m", "celery", "-A"]
        worker = ["worker", "--loglevel", "INFO"]
        schedule = self.state.folder("beat") / "schedule"
        nodes = [
            {
                "name": f"node{number}",
                "argv": [*celery, "fixwurx_celery", *worker, "-n", f"node{number}@%h"],
                "environment": {
                    "FIXWURX_TOTAL_AGENTS": str(node.agents),
                    "FIXWURX_CAPABILITIES": ",".join(sorted(node.capabilities)),
                },
                "delay_s": 0.0,
            }
            for number, node in enumerate(self.nodes, 1)
        ]
        controller: dict[str, Any] = {
            "name": "controller",
            "argv": [
                *celery, "fixwurx_celery.controller", *worker,
                "-n", "controller@%h", "-B", "--schedule", str(schedule),
            ],
            "environment": {},
            "delay_s": None if self.growth else CONTROLLER_AFTER_S,
        }  # fmt: skip
        return {
            "owner": os.getpid(),
            "own_state": "" if self.is_kept else str(self.state.path),
            "scales": self.growth is not None,
            "server": self._server,
            "password": self._password,
            "store_folder": str(self.state.folder("valkey")),
            "logs": str(self.logs),
            "log_format": self._given.log_format,
            "environment": {**inherited_environment(), **self._own().environment()},
            "workers": [*nodes, controller],
        }

    def _own(self) -> Settings:
        """The settings given, as this cluster has them."""
        scaling: dict[str, Any] = {"provider": "none"}
        if self.growth:
            scaling = {
                "provider": "local",
                "node_specs": self.growth.specs,
                "min_workers": max(self.growth.least, len(self.nodes)),
                "max_workers": self.growth.most,
                "scaling_interval_sec": self.growth.interval_s,
                "scale_down_window_sec": self.growth.window_s,
            }
        artifacts = self._given.artifacts
        if not self._given.redis_url:  # nodes elsewhere would not see a folder of this host
            artifacts = artifacts or f"file://{self.state.folder('artifacts')}"
        return replace(
            self._given,
            **scaling,
            total_agents=max(node.agents for node in self.nodes or scaling["node_specs"]),
            artifacts=artifacts,
            drain_timeout_sec=DRAIN_S,
        )

    def settings(self) -> Settings:
        """The settings of a client of this cluster; waits until its store answers.

        Raises FixwurxError with the end of the store's log when it does not.
        """
        deadline = time.monotonic() + STORE_DEADLINE_S
        while self._settings is None:
            for event in self._read_events(wait_s=0.2):
                if event["event"] == "failed":
                    raise StoreUnavailable(self._account(event))
            if time.monotonic() > deadline:
                raise StoreUnavailable(
                    f"the embedded store did not answer within {STORE_DEADLINE_S:g} s; "
                    f"see {self.logs / 'store.log'}"
                )
        return self._settings

    @property
    def expected_nodes(self) -> int:
        """How many nodes serve when all have come up: those that are always there and did not
        fail for good."""
        return len(self.nodes) - len(self._failed)

    def begin_scaling(self) -> None:
        """Has the controller begin, now that the expected nodes serve: sooner, it would have others
        started in the place of those that boot. Harmless when repeated."""
        guardian = self._guardian
        if self.growth and not self._is_scaling and guardian and guardian.stdin:
            self._is_scaling = True
            with contextlib.suppress(OSError):  # its death is told by its own pipe
                guardian.stdin.write(b"scale\n")
                guardian.stdin.flush()

    def trouble(self) -> list[Trouble]:
        """What happened to its processes since the last call; does not wait."""
        return [
            Trouble(
                name=event["name"],
                is_final=event["event"] == "failed",
                text=self._account(event),
            )
            for event in self._read_events(wait_s=0)
            if event["event"] in ("failed", "restarting")
        ]

    def _account(self, event: Mapping[str, Any]) -> str:
        if event["event"] == "restarting":
            return (
                f"{event['name']} ended with status {event['status']}; it starts again in "
                f"{event['pause_s']:g} s; its log: {event['log']}"
            )
        lines = last_lines(Path(event["log"]))
        shown = "".join(f"\n    {line}" for line in lines) or " (its log is empty)"
        return (
            f"{event['name']} cannot be kept running: {event['why']}; the end of its log, "
            f"{event['log']}:{shown}"
        )

    def _read_events(self, *, wait_s: float) -> list[Mapping[str, Any]]:
        with selectors.DefaultSelector() as selector:
            selector.register(self._events, selectors.EVENT_READ)
            if not selector.select(wait_s):
                return []
        data = os.read(self._events, 65536)
        if not data:
            raise FixwurxError(
                f"the guardian of the embedded cluster has died, and all of it with it: "
                f"{self._end_of_guardian()}; run the command again: it goes on where it stopped"
            )
        *lines, self._unread = (self._unread + data).split(b"\n")
        events = [json.loads(line) for line in lines]
        for event in events:
            if event["event"] == "failed" and event["name"].startswith("node"):
                self._failed.add(event["name"])
            if event["event"] == "store_answers":
                own_url = f"redis://:{self._password}@127.0.0.1:{event['port']}/0"
                self._settings = replace(
                    self._own(),
                    redis_url=self._given.redis_url or own_url,
                    work_dir=event["folder"],
                    provider_options=event["provider_options"],
                )
        return events

    def _end_of_guardian(self) -> str:
        if self._guardian is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                if self._guardian.wait(GUARDIAN_BURIED_WITHIN_S) < 0:
                    return "it was killed"
        return "; ".join(last_lines(self.logs / "guardian.log")[-3:]) or "it said nothing"

    # -- ending ----------------------------------------------------------------------------

    def stop(self, *, now: bool = False) -> None:
        """Ends every process and waits until all are gone; with `now` it waits for nothing.

        Harmless when repeated.
        """
        guardian, self._guardian = self._guardian, None
        if guardian is None or guardian.stdin is None:
            return
        if now:
            with contextlib.suppress(OSError):
                guardian.stdin.write(b"now")
        with contextlib.suppress(OSError):
            guardian.stdin.close()
        if not now:
            with contextlib.suppress(subprocess.TimeoutExpired):
                guardian.wait(STOP_DEADLINE_S)
                if self._settings and guardian.returncode:  # it was killed: its processes died too
                    shutil.rmtree(self._settings.work_dir, ignore_errors=True)
        os.close(self._events)

    def __enter__(self) -> "EmbeddedCluster":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
