"""The name of a node's present life, known to all its processes."""

import mmap
import uuid

__all__ = ["Incarnation"]


class Incarnation:
    """The node's present life, in memory that the pool processes share."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 32)
        self.renew()

    def renew(self) -> str:
        """A new life's name."""
        self._shared[:] = uuid.uuid4().hex.encode()
        return self()

    def __call__(self) -> str:
        """The present one."""
        return self._shared[:].decode()
