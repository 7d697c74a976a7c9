"""What a part of the pages stage publishes: WARC volumes, their index, drops, and links handed over to other parts.

All of it comes out of the part's journal, sorted by URL.
"""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import IO, Any

import pyarrow as pa

from pipeline.engine.writer import PartWriter
from pipeline.pages.answer import PRODUCT
from pipeline.pages.journal import Journal
from pipeline.pages.outcomes import Dropped, Moved, Outcome, Reason
from pipeline.pages.warc import Way, info_member, metadata_member, redacted
from pipeline.records import Drop, Link, Page, required
from pipeline.storage import files

STANDARD = "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"
MOVED = "moved"
MOVED_SCHEMA = pa.schema(
    [
        *Link.SCHEMA,
        required("target", pa.string()),
        required("redirects", pa.int32()),
        required("way_records", pa.int32()),
        required("way", pa.binary()),
    ]
)


def read_links(path: str) -> Iterator[Link]:
    """The links of one shard."""
    for batch in files.record_batches(path):
        for row in batch.to_pylist():
            yield Link.from_row(row)


def entry(outcome: Outcome, link: Link) -> tuple[dict[str, Any], bytes]:
    """What the journal keeps of an outcome: enough to publish it without the outcome."""
    if isinstance(outcome, Dropped):
        return {"key": outcome.url, "reason": str(outcome.reason), "detail": redacted(outcome.detail)}, b""
    if isinstance(outcome, Moved):
        head = {"key": outcome.url, "target": outcome.target, "redirects": outcome.redirects, "way_records": outcome.way.records}
        return head, outcome.way.members
    answer = outcome.answer
    about = [("via", redacted(outcome.url))] if answer.url != outcome.url else []
    submissions = [("reddit-submission", f"{s.id} {s.subreddit} {s.karma}") for s in link.submissions]
    metadata = metadata_member(answer.url, outcome.fetched_at, outcome.exchange.response_id, [*about, *submissions])
    head = {
        "key": outcome.url,
        "records": outcome.way.records + outcome.exchange.records + 1,
        "final_url": redacted(answer.url),
        "fetched_at": outcome.fetched_at.isoformat(),
        "status": answer.status,
        "media_type": outcome.media_type,
        "charset": outcome.charset,
        "response_at": len(outcome.way.members),
        "response_length": outcome.exchange.response_length,
        "body_bytes": len(answer.body),
        "sha256": hashlib.sha256(answer.body).hexdigest(),
    }
    return head, outcome.way.members + outcome.exchange.members + metadata


def publish(journal: Journal, links: dict[str, Link], writer: PartWriter, warc_bytes: int, about: dict[str, str]) -> None:
    """All outcomes, sorted by URL, so that bytes do not depend on the order in which hosts answered."""
    fetched: list[str] = []
    moved: list[str] = []
    for url in sorted(links):
        head = journal.head(url)
        if "reason" in head:
            writer.drop(Drop(writer.phase.stage, url, Reason(head["reason"]), head["detail"] or None))
        else:
            (moved if "target" in head else fetched).append(url)
    writer.items_in = len(links) - len(moved)
    if moved:
        _publish_moved(moved, journal, links, writer)
    pages: list[Page] = []
    for number, urls in enumerate(_volumes(fetched, journal, warc_bytes)):
        pages += _publish_warc(urls, number, journal, links, writer, about)
    writer.items_out = len(pages)
    writer.counters["body_bytes"] = sum(page.body_bytes for page in pages)
    writer.publish_table("pages", Page.table(pages))


def _publish_moved(urls: list[str], journal: Journal, links: dict[str, Link], writer: PartWriter) -> None:
    """Hand over to other parts what was redirected to their hosts."""
    rows = []
    for url in urls:
        head = journal.head(url)
        onward = {name: head[name] for name in ("target", "redirects", "way_records")}
        rows.append({**links[url].row(), **onward, "way": journal.blob(url)})
    writer.publish_table(MOVED, pa.Table.from_pylist(rows, schema=MOVED_SCHEMA), writer.spill_name(f"{writer.key}.moved.parquet"))


def read_moved(path: str) -> Iterator[tuple[Link, Moved]]:
    """What another part handed over."""
    for batch in files.record_batches(path, rows=256):
        for row in batch.to_pylist():
            target, redirects, way = row.pop("target"), row.pop("redirects"), Way(row.pop("way"), row.pop("way_records"))
            link = Link.from_row(row)
            yield link, Moved(link.url, target, redirects, way)


def _volumes(urls: Iterable[str], journal: Journal, limit_bytes: int) -> Iterator[list[str]]:
    """The URLs of each WARC file of the part."""
    volume: list[str] = []
    size = 0
    for url in urls:
        length = journal.entries[url][2]
        if volume and size + length > limit_bytes:
            yield volume
            volume, size = [], 0
        volume.append(url)
        size += length
    if volume:
        yield volume


def _publish_warc(
    urls: list[str], number: int, journal: Journal, links: dict[str, Link], writer: PartWriter, about: dict[str, str]
) -> list[Page]:
    name = writer.name("pages", f"-{number:02d}.warc.gz" if number else ".warc.gz")
    heads = {url: journal.head(url) for url in urls}
    written = max(datetime.fromisoformat(head["fetched_at"]) for head in heads.values())
    fields = {"software": PRODUCT, "format": "WARC File Format 1.1", "conformsTo": STANDARD, **about}
    pages: list[Page] = []

    def write(file: IO[bytes]) -> None:
        info = info_member(name, written, fields)
        file.write(info)
        offset = len(info)
        for url, head in heads.items():
            blob = journal.blob(url)
            file.write(blob)
            pages.append(_page(links[url], head, name, offset + head["response_at"]))
            offset += len(blob)

    records = 1 + sum(head["records"] for head in heads.values())
    writer.publish("warc", records, write, name)
    return pages


def _page(link: Link, head: dict[str, Any], warc_file: str, offset: int) -> Page:
    return Page(
        url=link.url,
        dedup_key=link.dedup_key,
        domain=link.domain,
        karma=link.karma,
        submitted_at=link.submitted_at,
        final_url=head["final_url"],
        fetched_at=datetime.fromisoformat(head["fetched_at"]),
        status=head["status"],
        media_type=head["media_type"],
        charset=head["charset"],
        warc_file=warc_file,
        warc_offset=offset,
        warc_length=head["response_length"],
        body_bytes=head["body_bytes"],
        sha256=bytes.fromhex(head["sha256"]),
    )
