"""How long to wait before asking again."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


def back_off_seconds(attempt: int, base_seconds: float) -> float:
    """Doubling: base after the first try, twice that after the second …

    >>> [back_off_seconds(attempt, 1.0) for attempt in (1, 2, 3)]
    [1.0, 2.0, 4.0]
    """
    return float(base_seconds * 2 ** (attempt - 1))


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """What a Retry-After header asks for (RFC 9110 section 10.2.3: seconds, or a date); None for none or nonsense.

    >>> retry_after_seconds("120", datetime(2026, 1, 1, tzinfo=UTC))
    120.0
    """
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(value[:9])
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())
