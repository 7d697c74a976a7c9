"""Counts of a corpus' pre-tokens: each document shard is counted into partitions by hash, then each partition is added up.

No element and no file row is a single occurrence of a word: the compiled counter sums within a shard.
"""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard, utf8_bytes
from pipeline.storage.hashing import in_sample
from tokenizer.counting import PreTokenCounter

BATCH_DOCUMENTS = 1024
SAMPLE_SALT = b"vocabulary sample"


def read_sample(shard: DocumentShard, share: float, seed: int, writer: PartWriter) -> Iterator[pa.Array]:
    """The texts of a document shard that fall into the seeded sample, in batches; the writer gets the books and the progress."""
    for batch in shard.batches(["document_id", "text"], BATCH_DOCUMENTS):
        sample = batch.filter(pa.array(in_sample(batch.column("document_id"), share, seed, SAMPLE_SALT)))
        writer.counters["documents_not_sampled"] += batch.num_rows - sample.num_rows
        writer.items_in += sample.num_rows
        writer.items_out += sample.num_rows
        writer.counters["text_bytes"] += utf8_bytes(sample.column("text"))
        yield sample.column("text")
        writer.advance(batch.num_rows)


@dataclass(frozen=True, slots=True)
class CountShard:
    """Counts the pre-tokens of one document shard's sample into `partitions` tables, by a hash of the pre-token."""

    partitions: int
    share: float
    seed: int

    def __call__(self, part: Part[DocumentShard], writer: PartWriter) -> None:
        """Spill a table of counts per partition."""
        counter = PreTokenCounter()
        for texts in read_sample(part.work, self.share, self.seed, writer):
            counter.add(texts)
        counts = counter.table()
        writer.counters["words"] += int(pc.sum(counts.column("count")).as_py() or 0)
        for number, table in enumerate(partition(counts, self.partitions)):
            writer.publish_table(f"words-{number}", table, writer.spill_name(f"words-{writer.key}-{number:05d}.parquet"))


@dataclass(frozen=True, slots=True)
class MergePartition:
    """Adds up one partition's tables of all document shards; the part's work is their paths. `keep` makes the sums an output."""

    keep: bool

    def __call__(self, part: Part[Sequence[str]], writer: PartWriter) -> None:
        """Publish or spill the table of sums."""
        total = add_up(_read_tables(part.work, writer))
        writer.counters["distinct_words"] += len(total)
        name = f"counts-{writer.key}.parquet"
        writer.publish_table("counts", total.table(), name if self.keep else writer.spill_name(name))


def _read_tables(paths: Sequence[str], writer: PartWriter) -> Iterator[pa.Table]:
    for path in paths:
        yield files.read_table(path)
        writer.advance()


def add_up(tables: Iterable[pa.Table]) -> PreTokenCounter:
    """The sum of tables of counts (tokenizer.bpe.COUNTS_SCHEMA); one table is in memory at a time."""
    total = PreTokenCounter()
    for table in tables:
        total.add_counts(table)
    return total


def partition(counts: pa.Table, partitions: int) -> list[pa.Table]:
    """The table's rows by a hash of the pre-token, one table per partition; the rows of each keep their order."""
    if partitions == 1:
        return [counts]
    numbers = np.array([zlib.crc32(word.as_buffer()) % partitions for word in counts.column("piece")], np.int64)
    return [counts.filter(pa.array(numbers == number)) for number in range(partitions)]
