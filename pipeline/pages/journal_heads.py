"""The heads of a journal's entries: what each kind of outcome holds, checked when it is read, since a folder may be another's."""

from datetime import datetime
from typing import Annotated, Any

import msgspec

from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import PageDrop
from pipeline.redaction import redact
from tokenizer.errors import InputError
from tokenizer.typed_json import Count, LargeCount, Sha256, convert

Status = Annotated[int, msgspec.Meta(ge=100, le=999)]


class _DroppedHead(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    reason: PageDrop
    detail: str


class _KeptHead(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    kept: bool


class _MovedHead(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    target: str
    redirect_count: Annotated[int, msgspec.Meta(ge=0, le=1000)]
    chain_records: Annotated[int, msgspec.Meta(ge=0, le=10_000)]
    chain_urls: list[str]


class _OriginHead(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    uri: str
    file: str
    offset: LargeCount | None
    digest: str | None
    fetched_at: Annotated[datetime, msgspec.Meta(tz=True)]
    distance_days: float | None


class _FetchedHead(msgspec.Struct, forbid_unknown_fields=True):
    key: str
    records: Count
    redirected: list[str]
    final_url: str
    fetched_at: Annotated[datetime, msgspec.Meta(tz=True)]
    status: Status
    media_type: str
    charset: str | None
    response_at: LargeCount
    response_length: LargeCount
    body_bytes: LargeCount
    sha256: Sha256
    origin: _OriginHead | None = None


def head_of(journal: Journal, url: str) -> dict[str, Any]:
    """The head of a link's entry. Raises InputError where no outcome of ours has such a head, or its record is not in the blob."""
    head = journal.head(url)
    try:
        _check(head, journal.entries[url][2])
    except ValueError as error:
        raise InputError(
            f"{journal.path}: the entry of {redact(url)[:80]!r} is not one that this program writes ({error}); "
            "remove the folder's .work to fetch these links again"
        ) from error
    return head


def _check(head: dict[str, Any], blob_bytes: int) -> None:
    """Raise ValueError unless the head is that of an outcome, and its record lies within the entry's blob."""
    typed = convert(head, next((kind for name, kind in _KINDS.items() if name in head), _FetchedHead))
    if isinstance(typed, _FetchedHead) and typed.response_at + typed.response_length > blob_bytes:
        raise ValueError(f"response_length is {typed.response_length}, beyond the entry's {blob_bytes} bytes")


_KINDS: dict[str, type[msgspec.Struct]] = {
    "kept": _KeptHead,
    "reason": _DroppedHead,
    "target": _MovedHead,
    "final_url": _FetchedHead,
}
