"""Records read out of an archive's WARC files, checked, and what each holds for its link: a page, a redirect, or nothing."""

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline.archives.cdxj import digest_bytes
from pipeline.archives.matching import page_hash
from pipeline.pages.archive_members import member_content
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.outcomes import REDIRECT_STATUSES, DroppedLink, PageDrop, page_or_drop, redirect_target
from pipeline.pages.refresh import refresh_target
from pipeline.pages.stored_response import http_response, stored_head
from pipeline.pages.warc_reader import RECORD_FAILURES
from pipeline.pages.warc_record import TruncatedRecordError, WarcRecord, parse_record, payload_digest
from pipeline.records import INSTANT
from pipeline.redaction import excerpt

OLD_CUT_BYTES = 1 << 20
"""Common Crawl cut payloads at this size without saying so, until it said so in its index (2019)."""
PAGE, REDIRECT, DROP, FAILURE = "page", "redirect", "drop", "failure"
"""What a capture gave: a page, a redirect to look up, an answer that ends the search, a failure after which the next is tried."""
FAILURES = frozenset(
    {
        PageDrop.BAD_RECORD,
        PageDrop.BAD_RESPONSE,
        PageDrop.TRUNCATED,
        PageDrop.EMPTY,
        PageDrop.BAD_REDIRECT,
        PageDrop.DIGEST_MISMATCH,
        PageDrop.ARCHIVE_GONE,
    }
)
"""Drops that say nothing about the page: another capture may have it."""
RESULTS = "results"
RESULT = pa.schema(
    [
        ("link", pa.int64()),
        ("hop", pa.int32()),
        ("attempt", pa.int32()),
        ("kind", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("target", pa.string()),
        ("warc", pa.string()),
        ("offset", pa.int64()),
        ("length", pa.int64()),
        ("digest", pa.string()),
        ("captured_at", INSTANT),
        ("fetched_at", INSTANT),
        ("member", pa.large_binary()),
    ]
)
"""What one capture gave for a link, after `hop` redirects; `member` is the record's bytes as the archive stores them."""

CaptureResult = dict[str, Any]


class RecordError(ValueError):
    """A record gives no page; `reason` says why."""

    def __init__(self, reason: PageDrop, detail: str = "") -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Wanted:
    """The record that an index promises: hash of its page's dedup key, offset and length, 20 bytes of SHA-1 or none."""

    page: int
    offset: int
    length: int
    digest: bytes


def wanted_of(row: Any) -> Wanted:
    """The record of a capture, a row of CAPTURE."""
    digest = bytes(row["digest"])  # numpy cuts zeros off the end
    return Wanted(int(row["page"]), int(row["offset"]), int(row["length"]), digest.ljust(20, b"\0") if digest else b"")


def read_member(data: bytes, wanted: Wanted) -> WarcRecord:
    """The record in a member of a WARC file, if it is the wanted one. Raises RecordError.

    It is the wanted one if its URL is a spelling of the page's and its own digest, or the payload's, is the index's. Where the
    record has a digest of its block, that is checked too.
    """
    if len(data) < wanted.length:
        raise RecordError(PageDrop.BAD_RECORD, f"{len(data):,} bytes in place of {wanted.length:,}")
    try:
        record = parse_record(member_content(data, io.BytesIO()), wanted.offset, wanted.length)
        _ = record.date
    except RECORD_FAILURES as error:
        raise RecordError(PageDrop.BAD_RECORD, excerpt(str(error), 160)) from error
    if record.kind not in ("response", "resource") or page_hash(record.url) != wanted.page:
        raise RecordError(PageDrop.BAD_RECORD, f"another record: {excerpt(f'{record.kind} {record.url}', 120)}")
    _check_digests(record, wanted)
    return record


def _check_digests(record: WarcRecord, wanted: Wanted) -> None:
    block = digest_bytes(record.headers.get("warc-block-digest", ""))
    if block and block != _sha1(record.block):
        raise RecordError(PageDrop.DIGEST_MISMATCH, "the record's block is not that of its WARC-Block-Digest")
    if not wanted.digest:
        return
    own = payload_digest(record.headers)
    if own.startswith("sha1:"):
        if bytes.fromhex(own[5:]) != wanted.digest:
            raise RecordError(PageDrop.DIGEST_MISMATCH, "the record has another digest than the index")
        if block:
            return  # early crawls have digests of payloads that they did not store: the block's holds
    if wanted.digest not in _payload_digests(record) and not own:
        raise RecordError(PageDrop.DIGEST_MISMATCH, "the payload has another digest than the index")


def _payload_digests(record: WarcRecord) -> Iterator[bytes]:
    """Digests of a record's payload as stored, without chunks, and decoded."""
    yield _sha1(record.block.partition(b"\r\n\r\n")[2])
    try:
        response = http_response(record)
    except RECORD_FAILURES:
        return
    yield _sha1(response.payload)
    yield _sha1(response.body)


def _sha1(data: bytes) -> bytes:
    return hashlib.sha1(data, usedforsecurity=False).digest()


def digest_text(digest: bytes) -> str | None:
    """A SHA-1 as archives write it; None where there is none."""
    return f"sha1:{base64.b32encode(digest.ljust(20, bytes(1))).decode()}" if digest else None


def response_of(record: WarcRecord) -> HttpResponse:
    """The response in a record. Raises RecordError for a part of one, and for what cannot be read."""
    cut = record.headers.get("warc-truncated", "") or record.headers.get("warc-segment-number", "")
    try:
        response = http_response(record)
    except TruncatedRecordError as error:
        cut, head = cut or str(error), stored_head(record)
        if head is None or 200 <= head.status < 300:
            raise RecordError(PageDrop.TRUNCATED, excerpt(cut, 80)) from error
        return head
    except RECORD_FAILURES as error:
        raise RecordError(PageDrop.BAD_RECORD, excerpt(str(error), 160)) from error
    is_cut = len(response.payload) == OLD_CUT_BYTES and not record.headers.get("warc-truncated")
    if 200 <= response.status < 300 and (cut or is_cut):
        raise RecordError(PageDrop.TRUNCATED, excerpt(cut or "cut at 1 MiB", 80))
    return response


def target_of(response: HttpResponse) -> str | None:
    """The URL that a response sends to, by its status or by a refresh; None for one that does not. Raises RecordError."""
    if response.status not in REDIRECT_STATUSES:
        return refresh_target(response)
    try:
        return redirect_target(response)
    except ValueError as error:
        raise RecordError(PageDrop.BAD_REDIRECT, excerpt(response.header("location"), 80)) from error


def classify(record: WarcRecord, kept_types: frozenset[str]) -> tuple[str, PageDrop | None, str, str]:
    """(kind, reason, detail, target) of a record: what it gives for the link that it was looked up for."""
    try:
        response = response_of(record)
        if (target := target_of(response)) is not None:
            return REDIRECT, None, "", target
    except RecordError as error:
        return FAILURE, error.reason, str(error), ""
    outcome = page_or_drop("", response, record.date, kept_types=kept_types)
    if isinstance(outcome, DroppedLink):
        return FAILURE if outcome.reason in FAILURES else DROP, outcome.reason, outcome.detail, ""
    return PAGE, None, "", ""


def result(link: int, hop: int, attempt: int, kind: str, reason: PageDrop | None = None, detail: str = "") -> CaptureResult:
    """A row of RESULT without a record."""
    row: CaptureResult = dict.fromkeys(RESULT.names)
    return row | {
        "link": link,
        "hop": hop,
        "attempt": attempt,
        "kind": kind,
        "reason": None if reason is None else str(reason),
        "detail": detail,
    }


def best_result(rows: Sequence[CaptureResult]) -> CaptureResult | None:
    """The result that decides about a link: its page, else what ended the search, else the last failure; None without any."""
    order = {PAGE: 3, DROP: 2, FAILURE: 1, REDIRECT: 0}
    return max(rows, key=lambda row: (order[row["kind"]], row["hop"], row["attempt"]), default=None)
