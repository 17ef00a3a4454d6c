"""One picture of the cluster for all viewers, made anew at most once a second."""

import asyncio
import gzip
import logging
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from typing import Final

from fixwurx_celery.dashboard.picture import Part, Picture, picture_of
from fixwurx_celery.dashboard.reader import Reading
from fixwurx_celery.errors import StoreUnavailable

__all__ = ["REFRESH_S", "LivePicture"]

REFRESH_S: Final = 1.0
PATIENCE_S: Final = 1.5
"""A viewer waits so long for a store that is slow, and then gets the last picture."""

log = logging.getLogger(__name__)


class LivePicture:
    """The last picture, and whether the store still answers. Lives on the event loop; the store is
    read in a thread, by one viewer's request for all, and not at all while nobody looks."""

    def __init__(self, read: Callable[[], Reading], executor: Executor) -> None:
        self._read, self._executor = read, executor
        self._picture: Picture | None = None
        self.trouble = ""
        self._taken_s = self._began_s = float("-inf")
        self._refreshing: asyncio.Task[None] | None = None
        self._bodies: dict[tuple[object, ...], bytes] = {}

    def expire(self) -> None:
        """Something was done: the next viewer gets a new picture."""
        self._began_s = float("-inf")

    def begin(self) -> None:
        """Has the store read, when it is time for it, and waits for nothing."""
        if self._refreshing is None and time.monotonic() - self._began_s >= REFRESH_S:
            self._began_s = time.monotonic()
            self._refreshing = asyncio.ensure_future(self._refresh())

    async def refresh(self) -> None:
        """Brings the picture up to date, or finds out that the store is away."""
        self.begin()
        if self._refreshing is not None:
            # Who knows already that the store is away need not wait for it.
            patience_s = 0 if self.trouble else PATIENCE_S
            done, _ = await asyncio.wait({self._refreshing}, timeout=patience_s)
            if not done:
                self.trouble = self.trouble or f"the store has not answered for {PATIENCE_S:g} s"

    async def _refresh(self) -> None:
        try:
            picture = await asyncio.get_running_loop().run_in_executor(self._executor, self._look)
        except StoreUnavailable as error:
            self.trouble = str(error)
        except Exception as error:  # viewers are told, and the next look begins anew
            log.exception("the cluster cannot be shown")
            self.trouble = f"the cluster cannot be shown: {type(error).__name__}: {error}"
        else:
            if self._picture is None or picture.parts != self._picture.parts:
                self._bodies.clear()
            self._picture, self._taken_s, self.trouble = picture, time.monotonic(), ""
        finally:
            self._refreshing = None

    def _look(self) -> Picture:
        return picture_of(self._read())

    @property
    def now_ms(self) -> int:
        """The time by the store's clock, also while it is away."""
        if self._picture is None:
            return int(time.time() * 1000)
        return self._picture.now_ms + int((time.monotonic() - self._taken_s) * 1000)

    @property
    def due_ms(self) -> int:
        """In how long a picture newer than this one can be had: who asks then, and not before, sees
        each of them as soon as it can be seen."""
        return int(max(0.0, self._began_s + REFRESH_S - time.monotonic()) * 1000)

    def parts(self) -> Mapping[str, Part]:
        """What there is to see, by name; among it what is the matter with the store."""
        last_ms = self._picture.now_ms if self._picture else None
        trouble = {"text": self.trouble, "last_ms": last_ms} if self.trouble else None
        return {
            **(self._picture.parts if self._picture else {}),
            "trouble": Part.of("trouble", trouble),
        }

    def body(self, names: Collection[str], *, is_gzip: bool) -> bytes:
        """These parts as JSON, by name: version and content. Made once for all viewers."""
        parts = self.parts()
        key = (is_gzip, *sorted(parts[name].version for name in names))
        if key not in self._bodies:
            told = b",".join(
                b'"%s":["%s",%s]' % (name.encode(), parts[name].version.encode(), parts[name].body)
                for name in sorted(names)
            )
            body = b"{%s}" % told
            self._bodies[key] = gzip.compress(body, 1) if is_gzip else body
        return self._bodies[key]
