"""Files of a part of the pages stage: WARC files, their index, drops, and links that other parts continue.

All files are written from the part's journal, sorted by URL.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from types import MappingProxyType
from typing import IO, Any

import pyarrow as pa

from pipeline.engine.writer import PartWriter
from pipeline.pages.decoding import GZIP_MAGIC, codings
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.journal import Journal
from pipeline.pages.journal_heads import head_of
from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome, KeptPage, MovedLink, Origin, PageDrop
from pipeline.pages.politeness import PRODUCT
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import RECORD_FAILURES
from pipeline.pages.warc_record import MAX_RECORD_BYTES, WarcRecord
from pipeline.pages.warc_writer import RedirectChain, exchange_members, info_member, metadata_member
from pipeline.records import Drop, Link, Page, required
from pipeline.redaction import excerpt, redact
from pipeline.storage import files

STANDARD = "http://iipc.github.io/warc-specifications/specifications/warc-format/warc-1.1/"
LIVE = "live"
KEPT = "kept"
"""The key in the head of a journal's entry that says: the page of an earlier crawl holds."""
MOVED = "moved"
MOVED_SCHEMA = pa.schema(
    [
        *Link.SCHEMA,
        required("target", pa.string()),
        required("redirect_count", pa.int32()),
        required("chain_records", pa.int32()),
        required("chain_urls", pa.list_(required("item", pa.string()))),
        required("chain", pa.binary()),
    ]
)


def read_links(path: str) -> Iterator[Link]:
    """The links of one shard."""
    for batch in files.record_batches(path, Link.SCHEMA.names):
        for row in batch.to_pylist():
            yield Link.from_row(row)


def journal_entry(outcome: FetchOutcome, link: Link) -> tuple[dict[str, Any], bytes]:
    """Head and blob of an outcome's journal entry: enough to publish the outcome.

    A page whose record would not give back its body becomes a drop now, and not in a later stage.
    """
    if isinstance(outcome, FetchedPage) and (fault := _fault_of_record(outcome)):
        outcome = DroppedLink(outcome.url, PageDrop.BAD_RECORD, fault)
    if isinstance(outcome, DroppedLink):
        return {"key": outcome.url, "reason": str(outcome.reason), "detail": redact(outcome.detail)}, b""
    if isinstance(outcome, KeptPage):
        return {"key": outcome.url, KEPT: True}, b""
    if isinstance(outcome, MovedLink):
        head = {
            "key": outcome.url,
            "target": outcome.target,
            "redirect_count": outcome.redirects,
            "chain_records": outcome.chain.records,
            "chain_urls": outcome.chain.urls,
        }
        return head, outcome.chain.members
    return _page_entry(outcome, link)


def _fault_of_record(page: FetchedPage) -> str:
    """Why the record of a page would not give back its body; empty where it would."""
    response = page.response
    if _is_whole_gzip(response):
        return ""
    block = page.head + response.payload
    try:
        body = http_response(WarcRecord(0, len(block), {"warc-type": "response"}, block)).body
    except RECORD_FAILURES as error:
        return excerpt(f"its record cannot be read back: {error}", 200)
    return "" if body == response.body else "its record gives another body"


def _is_whole_gzip(response: HttpResponse) -> bool:
    """Whether a body is in gzip alone, from its first bytes to the length at its end (RFC 1952, 2.3.1).

    Such a body is read back by the very code that decoded it, from a head that is proven. Decoding it again took 6 % of a fetch.
    """
    if response.coded is None or len(response.body) > MAX_RECORD_BYTES:
        return False
    applied = codings(response.header("content-encoding"))
    length = (len(response.body) & 0xFFFFFFFF).to_bytes(4, "little")
    return applied in (["gzip"], ["x-gzip"]) and response.coded.startswith(GZIP_MAGIC) and response.coded.endswith(length)


def _page_entry(page: FetchedPage, link: Link) -> tuple[dict[str, Any], bytes]:
    response, origin = page.response, page.origin
    exchange = exchange_members(response, page.fetched_at, page.head, origin.uri if origin else "")
    via = [("via", redact(page.url))] if redact(response.url) != page.url else []
    submissions = [("reddit-submission", f"{s.id} {s.subreddit} {s.karma}") for s in link.submissions]
    fields = [*via, *submissions, *_origin_fields(origin)]
    metadata = metadata_member(
        response.url, origin.fetched_at if origin and origin.uri else page.fetched_at, exchange.response_id, fields
    )
    head = {
        "key": page.url,
        "records": page.chain.records + exchange.records + 1,
        "redirected": page.chain.urls,
        "final_url": redact(response.url),
        "fetched_at": page.fetched_at.isoformat(),
        "status": response.status,
        "media_type": page.media_type,
        "charset": page.charset,
        "response_at": len(page.chain.members),
        "response_length": exchange.response_length,
        "body_bytes": len(response.body),
        "sha256": hashlib.sha256(response.body).hexdigest(),
        "origin": asdict(origin) if origin else None,
    }
    return head, page.chain.members + exchange.members + metadata


def _origin_fields(origin: Origin | None) -> list[tuple[str, str]]:
    """What the metadata record says of a page out of an archive."""
    if origin is None or not origin.uri:
        return []
    place = f"{redact(origin.file)} {'' if origin.offset is None else origin.offset}".strip()
    return [("archive-source", origin.source), ("archive-record", place), ("archive-fetched-at", origin.fetched_at.isoformat())]


def publish_journal(
    journal: Journal,
    links: dict[str, Link],
    writer: PartWriter,
    warc_bytes: int,
    about: dict[str, str],
    kept: Mapping[str, Page | DroppedLink] = MappingProxyType({}),
) -> None:
    """Publish the outcomes of all links, sorted by URL: the bytes do not depend on the order in which hosts answered.

    `kept` are outcomes of an earlier crawl, for links that the journal has no other outcome of.
    """
    fetched: list[str] = []
    moved: list[str] = []
    pages: list[Page] = []
    for url in sorted(links):
        head: dict[str, Any] = head_of(journal, url) if url in journal.entries else {KEPT: True}
        if KEPT in head:
            held = kept[url]
            if isinstance(held, Page):
                pages.append(held)
            else:
                writer.drop(held.drop(writer.phase.stage))
        elif "reason" in head:
            writer.drop(Drop(writer.phase.stage, url, PageDrop(head["reason"]), head["detail"] or None))
        else:
            (moved if "target" in head else fetched).append(url)
    writer.items_in = len(links) - len(moved)
    publish_moved(moved, journal, links, writer)
    pages += publish_pages(fetched, journal, links, writer, warc_bytes, about)
    pages.sort(key=lambda page: page.url)
    writer.items_out = len(pages)
    writer.counters["body_bytes"] = sum(page.body_bytes for page in pages)
    writer.publish_table("pages", Page.table(pages))


def publish_pages(
    urls: Sequence[str], journal: Journal, links: dict[str, Link], writer: PartWriter, warc_bytes: int, about: dict[str, str]
) -> list[Page]:
    """Publish WARC files of the journal's pages of some links; the index rows of the pages."""
    pages: list[Page] = []
    for number, group in enumerate(_warc_files(urls, journal, warc_bytes)):
        pages += _publish_warc(group, number, journal, links, writer, about)
    return pages


def publish_moved(urls: Sequence[str], journal: Journal, links: dict[str, Link], writer: PartWriter) -> None:
    """Publish the links that other parts continue, if there are any."""
    if not urls:
        return
    rows = []
    for url in urls:
        head = head_of(journal, url)
        redirect = {name: head[name] for name in ("target", "redirect_count", "chain_records", "chain_urls")}
        rows.append({**links[url].row(), **redirect, "chain": journal.blob(url)})
    writer.publish_table(MOVED, pa.Table.from_pylist(rows, schema=MOVED_SCHEMA), writer.spill_name(f"{writer.key}.moved.parquet"))


def read_moved(path: str) -> Iterator[tuple[Link, MovedLink]]:
    """Links that another part leaves to be continued, with their redirects so far."""
    for batch in files.record_batches(path, MOVED_SCHEMA.names, rows=256):
        for row in batch.to_pylist():
            target, redirects = row.pop("target"), row.pop("redirect_count")
            chain = RedirectChain(row.pop("chain"), row.pop("chain_records"), tuple(row.pop("chain_urls")))
            link = Link.from_row(row)
            yield link, MovedLink(link.url, target, redirects, chain)


def _warc_files(urls: Iterable[str], journal: Journal, limit_bytes: int) -> Iterator[list[str]]:
    """The URLs of each of the part's WARC files: one file holds at most `limit_bytes`, or a single larger page."""
    group: list[str] = []
    size = 0
    for url in urls:
        length = journal.entries[url][2]
        if group and size + length > limit_bytes:
            yield group
            group, size = [], 0
        group.append(url)
        size += length
    if group:
        yield group


def _publish_warc(
    urls: list[str], number: int, journal: Journal, links: dict[str, Link], writer: PartWriter, about: dict[str, str]
) -> list[Page]:
    """Publish one WARC file; the index rows of its pages."""
    name = writer.name("pages", f"-{number:02d}.warc.gz" if number else ".warc.gz")
    heads = {url: head_of(journal, url) for url in urls}
    latest = max(datetime.fromisoformat(head["fetched_at"]) for head in heads.values())
    fields = {"software": PRODUCT, "format": "WARC File Format 1.1", "conformsTo": STANDARD, **about}
    pages: list[Page] = []

    def write(file: IO[bytes]) -> None:
        info = info_member(name, latest, fields)
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
    fetched_at = datetime.fromisoformat(head["fetched_at"])
    origin = head.get("origin") or {}
    return Page(
        url=redact(link.url),
        dedup_key=redact(link.dedup_key),
        domain=link.domain,
        karma=link.karma,
        submitted_at=link.submitted_at,
        final_url=head["final_url"],
        fetched_at=fetched_at,
        status=head["status"],
        media_type=head["media_type"],
        charset=head["charset"],
        warc_file=warc_file,
        warc_offset=offset,
        warc_length=head["response_length"],
        body_bytes=head["body_bytes"],
        sha256=bytes.fromhex(head["sha256"]),
        redirects=tuple(head.get("redirected", ())),
        source=origin.get("source", LIVE),
        captured_at=fetched_at if origin else None,
        distance_days=origin.get("distance_days"),
        archive_file=redact(origin["file"]) if origin else None,
        archive_offset=origin.get("offset"),
        digest=origin.get("digest"),
    )
