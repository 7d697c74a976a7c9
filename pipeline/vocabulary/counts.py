"""Words and their counts of a whole corpus, as a map-reduce over spilled tables: never a word as an element."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

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


def sampled_texts(shard: DocumentShard, share: float, seed: int, writer: PartWriter) -> Iterator[pa.Array]:
    """The texts of a document shard that fall into the seeded sample, a batch at a time; the writer keeps the books."""
    for batch in shard.batches(["document_id", "text"], BATCH_DOCUMENTS):
        sampled = batch.filter(pa.array(in_sample(batch.column("document_id"), share, seed, SAMPLE_SALT)))
        writer.counters["documents_not_sampled"] += batch.num_rows - sampled.num_rows
        writer.items_in += sampled.num_rows
        writer.items_out += sampled.num_rows
        writer.counters["text_bytes"] += utf8_bytes(sampled.column("text"))
        yield sampled.column("text")
        writer.advance(batch.num_rows)


@dataclass(frozen=True, slots=True)
class CountShard:
    """Counts the words of one document shard's sampled documents into `partitions` tables, by a hash of the word."""

    partitions: int
    share: float
    seed: int

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """A batch of documents at a time."""
        counter = PreTokenCounter()
        for texts in sampled_texts(part.work, self.share, self.seed, writer):
            counter.add(texts)
        counts = counter.table()
        writer.counters["words"] += int(pc.sum(counts.column("count")).as_py() or 0)
        for number, table in enumerate(partition(counts, self.partitions)):
            writer.publish_table(f"words-{number}", table, writer.spill_name(f"words-{writer.key}-{number:05d}.parquet"))


@dataclass(frozen=True, slots=True)
class MergePartition:
    """Adds up one partition's tables of all document shards; the part's work is their paths. The sums are kept when told."""

    keep: bool

    def __call__(self, part: Part[Sequence[str]], writer: PartWriter) -> None:
        """A table at a time."""
        paths = part.work
        total = PreTokenCounter()
        for path in paths:
            total.add_counts(files.read_table(path))
            writer.advance()
        writer.counters["distinct_words"] += len(total)
        name = f"counts-{writer.key}.parquet"
        writer.publish_table("counts", total.table(), name if self.keep else writer.spill_name(name))


def partition(table: pa.Table, partitions: int) -> list[pa.Table]:
    """The table's rows by a hash of the word; their order stays."""
    if partitions == 1:
        return [table]
    numbers = np.array([zlib.crc32(word.as_buffer()) % partitions for word in table.column("piece")], np.int64)
    return [table.filter(pa.array(numbers == number)) for number in range(partitions)]
