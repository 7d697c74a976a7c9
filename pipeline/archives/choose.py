"""Which capture of a page is that of the day: the nearest to an instant, within a number of days, before it or after it.

CaptureRows are rows of numpy arrays (CAPTURE), for the join of millions of links and for a single answer of a CDX server alike.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.pages.archive_index import is_page_status
from pipeline.pages.outcomes import REDIRECT_STATUSES, PageDrop

MICROSECONDS_PER_DAY = 86_400_000_000
SUBMISSION = "submission"
SIDES = ("either", "before", "after")
TRUNCATED, INEXACT, OUTSIDE, REVISIT = 1, 2, 4, 8
"""Flags of a capture: its writer cut it; it is of another spelling of the URL; it lies outside the window; its body is another's."""
CAPTURES_PER_LINK = 4
"""CaptureRows that are tried for one link, one after another, where the nearest cannot be read."""
CAPTURE = np.dtype(
    [
        ("link", "<i8"),
        ("captured_at", "<i8"),
        ("distance", "<i8"),
        ("page", "<u8"),
        ("warc", "<u8"),
        ("offset", "<i8"),
        ("length", "<i8"),
        ("digest", "S20"),
        ("status", "<i4"),
        ("flags", "<i4"),
    ]
)
"""A capture of a link's page: number of the link; time, and distance from the link's instant (microseconds, negative before it);
hash of the dedup key that was looked up; hash of the WARC file's name, offset and length in it; SHA-1 of the payload (empty where
it is not known); HTTP status; flags."""

CaptureRows = npt.NDArray[Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """The captures that are admitted: within `days` of an instant, on one side of it or on either.

    `as_of` is `submission` (the link's first submission) or a date, YYYY-MM-DD, which stands for its noon. Raises ValueError.
    """

    as_of: str = SUBMISSION
    days: int = 365
    side: str = SIDES[0]

    def __post_init__(self) -> None:
        if self.as_of != SUBMISSION:
            try:
                date.fromisoformat(self.as_of)
            except ValueError as error:
                raise ValueError(f"--as-of {self.as_of}: neither 'submission' nor a date such as 2013-06-30") from error
        if self.days < 0:
            raise ValueError(f"--within {self.days}: must be 0 days or more")
        if self.side not in SIDES:
            raise ValueError(f"--side {self.side}: not one of {', '.join(SIDES)}")

    def instant(self, submitted_at: datetime | None) -> datetime | None:
        """The instant near which a link's capture is wanted; None for a link without a date, where the submission counts."""
        if self.as_of == SUBMISSION:
            return submitted_at
        return datetime.combine(date.fromisoformat(self.as_of), time(12), UTC)

    def bounds(self, at: int) -> tuple[int, int]:
        """First and last time admitted around an instant, in microseconds."""
        span = self.days * MICROSECONDS_PER_DAY
        return at - (span if self.side != "after" else 0), at + (span if self.side != "before" else 0)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970."""
    return round(instant.timestamp() * 1e6)


def instant_at(time_microseconds: int) -> datetime:
    """The instant, in UTC, that many microseconds after the beginning of 1970."""
    return _EPOCH + timedelta(microseconds=time_microseconds)


def is_redirect(status: int) -> bool:
    """Whether a status sends to another URL."""
    return status in REDIRECT_STATUSES


_USEFUL = np.array([is_page_status(status) or is_redirect(status) for status in range(1000)])


def ranked(captures: CaptureRows) -> CaptureRows:
    """The captures to read, of each link the one to take first, then the next: sorted by link and preference.

    Whole pages and redirects inside the window, the nearest first; of two as near, the earlier; of one instant, the exact URL
    first. A revisit stands for the nearest whole capture of the link that has its payload, and is left out where there is none.
    """
    captures = _without_revisits(captures)
    status = np.clip(captures["status"], 0, 999)
    useful = captures[_USEFUL[status] & (captures["flags"] & (TRUNCATED | OUTSIDE) == 0)]
    order = np.lexsort(
        (
            useful["offset"],
            useful["warc"],
            useful["flags"] & INEXACT,
            useful["captured_at"],
            np.abs(useful["distance"]),
            useful["link"],
        )
    )
    chosen: CaptureRows = useful[order]
    return chosen


def _without_revisits(captures: CaptureRows) -> CaptureRows:
    """The captures, where each revisit has the place of the record whose payload it repeats."""
    is_revisit = captures["flags"] & REVISIT != 0
    if not is_revisit.any():
        return captures
    wholes = captures[~is_revisit & (captures["flags"] & TRUNCATED == 0) & _USEFUL[np.clip(captures["status"], 0, 999)]]
    by_payload: dict[tuple[int, bytes], list[Any]] = {}
    for row in wholes:
        by_payload.setdefault((int(row["link"]), bytes(row["digest"])), []).append(row)
    replaced = captures[is_revisit].copy()
    kept = []
    for row in replaced:
        originals = by_payload.get((int(row["link"]), bytes(row["digest"]))) if row["digest"] else None
        if originals:
            original = min(
                originals, key=lambda one: (abs(int(one["captured_at"]) - int(row["captured_at"])), int(one["offset"]))
            )
            for name in ("warc", "offset", "length", "status"):
                row[name] = original[name]
            row["flags"] &= ~REVISIT
            kept.append(row)
    return np.concatenate([captures[~is_revisit], np.array(kept, CAPTURE)])


def first_of_each(captures: CaptureRows, attempt: int) -> CaptureRows:
    """Of each link's captures, sorted by link, the one of this attempt (0 is the first)."""
    if not len(captures):
        return captures
    starts = np.flatnonzero(np.r_[True, np.diff(captures["link"]) != 0])
    position = np.arange(len(captures)) - np.repeat(starts, np.diff(np.r_[starts, len(captures)]))
    chosen: CaptureRows = captures[position == attempt]
    return chosen


def best_of_each(captures: CaptureRows, most: int = CAPTURES_PER_LINK) -> CaptureRows:
    """Of each link's captures, sorted by link, the first `most`."""
    if not len(captures):
        return captures
    starts = np.flatnonzero(np.r_[True, np.diff(captures["link"]) != 0])
    position = np.arange(len(captures)) - np.repeat(starts, np.diff(np.r_[starts, len(captures)]))
    best: CaptureRows = captures[position < most]
    return best


def refusal(captures: CaptureRows) -> tuple[PageDrop, str]:
    """Why none of a link's captures can be taken: the reason of its drop, and the detail."""
    inside = captures[captures["flags"] & OUTSIDE == 0]
    if not len(inside):
        if not len(captures):
            return PageDrop.NOT_ARCHIVED, ""
        days = np.abs(captures["distance"]).min() / MICROSECONDS_PER_DAY
        return PageDrop.OUTSIDE_WINDOW, f"the nearest capture is {days:,.1f} days away"
    if (inside["flags"] & TRUNCATED != 0).any():
        return PageDrop.TRUNCATED, "each capture in the window is truncated"
    failures = inside[inside["flags"] & REVISIT == 0]
    if not len(failures):
        return PageDrop.NOT_ARCHIVED, "a revisit of a record that is not in the index"
    nearest = failures[np.lexsort((failures["captured_at"], np.abs(failures["distance"])))[0]]
    return PageDrop.of_status(int(nearest["status"])), f"{int(nearest['status'])} when it was captured"
