"""The intake: submissions of a source that pass the rules, as Arrow blocks, and their spill.

The intake is the first phase of the stage. The second phase, the fold, reads ranges of slots from every spill and writes links.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import IO, Any, NamedTuple

import pyarrow as pa

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.links.buckets import host_hash
from pipeline.links.rules import LinkDrop, LinkRules
from pipeline.links.settings import STAGE_NAME, LinkSource, LinksSettings, SourceKind
from pipeline.links.spill import SPILL, by_slot
from pipeline.links.url_lists import read_urls
from pipeline.links.wrappers import resolve, wraps
from pipeline.records import INSTANT, Drop
from pipeline.reddit import PROFILE, Post, RejectedLine, parse_lines, published_subreddit
from pipeline.urls import domain_of, hosts_of, keys_with_authority

ROWS_PER_BLOCK = 1 << 17
ROWS_PER_BATCH = 1 << 12
"""Rows held as Python tuples: every full garbage collection would walk a hundred thousand, a fifth of the time."""


KEY_COLUMN = SPILL.names.index("dedup_key")


@dataclass(frozen=True)
class SpillSource:
    """Work of the intake: spills the accepted submissions of a source, and drops all others."""

    settings: LinksSettings

    def __call__(self, part: Part[LinkSource], writer: PartWriter) -> None:
        """Read the source once, in memory that does not grow with it."""
        source = part.work
        writer.publish("spill", 0, lambda file: self._spill(source, writer, file), name=writer.spill_name(f"{part.key}.arrow"))

    def _spill(self, source: LinkSource, writer: PartWriter, file: IO[bytes]) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(file, SPILL, options=options) as sink:
            for block in accepted_blocks(source, LinkRules.of(self.settings, source.kind), writer, self.settings.limit):
                writer.items_out += block.num_rows
                for batch in by_slot(block):
                    sink.write_batch(batch)


def accepted_blocks(source: LinkSource, rules: LinkRules, writer: PartWriter, limit: int | None = None) -> Iterator[pa.Table]:
    """The accepted submissions of a source, in tables of at most ROWS_PER_BLOCK rows; drops go to the writer.

    With a `limit`, the source is read up to the submission that names one page more.
    """
    rows, pages = RowBuffer(), PageLimit(limit)
    progress = MegabyteProgress(writer)
    lines = _read(source, progress)
    for writer.items_in, line in enumerate(lines, 1):
        if isinstance(line, RejectedLine):
            writer.drop(Drop(STAGE_NAME, f"{source.name}:{line.line}", line.reason, line.detail or None))
            continue
        row = accept(line, rules)
        if isinstance(row, Drop):
            writer.drop(row)
        elif pages.is_beyond(row):
            writer.items_in -= 1  # read, but no part of the try
            break
        elif (block := rows.add(row)) is not None:
            yield block
    if (block := rows.take()) is not None:
        yield block


def _read(source: LinkSource, progress: "MegabyteProgress") -> Iterator[Post | RejectedLine]:
    """The lines of a source. Stored answers of Reddit's API are raw: PRAW asks for `raw_json=1`."""
    if source.kind is SourceKind.URLS:
        return read_urls(source.path, source.name)
    return parse_lines(source.path, progress, escaped=source.kind is SourceKind.DUMP)


def accept(post: Post, rules: LinkRules) -> tuple[Any, ...] | Drop:
    """A submission's row of the spill (with its time in seconds since 1970), or its drop. Pure."""
    reason = rules.judge_post(post)
    if reason is not None:
        return Drop(STAGE_NAME, post.id, reason, _detail(post, reason))
    reason = rules.judge_file(post.url) if post.url else LinkDrop.NO_URL
    if reason is not None:
        return Drop(STAGE_NAME, post.id, reason)
    try:
        url, key, authority = keys_with_authority(post.url)
    except ValueError as error:
        return Drop(STAGE_NAME, post.id, LinkDrop.BAD_URL, str(error))
    site = site_of(authority)
    if site.wraps and (page := resolve(url)) is not url:
        url, key, authority = keys_with_authority(page)
        site = site_of(authority)
        if (reason := rules.judge_file(url)) is not None:
            return Drop(STAGE_NAME, post.id, reason, url)
    reason = rules.judge_host(site.host)
    if reason is not None:
        return Drop(STAGE_NAME, post.id, reason, url)
    subreddit = published_subreddit(post.subreddit) or ""
    return (site.hash, key, url, site.domain, post.id, subreddit, post.score, post.created_at)


class LinkSite(NamedTuple):
    """What the intake needs to know of an authority: its host, and hash and domain of the host in the dedup key."""

    host: str
    wraps: bool
    hash: int
    domain: str


@lru_cache(maxsize=1 << 16)
def site_of(authority: str) -> LinkSite:
    """The site of a URL's authority: one look-up per submission in place of five."""
    host, key_host = hosts_of(authority)
    return LinkSite(host, wraps(host), host_hash(key_host), domain_of(key_host))


def _detail(post: Post, reason: LinkDrop) -> str | None:
    if reason is LinkDrop.LOW_KARMA:
        return str(post.score)
    if reason is LinkDrop.BAD_SUBREDDIT and not post.subreddit.lower().startswith(PROFILE):
        return repr(post.subreddit[:40])
    return None


def batch_of(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    """Rows of `accept` as a batch of the spill."""
    *columns, created = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, SPILL, strict=False)]
    seconds = pa.array(created, pa.timestamp("s", tz="UTC"))
    return pa.RecordBatch.from_arrays([*arrays, seconds.cast(INSTANT)], schema=SPILL)


@dataclass(slots=True)
class PageLimit:
    """Counts the distinct pages of a source's rows, up to a limit (None: no limit, and nothing is counted)."""

    limit: int | None
    _keys: set[str] = field(default_factory=set)

    def is_beyond(self, row: tuple[Any, ...]) -> bool:
        """Whether a row of `accept` names one page more than the limit."""
        if self.limit is None or row[KEY_COLUMN] in self._keys:
            return False
        if len(self._keys) == self.limit:
            return True
        self._keys.add(row[KEY_COLUMN])
        return False


@dataclass(slots=True)
class RowBuffer:
    """Collects rows of `accept` into tables of ROWS_PER_BLOCK rows."""

    _rows: list[tuple[Any, ...]] = field(default_factory=list)
    _batches: list[pa.RecordBatch] = field(default_factory=list)

    def add(self, row: tuple[Any, ...]) -> pa.Table | None:
        """Add a row; the block that it completes, if any."""
        self._rows.append(row)
        if len(self._rows) < ROWS_PER_BATCH:
            return None
        self._batches.append(batch_of(self._rows))
        self._rows = []
        return self.take() if len(self._batches) * ROWS_PER_BATCH == ROWS_PER_BLOCK else None

    def take(self) -> pa.Table | None:
        """Remove and return all rows; None where there are none."""
        batches = [*self._batches, *([batch_of(self._rows)] if self._rows else [])]
        self._rows, self._batches = [], []
        return pa.Table.from_batches(batches) if batches else None


@dataclass(slots=True)
class MegabyteProgress:
    """Reports the bytes of a source that were read to the progress line, in MB."""

    writer: PartWriter
    read: int = 0

    def __call__(self, new_bytes: int) -> None:
        """Count `new_bytes` more."""
        before = self.read >> 20
        self.read += new_bytes
        self.writer.advance((self.read >> 20) - before)
