"""The fold: the accepted submissions of one page become one link.

All functions are pure: tables of the spill's columns in, tables and drops out. They take all submissions of their pages at once.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.links.buckets import HASH_BITS, SLOT_BITS, BucketRange
from pipeline.links.rules import LinkDrop
from pipeline.links.settings import STAGE_NAME, LinksSettings
from pipeline.links.spill import read_slots
from pipeline.records import SUBMISSION, Drop, Link
from pipeline.storage import private_addresses

LINKS = "links"
"""The kind of the files of links, the start of their names, and the counter of links."""
REPEATS_ORDER = ("dedup_key", "id", "karma", "created_at", "url", "subreddit")
"""Columns that sort submissions so that of equal (dedup_key, id) the kept one is first; karma descends."""
LINK_ORDER = ("dedup_key", "created_at", "id")


@dataclass(frozen=True)
class FoldBuckets:
    """Work of the fold: writes the links of a range of buckets, one file per bucket.

    `cutoff` is the largest hash of a page's key that --limit keeps; None keeps all.
    """

    spills: tuple[str, ...]
    settings: LinksSettings
    cutoff: int | None = None

    def __call__(self, part: Part[BucketRange], writer: PartWriter) -> None:
        """Fold the range's submissions, all in memory."""
        work = part.work
        table = read_slots(self.spills, work.low, work.high)
        writer.items_in = table.num_rows
        if self.cutoff is not None:
            table, beyond = within(table, self.cutoff)
            for name in beyond:
                writer.drop(Drop(STAGE_NAME, name, LinkDrop.BEYOND_LIMIT))
        kept, drops = select(table, self.settings)
        for drop in drops:
            writer.drop(drop)
        writer.items_out = kept.num_rows
        writer.counters.update(submission_counts(kept))
        bits = work.buckets.bit_length() - 1
        buckets = kept.column("host_hash").to_numpy().astype(np.uint64) >> np.uint64(HASH_BITS - bits)
        for bucket in range(work.first, work.last):
            links = fold(kept.filter(pa.array(buckets == bucket)), self.settings.karma)
            writer.counters[LINKS] += links.num_rows
            _publish(links, f"{LINKS}-{bucket:05d}-of-{work.buckets:05d}.parquet", writer)


def key_hash(key: str) -> int:
    """A hash of 64 bits of a page's key: its order is the order in which --limit takes links of several sources."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def cutoff_of(spills: Sequence[str], limit: int) -> int | None:
    """The hash of the last of `limit` pages in the spills, in the order of their hashes; None if there are no more pages than that."""
    keys = read_slots(spills, 0, 1 << SLOT_BITS).column("dedup_key").unique().to_pylist()
    return sorted(map(key_hash, keys))[limit - 1] if len(keys) > limit else None


def within(table: pa.Table, cutoff: int) -> tuple[pa.Table, list[str]]:
    """The submissions of pages up to the cutoff, and the ids of the others."""
    keeps = pa.array([key_hash(key) <= cutoff for key in table.column("dedup_key").to_pylist()], pa.bool_())
    return table.filter(keeps), table.filter(pc.invert(keeps)).column("id").to_pylist()


def _publish(links: pa.Table, name: str, writer: PartWriter) -> None:
    """Publish one file of links without credentials; keep the addresses that have some in a private file."""
    published, addresses = private_addresses.split(links)
    writer.publish_table(LINKS, published, name)
    if addresses.num_rows:
        private_addresses.close_to_others(writer.phase.folder)
        private = private_addresses.private_name(name)
        writer.publish("private", addresses.num_rows, lambda file: private_addresses.write(file, addresses), private)


def select(table: pa.Table, settings: LinksSettings) -> tuple[pa.Table, list[Drop]]:
    """The submissions that become links, in LINK_ORDER, and the drops of all others."""
    unique, repeats = without_repeats(table)
    if settings.karma != "sum":
        return unique, repeats
    kept, low = without_low_karma_pages(unique, settings.min_karma)
    return kept, repeats + low


def without_repeats(table: pa.Table) -> tuple[pa.Table, list[Drop]]:
    """One row per submission of a page, the one with most karma, in LINK_ORDER; and the drops of the others."""
    table = table.sort_by([(name, "descending" if name == "karma" else "ascending") for name in REPEATS_ORDER]).combine_chunks()
    drops: list[Drop] = []
    if table.num_rows > 1:
        same_key, same_id = (_equals_previous(table.column(name)) for name in ("dedup_key", "id"))
        repeated = pc.and_(same_key, same_id)
        ids = table.filter(repeated).column("id").to_pylist()
        drops = [Drop(STAGE_NAME, name, LinkDrop.REPEATED_SUBMISSION) for name in ids]
        table = table.filter(pc.invert(repeated))
    return table.sort_by([(name, "ascending") for name in LINK_ORDER]).combine_chunks(), drops


def _equals_previous(column: pa.ChunkedArray) -> pa.Array:
    """Whether each value equals the one before it. The column has at least two values."""
    equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1)).combine_chunks()
    return pa.concat_arrays([pa.array([False]), equal])


def without_low_karma_pages(table: pa.Table, min_karma: int) -> tuple[pa.Table, list[Drop]]:
    """The rule of --karma sum: the submissions of pages with a total of at least `min_karma`, and the drops of the others.

    `table` is in LINK_ORDER. A page passes where the karma of a submission is unknown, as in lists of URLs.
    """
    if not table.num_rows:
        return table, []
    starts, lengths = _pages(table)
    karma = table.column("karma")
    total = np.add.reduceat(karma.fill_null(0).to_numpy(), starts)
    unknown = np.logical_or.reduceat(karma.is_null().to_numpy(), starts)
    passes = np.repeat((total >= min_karma) | unknown, lengths)
    low = table.filter(pa.array(~passes)).select(["id", "karma"]).to_pylist()
    drops = [Drop(STAGE_NAME, row["id"], LinkDrop.LOW_KARMA, str(row["karma"])) for row in low]
    return table.filter(pa.array(passes)), drops


def fold(table: pa.Table, karma: str) -> pa.Table:
    """Submissions in LINK_ORDER to links: the earliest submission's URL, and the max or sum of karma."""
    if not table.num_rows:
        return Link.SCHEMA.empty_table()
    starts, lengths = _pages(table)
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
    names = [first.column(name) for name in ("url", "dedup_key", "domain")]
    return pa.Table.from_arrays(
        [*names, pa.array(total, pa.int64()), first.column("created_at"), submissions], schema=Link.SCHEMA
    )


def _pages(table: pa.Table) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """The first row and the number of rows of each page: rows of equal dedup keys are neighbours."""
    encoded = pc.run_end_encode(table.column("dedup_key").combine_chunks())
    ends = encoded.run_ends.to_numpy()
    return np.concatenate([[0], ends[:-1]]).astype(np.int64), np.diff(ends, prepend=0)


def submission_counts(table: pa.Table) -> Counter[str]:
    """Counters for the report: submissions by year, and by karma in powers of two."""
    counts: Counter[str] = Counter()
    for year in pc.value_counts(pc.year(table.column("created_at"))).to_pylist():
        counts[f"submissions_{year['values'] or 'undated'}"] += year["counts"]
    karma = table.column("karma").fill_null(0).to_numpy()
    powers = np.floor(np.log2(np.maximum(karma, 1))).astype(int)
    for power, count in zip(*np.unique(powers, return_counts=True), strict=True):
        counts[f"karma_from_{1 << int(power)}"] += int(count)
    return counts
