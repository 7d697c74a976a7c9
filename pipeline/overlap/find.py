"""The search of document shards for evaluation sets' n-grams, and each shard's keep list."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.overlap.ngrams import load_index
from pipeline.overlap.settings import OverlapSettings
from pipeline.records import Drop
from pipeline.storage import arrays
from pipeline.storage.document_shards import KEEP_SCHEMA, DocumentShard, utf8_bytes

OVERLAPPING_SCHEMA = pa.schema(
    [
        pa.field("document_id", pa.binary(16), nullable=False),
        pa.field("url", pa.string(), nullable=False),
        pa.field("grams", pa.int64(), nullable=False),
    ]
)
"""A document that holds n-grams of evaluation sets, and at how many places."""

BATCH_ROWS = 256


class OverlapDrop(StrEnum):
    """Why a document is left out."""

    OVERLAP = "overlap"


@dataclass(frozen=True, slots=True)
class FindNgrams:
    """Searches one document shard for the n-grams of the index in the folder `index`."""

    index: str
    settings: OverlapSettings

    def __call__(self, part: Part[DocumentShard], writer: PartWriter) -> None:
        """Publish the shard's keep list and its overlapping documents; spill which n-grams of the index occur in it."""
        shard = part.work
        index = load_index(self.index)
        occurs = np.zeros(len(index.grams), bool)
        tables = _ShardTables(writer, self.settings, shard.selected())
        for batch in shard.batches(["document_id", "url", "text"], BATCH_ROWS):
            places = np.zeros(batch.num_rows, np.int64)
            for i, text in enumerate(batch.column("text").to_pylist()):
                numbers = index.find(text)
                occurs[numbers] = True
                places[i] = len(numbers)
            tables.write(batch, places)
            writer.advance(batch.num_rows)
        writer.publish(
            "found", len(occurs), lambda file: arrays.write(file, occurs), writer.spill_name(writer.name("found", ".npy"))
        )


class _ShardTables:
    """The tables and the books of one shard, written in batches. `rows` are the positions of its documents in their file."""

    def __init__(self, writer: PartWriter, settings: OverlapSettings, rows: npt.NDArray[np.int64]) -> None:
        self._writer = writer
        self._settings = settings
        self._rows = rows
        self._written = 0
        self._overlapping = writer.table("overlapping", OVERLAPPING_SCHEMA)
        self._keep = writer.table("keep", KEEP_SCHEMA)

    def write(self, batch: pa.RecordBatch, places: npt.NDArray[np.int64]) -> None:
        """Write a batch of documents; `places` counts the n-grams in each."""
        rows = pa.array(self._rows[self._written : self._written + batch.num_rows])
        self._written += batch.num_rows
        overlaps = pa.array(places > 0)
        hits = [batch.column("document_id"), batch.column("url"), pa.array(places)]
        self._overlapping.write(pa.table([column.filter(overlaps) for column in hits], schema=OVERLAPPING_SCHEMA))
        removed = (places >= self._settings.least_grams) & self._settings.remove_overlapping
        keep = pa.array(~removed)
        self._keep.write(pa.table([rows.filter(keep), batch.column("document_id").filter(keep)], schema=KEEP_SCHEMA))
        self._count(batch, removed, places)

    def _count(self, batch: pa.RecordBatch, removed: npt.NDArray[np.bool_], places: npt.NDArray[np.int64]) -> None:
        writer = self._writer
        writer.items_in += batch.num_rows
        writer.items_out += int((~removed).sum())
        writer.counters["overlapping_documents"] += int((places > 0).sum())
        writer.counters["text_bytes"] += utf8_bytes(batch.column("text").filter(pa.array(~removed)))
        urls = batch.column("url")
        for i in np.flatnonzero(removed):
            writer.drop(Drop("overlap", urls[int(i)].as_py(), OverlapDrop.OVERLAP, f"{places[i]} places"))
