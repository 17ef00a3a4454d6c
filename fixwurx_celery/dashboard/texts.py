"""Logs and patches: text by others, which no browser may take for anything else."""

import re
from typing import Final

from tornado.web import HTTPError

from fixwurx_celery.cluster import Connection
from fixwurx_celery.cluster.patch import patch_of
from fixwurx_celery.dashboard.guarded import Api
from fixwurx_celery.domain.words import counted

__all__ = ["LogApi", "PatchApi"]

RUN: Final = re.compile(r"[0-9]{1,9}")


class TextApi(Api):
    """Answers with plain text."""

    def answer(self, text: bytes) -> None:
        """The text as it is."""
        self.set_header("Content-Type", "text/plain; charset=UTF-8")
        self.write(text)


class LogApi(TextApi):
    """GET ?bug=ID&run=N: what that run of the bug printed, or the last one."""

    async def get(self) -> None:
        """Its last megabyte, at most two seconds old."""
        bug_id, run = self.get_query_argument("bug"), self.get_query_argument("run", "")
        if run and not RUN.fullmatch(run):
            raise HTTPError(400, "run must be a number")
        self.answer(await self.blocking(log_of, self.application.connection, bug_id, run))


class PatchApi(TextApi):
    """GET ?bug=ID: the patch of the bug, as `git apply` takes it."""

    async def get(self) -> None:
        """404 when it has none."""
        bug_id = self.get_query_argument("bug")
        self.answer(await self.blocking(patch_text, self.application.connection, bug_id))


def log_of(connection: Connection, bug_id: str, run: str) -> bytes:
    """Raises BugUnknown, StoreUnavailable."""
    record = connection.store.bug(bug_id)
    number = int(run) if run else record.runs
    if run and not 1 <= number <= record.runs:
        told = f"it has run {counted(record.runs, 'time')}"
        raise HTTPError(404, "no run %d of %s: %s", number, bug_id, told)
    if not record.runs:
        return f"{bug_id} has not run yet\n".encode()
    text = connection.store.log(bug_id, number)
    return (text or f"run {number} of {bug_id} has printed nothing\n").encode("utf-8", "replace")


def patch_text(connection: Connection, bug_id: str) -> bytes:
    """Raises BugUnknown, StoreUnavailable."""
    patch = patch_of(connection.settings, connection.store.bug(bug_id), is_patient=False)
    if patch is None:
        raise HTTPError(404, "bug %s has no patch", bug_id)
    return patch
