"""ResourceManager: the agents of one process, as FixWurx has always counted them."""

import threading
from typing import Any

from fixwurx_celery.domain.bugs import AGENTS_PER_BUG

__all__ = ["ResourceManager"]


class ResourceManager:
    """Agents of this process alone. Thread-safe.

    Invariant: `0 <= free <= total_agents`; what is not free is held by name, three agents a bug.
    """

    AGENTS_PER_BUG = AGENTS_PER_BUG

    def __init__(self, total_agents: int = 9) -> None:
        """Raises ValueError below 0 agents."""
        if total_agents < 0:
            raise ValueError(f"total_agents {total_agents} must not be negative")
        self._lock = threading.RLock()
        self._total = total_agents
        self._held: dict[str, int] = {}

    @property
    def total_agents(self) -> int:
        """Agents in all."""
        return self._total

    @property
    def free(self) -> int:
        """Agents that no bug holds; 0 also while more are held than a lowered total allows."""
        with self._lock:
            return max(0, self._total - sum(self._held.values()))

    def can_allocate(self) -> bool:
        """Whether a bug's three agents are free now."""
        return self.free >= self.AGENTS_PER_BUG

    def allocate(self, bug_id: str) -> bool:
        """Takes three agents for the bug; False when there are not so many. Harmless to repeat."""
        with self._lock:
            if bug_id in self._held:
                return True
            if not self.can_allocate():
                return False
            self._held[bug_id] = self.AGENTS_PER_BUG
            return True

    def free_agents(self, bug_id: str) -> bool:
        """Frees what the bug holds; False when it held nothing. Harmless to repeat."""
        with self._lock:
            return self._held.pop(bug_id, None) is not None

    def has(self, bug_id: str) -> bool:
        """Whether the bug holds agents."""
        with self._lock:
            return bug_id in self._held

    def update_total_agents(self, total_agents: int) -> None:
        """Changes the total. What is held stays held, also above a lower total."""
        if total_agents < 0:
            raise ValueError(f"total_agents {total_agents} must not be negative")
        with self._lock:
            self._total = total_agents

    def get_allocation_status(self) -> dict[str, Any]:
        """`total_agents`, `free_agents`, `active_bugs` (ids)."""
        with self._lock:
            return {
                "total_agents": self._total,
                "free_agents": self.free,
                "active_bugs": list(self._held),
            }
