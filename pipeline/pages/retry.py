"""Which requests are tried again, and after how long."""

from collections.abc import Iterable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from pipeline.pages.failures import RequestFailure

RETRIED_STATUSES = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
RETRIED_FAILURES = frozenset(
    {
        RequestFailure.TIMEOUT,
        RequestFailure.CONNECTION,
        RequestFailure.DNS,
        RequestFailure.TRUNCATED,
        RequestFailure.PROXY,
    }
)


def back_off_seconds(attempt: int, base_seconds: float) -> float:
    """The wait after a failed attempt: `base_seconds` after the first, doubled after each further one.

    >>> [back_off_seconds(attempt, 1.0) for attempt in (1, 2, 3)]
    [1.0, 2.0, 4.0]
    """
    return float(base_seconds * 2 ** (attempt - 1))


def requested_wait_seconds(headers: Iterable[tuple[str, str]], now: datetime) -> float | None:
    """The longest wait that the Retry-After fields among a response's headers ask for; None where no field is valid.

    A server behind a proxy may send several. Dates hold commas: the fields are never joined. Numbers may be listed: `120, 60`.
    """
    values = [value for name, value in headers if name.lower() == "retry-after"]
    listed = [part for value in values for part in (value, *value.split(","))]
    waits = [wait for part in listed if (wait := retry_after_seconds(part, now)) is not None]
    return max(waits, default=None)


def retry_after_seconds(value: str, now: datetime) -> float | None:
    """The wait that one Retry-After field asks for (RFC 9110 section 10.2.3: seconds, or a date); None where it is invalid.

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
