"""Submissions to links: the intake of sources, and the fold of all submissions that name one page.

Two phases. Intake reads a source and spills what the rules accept, in blocks of slots by a hash of the host; the fold reads one range of
slots from every spill and writes its links. A host lives in one bucket, whatever the number of workers.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import IO, Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection

from pipeline import files
from pipeline.link_rules import LinkDrop, LinksSettings, Rules, Source
from pipeline.parts import Part, PartWriter, Place, RunParts
from pipeline.records import INSTANT, SUBMISSION, Drop, Link
from pipeline.reddit import Post, Rejected, parse_lines, read_urls
from pipeline.urls import domain_of, host_of, keys

__all__ = ["Fold", "Links", "LinksSettings", "TakeIn"]

STAGE = "links"
ROWS_A_BLOCK = 1 << 17
ROWS_A_BATCH = 1 << 12
"""Rows as Python tuples at a time: a hundred thousand of them would be walked by every full garbage collection, a fifth of the time."""
SLOT_BITS = 8
PLACE_BITS = 32
LINKS_A_BUCKET = 20_000
ONE_BUCKET_LINKS = 200
SPILL = pa.schema(
    [
        pa.field("place", pa.uint32()),
        pa.field("dedup_key", pa.string()),
        pa.field("url", pa.string()),
        pa.field("domain", pa.string()),
        pa.field("id", pa.string()),
        pa.field("subreddit", pa.string()),
        pa.field("karma", pa.int64()),
        pa.field("created_at", INSTANT),
    ]
)


@dataclass
class Links(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Parts of one source each to the keys of those taken in: accepted submissions lie in spills, by a hash of their host."""

    place: Place
    settings: LinksSettings

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """One source a worker at a time: a long-window dump may hold 2 GiB."""
        keys: PCollection[str] = parts | "TakeIn" >> RunParts(self.place, TakeIn(self.settings))
        return keys


@dataclass(frozen=True)
class TakeIn:
    """A source's accepted submissions into a spill, all others into drops."""

    settings: LinksSettings

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Read the source once, in memory that does not grow with it."""
        source: Source = part.work
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


@lru_cache(maxsize=1 << 16)
def place_of(host: str) -> int:
    """Where a host lies among 2^32 places: buckets and slots are its highest bits."""
    return int.from_bytes(hashlib.blake2b(host.encode(), digest_size=PLACE_BITS // 8).digest(), "big")


def _batch(rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    *columns, created = zip(*rows, strict=True)
    arrays = [pa.array(column, kind.type) for column, kind in zip(columns, SPILL, strict=False)]
    seconds = pa.array(created, pa.timestamp("s", tz="UTC"))
    return pa.RecordBatch.from_arrays([*arrays, seconds.cast(INSTANT)], schema=SPILL)


def by_slot(block: pa.Table) -> Iterator[pa.RecordBatch]:
    """The block as 2^SLOT_BITS batches, a slot each, empty ones too: a slot's batches stand at known numbers of the file."""
    places = block.column("place").to_numpy()
    order = np.argsort(places, kind="stable")
    bounds = np.searchsorted(places[order], np.arange(1, 1 << SLOT_BITS, dtype=np.uint64) << (PLACE_BITS - SLOT_BITS))
    table = block.take(pa.array(order)).combine_chunks()
    (batch,) = table.to_batches()
    for start, end in zip([0, *bounds], [*bounds, len(order)], strict=True):
        yield batch.slice(start, end - start)


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


@dataclass(frozen=True, slots=True)
class Range:
    """The buckets of one part of the fold: `first` to `last` (excluded) of `buckets`, whose hosts lie in slots `low` to `high`."""

    first: int
    last: int
    buckets: int
    low: int
    high: int


def bucket_count(submissions: int) -> int:
    """How many files the links go to: a power of two, by the data alone; four at least, so that workers can share."""
    if submissions <= ONE_BUCKET_LINKS:
        return 1
    return max(4, 1 << (-(-submissions // LINKS_A_BUCKET) - 1).bit_length())


def ranges(buckets: int) -> list[Range]:
    """The parts of a fold: a bucket each, or a slot each where there are more buckets than slots."""
    slots = 1 << SLOT_BITS
    parts = min(buckets, slots)
    return [
        Range(i * buckets // parts, (i + 1) * buckets // parts, buckets, i * slots // parts, (i + 1) * slots // parts)
        for i in range(parts)
    ]


@dataclass(frozen=True)
class Fold:
    """A range of buckets: the submissions that name one page become one link."""

    spills: tuple[str, ...]
    settings: LinksSettings

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Memory is that of the range's submissions."""
        work: Range = part.work
        table = read_slots(self.spills, work.low, work.high)
        writer.items_in = table.num_rows
        kept = self._without_low_karma(_without_repeated(table, writer), writer)
        writer.items_out = kept.num_rows
        count_submissions(kept, writer)
        bits = work.buckets.bit_length() - 1
        buckets = kept.column("place").to_numpy().astype(np.uint64) >> np.uint64(PLACE_BITS - bits)
        for bucket in range(work.first, work.last):
            links = fold(kept.filter(pa.array(buckets == bucket)), self.settings.karma)
            writer.counters["links"] += links.num_rows
            writer.publish_table("links", links, f"links-{bucket:05d}-of-{work.buckets:05d}.parquet")

    def _without_low_karma(self, table: pa.Table, writer: PartWriter) -> pa.Table:
        """Under --karma sum the rule holds for a page's total; a URL of a list without karma passes."""
        if self.settings.karma != "sum" or not table.num_rows:
            return table
        starts, lengths = _runs(table)
        karma = table.column("karma")
        total = np.add.reduceat(karma.fill_null(0).to_numpy(), starts)
        unknown = np.logical_or.reduceat(karma.is_null().to_numpy(), starts)
        passes = np.repeat((total >= self.settings.min_karma) | unknown, lengths)
        for row in table.filter(pa.array(~passes)).select(["id", "karma"]).to_pylist():
            writer.drop(Drop(STAGE, row["id"], LinkDrop.LOW_KARMA, str(row["karma"])))
        return table.filter(pa.array(passes))


def read_slots(spills: Sequence[str], low: int, high: int) -> pa.Table:
    """The slots `low` to `high` (excluded) of every spill."""
    batches = []
    for path in spills:
        with files.open_input(path) as file:
            reader = pa.ipc.open_file(file)
            for block in range(0, reader.num_record_batches, 1 << SLOT_BITS):
                batches += [b for slot in range(low, high) if (b := reader.get_batch(block + slot)).num_rows]
    return pa.Table.from_batches(batches, schema=SPILL)


def _without_repeated(table: pa.Table, writer: PartWriter) -> pa.Table:
    """One row a submission of a page, the one with most karma; the whole in the order of dedup key, time, id."""
    by_id = [
        ("dedup_key", "ascending"),
        ("id", "ascending"),
        ("karma", "descending"),
        ("created_at", "ascending"),
        ("url", "ascending"),
    ]
    table = table.sort_by(by_id).combine_chunks()
    if table.num_rows > 1:
        same = pa.array([False], pa.bool_())
        for name in ("dedup_key", "id"):
            column = table.column(name)
            equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1)).combine_chunks()
            same = equal if len(same) == 1 and name == "dedup_key" else pc.and_(same, equal)
        repeated = pa.concat_arrays([pa.array([False]), same])
        for name in table.filter(repeated).column("id").to_pylist():
            writer.drop(Drop(STAGE, name, LinkDrop.REPEATED_SUBMISSION))
        table = table.filter(pc.invert(repeated))
    return table.sort_by([("dedup_key", "ascending"), ("created_at", "ascending"), ("id", "ascending")]).combine_chunks()


def _runs(table: pa.Table) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Starts and lengths of the runs of equal dedup keys."""
    encoded = pc.run_end_encode(table.column("dedup_key").combine_chunks())
    ends = encoded.run_ends.to_numpy()
    return np.concatenate([[0], ends[:-1]]).astype(np.int64), np.diff(ends, prepend=0)


def fold(table: pa.Table, karma: str) -> pa.Table:
    """Submissions in the order of dedup key, time, id to links: the earliest one's URL, max or sum of karma."""
    if not table.num_rows:
        return Link.SCHEMA.empty_table()
    starts, lengths = _runs(table)
    points = table.column("karma").fill_null(0).combine_chunks()
    total = (np.maximum if karma == "max" else np.add).reduceat(points.to_numpy(), starts)
    members = pa.StructArray.from_arrays(
        [
            table.column("id").combine_chunks(),
            table.column("subreddit").combine_chunks(),
            points,
            table.column("created_at").combine_chunks(),
        ],
        fields=list(SUBMISSION),
    )
    offsets = pa.array(np.append(starts, starts[-1] + lengths[-1]), pa.int32())
    first = table.take(pa.array(starts))
    submissions = pa.ListArray.from_arrays(offsets, members, type=Link.SCHEMA.field("submissions").type)
    named = [first.column(name) for name in ("url", "dedup_key", "domain")]
    return pa.Table.from_arrays(
        [*named, pa.array(total, pa.int64()), first.column("created_at"), submissions], schema=Link.SCHEMA
    )


def count_submissions(table: pa.Table, writer: PartWriter) -> None:
    """Counters for the report: accepted submissions by year, and by karma in powers of two."""
    for year in pc.value_counts(pc.year(table.column("created_at"))).to_pylist():
        writer.counters[f"submissions_{year['values'] or 'undated'}"] += year["counts"]
    karma = table.column("karma").fill_null(0).to_numpy()
    powers = np.floor(np.log2(np.maximum(karma, 1))).astype(int)
    for power, count in zip(*np.unique(powers, return_counts=True), strict=True):
        writer.counters[f"karma_from_{1 << int(power)}"] += int(count)
