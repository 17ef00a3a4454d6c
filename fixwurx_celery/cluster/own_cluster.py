"""What a program brings along: an embedded cluster that starts with it and ends with it."""

import os
import secrets
import weakref
from dataclasses import dataclass
from typing import Final

from fixwurx_celery.domain.nodes import NodeSpec
from fixwurx_celery.embedded import EmbeddedCluster, Growth, StateFolder, prune, state_root
from fixwurx_celery.settings import Settings

__all__ = ["OwnCluster", "Sizes"]

FOLDERS: Final = "programs"
"""Below the user's state directory: one folder for each program, as long as it has a cluster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """How many nodes there may be, of how many agents, and how often that is settled."""

    least: int
    most: int
    agents: int
    interval_s: float


class OwnCluster:
    """Processes of this program: a controller, a supervisor of nodes, and a private store unless
    the settings name one. They end with `stop`, or with the program, in whatever way it ends; what
    the private store held goes with them."""

    def __init__(self, settings: Settings, sizes: Sizes) -> None:
        """Starts it, and returns when its store answers. Raises FixwurxError that says why it does
        not, ConfigurationError among them."""
        folders = state_root() / FOLDERS
        prune(folders, keep_s=0)  # of programs that were killed together with their guardians
        state = StateFolder.take(folders / f"{os.getpid()}-{secrets.token_hex(4)}")
        spec = NodeSpec(agents=sizes.agents, capabilities=settings.capabilities)
        growth = Growth(
            least=sizes.least,
            most=sizes.most,
            specs=settings.node_specs or (spec,),
            interval_s=sizes.interval_s,
            window_s=settings.scale_down_window_sec,
        )
        try:
            self._cluster = EmbeddedCluster(settings, [], state, growth, is_kept=False)
        except BaseException:
            state.release(remove_it=True)
            raise
        # Also when this object is forgotten, and when the program ends: in good order it waits
        # until all has ended. In any other way of ending the guardian sees to it.
        self.stop = weakref.finalize(self, _end, self._cluster, state, os.getpid())
        """Ends all of it, and waits until it is gone. Harmless when repeated."""
        try:
            self._cluster.start()
            self.settings = self._cluster.settings()
        except BaseException:
            self.stop()
            raise

    def begin_scaling(self) -> None:
        """Has the controller begin, once the first nodes serve."""
        self._cluster.begin_scaling()

    def trouble(self) -> str:
        """What has gone wrong for good with its processes since the last call; empty: nothing."""
        return "; ".join(one.text for one in self._cluster.trouble() if one.is_final)


def _end(cluster: EmbeddedCluster, state: StateFolder, owner: int) -> None:
    if os.getpid() == owner:  # and not a child that it has forked
        cluster.stop()
        state.release(remove_it=True)
