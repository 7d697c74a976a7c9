"""TODO-DOC."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.links.intake import STAGE
from pipeline.links.rules import LinkDrop
from pipeline.links.settings import LinksSettings
from pipeline.links.spill import PLACE_BITS, SLOT_BITS, read_slots
from pipeline.records import SUBMISSION, Drop, Link

LINKS_A_BUCKET = 20_000

ONE_BUCKET_LINKS = 200


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

    def __call__(self, part: Part[Range], writer: PartWriter) -> None:
        """Memory is that of the range's submissions."""
        work = part.work
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
