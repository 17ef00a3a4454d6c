"""What a provider tells of a node: how old it is, and the end of its log without passwords."""

import re
from collections.abc import Collection
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import unquote

from fixwurx_celery.addresses import hide_passwords
from fixwurx_celery.settings import Settings

__all__ = ["TAIL_LINES", "age_s", "log_tail", "passwords_of", "server_time"]

TAIL_LINES: Final = 20
TAIL_CHARACTERS: Final = 2000
"""What an operator reads in a table or an event; the rest is in the provider's own logs."""

HIDDEN: Final = "***"
PASSWORD_OPTION = re.compile(r"([?&][^=&#\s]*password)=[^&#\s]*", re.IGNORECASE)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def passwords_of(settings: Settings) -> frozenset[str]:
    """Passwords in the settings' URLs, as written there and as meant."""
    found = set()
    for url in (settings.redis_url, settings.broker_url, settings.artifacts):
        credentials, at, _ = url.partition("://")[2].rpartition("@")
        if at and (secret := credentials.partition(":")[2]):
            found |= {secret, unquote(secret)}
        for option in PASSWORD_OPTION.finditer(url):
            secret = option.group().partition("=")[2]
            found |= {secret, unquote(secret)}
    return frozenset(found - {""})


def log_tail(text: str, secrets: Collection[str]) -> str:
    """The last lines, bounded, with what looks like a password or is a known one hidden."""
    text = ESCAPES.sub("", text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    lines = [line.rstrip() for line in hide_passwords(text).splitlines() if line.strip()]
    return "\n".join(lines[-TAIL_LINES:])[-TAIL_CHARACTERS:]


def server_time(date_header: str | None) -> datetime:
    """When the server answered, by its own clock: ages are then right whatever ours says. To the
    second; ours when it does not tell."""
    try:
        return parsedate_to_datetime(date_header or "").astimezone(UTC)
    except ValueError:
        return datetime.now(UTC)


def age_s(since: datetime, now: datetime) -> float:
    """Seconds, never below 0: the server's word on the time is a rounded one."""
    return max(0.0, (now - since).total_seconds())
