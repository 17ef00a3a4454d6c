"""How long to wait before the next try, from the server's answer or from a back-off."""

import re
import time
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

RETRY_STATUSES = frozenset({413, 429, 503})


class InvalidHeader(ValueError):
    """The header is neither a number of seconds nor an HTTP date."""


@dataclass(frozen=True)
class RetryPolicy:
    """Limits for one request; `attempts` counts the tries that already failed."""

    total: int = 5
    factor: float = 0.5
    longest: float = 120.0

    def is_retryable(self, method: str, status: int, attempts: int) -> bool:
        if attempts >= self.total:
            return False
        return status in RETRY_STATUSES and method.upper() in {"GET", "HEAD", "PUT", "DELETE"}

    def backoff(self, attempts: int) -> float:
        if attempts <= 1:
            return 0.0
        return min(self.longest, self.factor * 2 ** (attempts - 1))

    def parse_retry_after(self, value: str, now: float | None = None) -> float:
        """Seconds to wait; the header may carry seconds or an absolute date."""
        if re.fullmatch(r"\s*[0-9]+\s*", value):
            return float(value)
        parsed = parsedate_tz(value)
        if parsed is None:
            raise InvalidHeader(f"invalid Retry-After header: {value!r}")
        current = time.time() if now is None else now
        return mktime_tz(parsed) - current

    def delay(self, headers: dict[str, str], attempts: int, now: float | None = None) -> float:
        value = headers.get("Retry-After")
        if value is None:
            return self.backoff(attempts)
        return min(self.longest, self.parse_retry_after(value, now))
