"""The patch that fixes a bug, wherever it is kept."""

from fixwurx_celery.artifacts import open_artifacts
from fixwurx_celery.settings import Settings
from fixwurx_celery.store import BugRecord

__all__ = ["patch_of"]


def patch_of(settings: Settings, record: BugRecord, *, is_patient: bool = True) -> bytes | None:
    """The patch as `git apply` takes it; None when the bug has none.

    Raises FixwurxError when it is kept no longer, StoreUnavailable when it cannot be reached.
    """
    outcome = record.outcome if isinstance(record.outcome, dict) else {}
    if outcome.get("patch"):
        return str(outcome["patch"]).encode("utf-8", "surrogateescape")
    if outcome.get("patch_artifact"):
        ref = str(outcome["patch_artifact"])
        return open_artifacts(settings, is_patient=is_patient).get(ref)
    return None
