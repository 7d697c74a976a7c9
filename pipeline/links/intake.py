"""Submissions to links: the intake of sources, and the fold of all submissions that name one page.

Two phases. Intake reads a source and spills what the rules accept, in blocks of slots by a hash of the host; the fold reads one range of
slots from every spill and writes its links. A host lives in one bucket, whatever the number of workers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pyarrow as pa

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.links.rules import LinkDrop, Rules
from pipeline.links.settings import LinksSettings, Source
from pipeline.links.spill import SPILL, by_slot, place_of
from pipeline.records import INSTANT, Drop
from pipeline.reddit import Post, Rejected, parse_lines, read_urls
from pipeline.urls import domain_of, host_of, keys

STAGE = "links"
ROWS_A_BLOCK = 1 << 17
ROWS_A_BATCH = 1 << 12
"""Rows as Python tuples at a time: a hundred thousand of them would be walked by every full garbage collection, a fifth of the time."""


@dataclass(frozen=True)
class TakeIn:
    """A source's accepted submissions into a spill, all others into drops."""

    settings: LinksSettings

    def __call__(self, part: Part[Source], writer: PartWriter) -> None:
        """Read the source once, in memory that does not grow with it."""
        source = part.work
        writer.publish("spill", 0, lambda file: self._spill(source, writer, file), name=writer.spill_name(f"{part.key}.arrow"))

    def _spill(self, source: Source, writer: PartWriter, file: IO[bytes]) -> None:
        options = pa.ipc.IpcWriteOptions(compression="zstd")
        with pa.ipc.new_file(file, SPILL, options=options) as sink:
            for block in accepted_blocks(source, Rules.of(self.settings, source.kind), writer):
                writer.items_out += block.num_rows
                for batch in by_slot(block):
                    sink.write_batch(batch)


def accepted_blocks(source: Source, rules: Rules, writer: PartWriter) -> Iterator[pa.Table]:
    """The accepted submissions of a source, a table of at most ROWS_A_BLOCK rows at a time; drops go to the writer."""
    rows: list[tuple[Any, ...]] = []
    batches: list[pa.RecordBatch] = []
    progress = Megabytes(writer)
    read = read_urls(source.path, source.name) if source.kind == "urls" else parse_lines(source.path, progress)
    for writer.items_in, found in enumerate(read, 1):
        if isinstance(found, Rejected):
            writer.drop(Drop(STAGE, f"{source.name}:{found.line}", found.reason, found.detail or None))
            continue
        row = accept(found, rules)
        if isinstance(row, Drop):
            writer.drop(row)
            continue
        rows.append(row)
        if len(rows) == ROWS_A_BATCH:
            batches.append(_batch(rows))
            rows = []
            if len(batches) * ROWS_A_BATCH == ROWS_A_BLOCK:
                yield pa.Table.from_batches(batches)
                batches = []
    if rows:
        batches.append(_batch(rows))
    if batches:
        yield pa.Table.from_batches(batches)


def accept(post: Post, rules: Rules) -> tuple[Any, ...] | Drop:
    """The spill's row of a submission, or why it has none. Pure."""
    reason = rules.judge_post(post)
    if reason is not None:
        return Drop(STAGE, post.id, reason, str(post.score) if reason is LinkDrop.LOW_KARMA else None)
    reason = rules.judge_file(post.url) if post.url else LinkDrop.NO_URL
    if reason is not None:
        return Drop(STAGE, post.id, reason)
    try:
        url, key = keys(post.url)
    except ValueError as error:
        return Drop(STAGE, post.id, LinkDrop.BAD_URL, str(error))
    reason = rules.judge_url(url)
    if reason is not None:
        return Drop(STAGE, post.id, reason, url)
    host = host_of(key)
    return (place_of(host), key, url, domain_of(host), post.id, post.subreddit, post.score, post.created_at)


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    *columns, created = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, SPILL, strict=False)]
    seconds = pa.array(created, pa.timestamp("s", tz="UTC"))
    return pa.RecordBatch.from_arrays([*arrays, seconds.cast(INSTANT)], schema=SPILL)


@dataclass(slots=True)
class Megabytes:
    """Bytes read, told to the progress line in MB."""

    writer: PartWriter
    read: int = 0

    def __call__(self, new_bytes: int) -> None:
        """So many more."""
        before = self.read >> 20
        self.read += new_bytes
        self.writer.advance((self.read >> 20) - before)
