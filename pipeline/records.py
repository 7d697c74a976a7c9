"""The records that stages hand each other: frozen dataclasses, each with its pyarrow schema (docs/formats.md)."""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Self

import pyarrow as pa

from pipeline.redaction import redact

INSTANT = pa.timestamp("us", tz="UTC")
SUBMISSION = pa.struct(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("subreddit", pa.string(), nullable=False),
        pa.field("karma", pa.int64(), nullable=False),
        pa.field("created_at", INSTANT, nullable=True),
    ]
)


def required(name: str, kind: pa.DataType) -> pa.Field:
    """A column that holds no null."""
    return pa.field(name, kind, nullable=False)


class Record:
    """Base of the records: a record's fields are its schema's columns, in the same order."""

    __slots__ = ()
    SCHEMA: ClassVar[pa.Schema]

    @classmethod
    def table(cls, records: Iterable[Self]) -> pa.Table:
        """The records as one Arrow table of the record's schema."""
        rows = [record.row() for record in records]
        return pa.Table.from_pylist(rows, schema=cls.SCHEMA)

    def row(self) -> dict[str, Any]:
        """Column name to value; nested records become dictionaries."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The record of one row of a table."""
        return cls(**row)


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return value.row()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Submission(Record):
    """The part of a Reddit submission that a link keeps."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(list(SUBMISSION))
    id: str
    subreddit: str
    karma: int
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Link(Record):
    """A URL to fetch, with every accepted submission of its page: submissions with one dedup key make one link."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            required("url", pa.string()),
            required("dedup_key", pa.string()),
            required("domain", pa.string()),
            required("karma", pa.int64()),
            pa.field("submitted_at", INSTANT),
            required("submissions", pa.list_(pa.field("item", SUBMISSION, nullable=False))),
        ]
    )
    url: str
    dedup_key: str
    domain: str
    karma: int
    submitted_at: datetime | None
    submissions: tuple[Submission, ...]

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The link of one row, with its submissions as records."""
        return cls(**{**row, "submissions": tuple(Submission.from_row(item) for item in row["submissions"])})


@dataclass(frozen=True, slots=True)
class Page(Record):
    """A fetched page: the position of its WARC response record, the metadata of its link, and where it came from.

    `source` is live, commoncrawl, wayback or warc. Of an archive: when it captured the page, how many days after the submission
    (negative before it), in which file and at which offset (of Wayback machines: the capture's address), and the SHA-1 of the payload.
    """

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            required("url", pa.string()),
            required("dedup_key", pa.string()),
            required("domain", pa.string()),
            required("karma", pa.int64()),
            pa.field("submitted_at", INSTANT),
            required("final_url", pa.string()),
            required("fetched_at", INSTANT),
            required("status", pa.int16()),
            pa.field("media_type", pa.string()),
            pa.field("charset", pa.string()),
            required("warc_file", pa.string()),
            required("warc_offset", pa.int64()),
            required("warc_length", pa.int64()),
            required("body_bytes", pa.int64()),
            required("sha256", pa.binary(32)),
            required("redirects", pa.list_(required("item", pa.string()))),
            pa.field("source", pa.string()),
            pa.field("captured_at", INSTANT),
            pa.field("distance_days", pa.float64()),
            pa.field("archive_file", pa.string()),
            pa.field("archive_offset", pa.int64()),
            pa.field("digest", pa.string()),
        ]
    )
    url: str
    dedup_key: str
    domain: str
    karma: int
    submitted_at: datetime | None
    final_url: str
    fetched_at: datetime
    status: int
    media_type: str | None
    charset: str | None
    warc_file: str
    warc_offset: int
    warc_length: int
    body_bytes: int
    sha256: bytes
    redirects: tuple[str, ...] = ()
    source: str | None = None
    captured_at: datetime | None = None
    distance_days: float | None = None
    archive_file: str | None = None
    archive_offset: int | None = None
    digest: str | None = None

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> Self:
        """The page of one row. Folders of earlier versions lack the column `redirects`, and those from `source` on."""
        return cls(**{**row, "redirects": tuple(row.get("redirects") or ())})


@dataclass(frozen=True, slots=True)
class RawPage:
    """A page's body without transfer and content codings, and the metadata that its document takes over."""

    url: str
    body: bytes
    media_type: str | None = "text/html"
    charset: str | None = None
    final_url: str = ""
    dedup_key: str = ""
    domain: str = ""
    karma: int = 0
    submitted_at: datetime | None = None
    redirects: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<RawPage {self.url!r} {self.media_type or 'unknown media type'}, {len(self.body):,} bytes>"

    @classmethod
    def of(cls, page: Page, body: bytes) -> Self:
        """The page of a row of the pages index, with its body."""
        return cls(
            page.url,
            body,
            page.media_type,
            page.charset,
            page.final_url,
            page.dedup_key,
            page.domain,
            page.karma,
            page.submitted_at,
            page.redirects,
        )


@dataclass(frozen=True, slots=True)
class Document(Record):
    """The text of one page. `document_id` is blake2b-128 of the text's UTF-8 bytes, so equal texts have equal ids."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            required("document_id", pa.binary(16)),
            required("url", pa.string()),
            required("dedup_key", pa.string()),
            required("domain", pa.string()),
            pa.field("title", pa.string()),
            pa.field("language", pa.string()),
            pa.field("language_confidence", pa.float32()),
            required("karma", pa.int64()),
            pa.field("submitted_at", INSTANT),
            pa.field("published", pa.date32()),
            required("text", pa.large_string()),
            pa.field("extraction_confidence", pa.float32()),
        ]
    )
    document_id: bytes
    url: str
    dedup_key: str
    domain: str
    title: str | None
    language: str | None
    language_confidence: float | None
    karma: int
    submitted_at: datetime | None
    published: Any
    text: str
    extraction_confidence: float | None = None

    def __repr__(self) -> str:
        about = "".join(f" {name}={value!r}" for name in ("url", "title", "language") if (value := getattr(self, name)))
        return f"<Document {self.document_id.hex()[:12]}{about} text={self.text[:40]!r}… ({len(self.text):,} characters)>"


@dataclass(frozen=True, slots=True)
class Duplicate(Record):
    """A removed document and the kept one that represents it. `similarity` is the exact Jaccard similarity of their shingles."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            required("document_id", pa.binary(16)),
            required("url", pa.string()),
            required("kept_id", pa.binary(16)),
            required("kept_url", pa.string()),
            required("cluster", pa.binary(16)),
            required("reason", pa.string()),
            required("similarity", pa.float32()),
        ]
    )
    document_id: bytes
    url: str
    kept_id: bytes
    kept_url: str
    cluster: bytes
    reason: str
    similarity: float


@dataclass(frozen=True, slots=True)
class Drop(Record):
    """An item that a stage dropped, and the reason: a member of the stage's own StrEnum."""

    SCHEMA: ClassVar[pa.Schema] = pa.schema(
        [
            required("stage", pa.string()),
            required("item", pa.string()),
            required("reason", pa.string()),
            pa.field("detail", pa.string()),
        ]
    )
    stage: str
    item: str
    reason: StrEnum | str
    detail: str | None = None

    @classmethod
    def table(cls, records: Iterable[Self]) -> pa.Table:
        """The drops as one Arrow table without credentials, built by column: a dump gives millions."""
        records = list(records)
        return pa.table(
            [
                [drop.stage for drop in records],
                [redact(drop.item) for drop in records],
                [str(drop.reason) for drop in records],
                [drop.detail and redact(drop.detail) for drop in records],
            ],
            schema=cls.SCHEMA,
        )

    def row(self) -> dict[str, Any]:
        """Column name to value; the reason as a plain string."""
        return {"stage": self.stage, "item": self.item, "reason": str(self.reason), "detail": self.detail}
