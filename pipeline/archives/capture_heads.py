"""Results of captures in a journal: written as heads of its entries, checked when they are read, since a folder may be another's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec

from pipeline.archives.choose import CaptureRows, instant_at
from pipeline.archives.records import (
    DROP,
    FAILURE,
    PAGE,
    REDIRECT,
    CaptureResult,
    RecordError,
    digest_text,
    read_member,
    wanted_of,
)
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import PageDrop
from tokenizer.errors import InputError
from tokenizer.typed_json import LargeCount, convert

Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Round = Annotated[int, msgspec.Meta(ge=0, le=1000)]
WITH_RECORD = (PAGE, REDIRECT)
"""The kinds of result whose entries hold the record's bytes."""


class _ResultHead(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    link: LargeCount
    hop: Round
    attempt: Round
    kind: Literal["page", "redirect", "drop", "failure"]
    reason: PageDrop | None
    detail: str
    target: str
    warc: str
    offset: LargeCount
    length: LargeCount
    digest: str | None
    captured_at: Instant
    fetched_at: Instant


def append_result(journal: Journal, row: CaptureResult) -> None:
    """Write a result, a row of RESULT, as the entry of its link."""
    blob = row["member"] or b""
    head = {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items() if name != "member"}
    journal.append({"key": str(row["link"]), **head}, blob)


def result_of(journal: Journal, key: str) -> CaptureResult:
    """The result in an entry that `check_results` or `append_result` has seen: a row of RESULT."""
    head = convert(journal.head(key), _ResultHead)
    row: CaptureResult = {name: value for name, value in msgspec.structs.asdict(head).items() if name != "key"}
    return row | {"reason": head.reason and str(head.reason), "member": journal.blob(key) or None}


def check_results(journal: Journal, captures: CaptureRows, names: dict[int, str], hop: int, attempt: int) -> None:
    """Raise InputError unless each entry is the result of one of these captures, and its record, if it has one, that capture's.

    `captures` are rows of CAPTURE, one per link; `names` gives the names of their WARC files by hash.
    """
    rows = {int(row["link"]): row for row in captures} if journal.entries else {}
    for key in journal.entries:
        try:
            head = convert(journal.head(key), _ResultHead)
            row = _capture_of(head, rows)
            _check(head, row, names[int(row["warc"])], (hop, attempt))
            _check_record(head, journal.blob(key), row)
        except ValueError as error:
            raise InputError(
                f"{journal.path}: the entry of link {key[:20]!r} is not one that this program writes here ({error}); "
                "remove the folder's .work to fetch these links again"
            ) from error


def _capture_of(head: _ResultHead, rows: Mapping[int, Any]) -> Any:
    """The capture of a head's link. Raises ValueError where none was chosen."""
    if head.key != str(head.link) or head.link not in rows:
        raise ValueError(f"it is of link {head.link}, for which no capture was chosen here")
    return rows[head.link]


def _check(head: _ResultHead, row: Any, name: str, place: tuple[int, int]) -> None:
    """Raise ValueError unless a head is of a capture, read in this place: a hop and an attempt."""
    digest = bytes(row["digest"])
    expected = {
        "hop": place[0],
        "attempt": place[1],
        "warc": name,
        "offset": int(row["offset"]),
        "length": int(row["length"]),
        "digest": digest_text(digest),
        "captured_at": instant_at(int(row["captured_at"])),
    }
    for field, value in expected.items():
        if (found := getattr(head, field)) != value:
            raise ValueError(f"{field} is {found}, not {value}")
    if (head.reason is not None) != (head.kind in (DROP, FAILURE)):
        raise ValueError(f"a {head.kind} with the reason {head.reason}")
    if head.kind == REDIRECT and not head.target:
        raise ValueError("a redirect without a target")


def _check_record(head: _ResultHead, blob: bytes, row: Any) -> None:
    """Raise ValueError unless the entry has the capture's record, or none where its kind has none."""
    if head.kind not in WITH_RECORD:
        if blob:
            raise ValueError(f"a {head.kind} with a record")
        return
    try:
        read_member(blob, wanted_of(row))
    except RecordError as error:
        raise ValueError(f"{error.reason}: {error}") from error
