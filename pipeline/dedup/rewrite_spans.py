"""The kept documents without the spans that are cut; each changed text gets an id of its own."""

import hashlib
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.spans import SPAN, SpanArray, SpanShard, cut
from pipeline.engine.shuffle import RunSlices, entries
from pipeline.engine.writer import PartWriter
from pipeline.records import Document, required
from pipeline.storage import arrays

BATCH_DOCUMENTS = 256
REWRITTEN = pa.schema(
    [
        required("document_id", pa.binary(16)),
        required("original_id", pa.binary(16)),
        required("url", pa.string()),
        required("cut_bytes", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class ShardCuts:
    """A shard and the spans to cut from it."""

    shard: SpanShard
    cuts: RunSlices


def rewrite(shard_cuts: ShardCuts, kept: npt.NDArray[np.int64], writer: PartWriter) -> npt.NDArray[np.int64]:
    """Write the documents of the kept rows, and a REWRITTEN row per changed text; returns the rows that have no word left."""
    cuts = entries(shard_cuts.cuts, SPAN)
    cuts = cuts[np.argsort(cuts["number"], kind="stable")]
    numbers = arrays.load(shard_cuts.shard.numbers)
    documents, rewritten = writer.table("documents", Document.SCHEMA), writer.table("rewritten", REWRITTEN)
    emptied, row = [], 0
    for batch in shard_cuts.shard.documents.batches(Document.SCHEMA.names, BATCH_DOCUMENTS):
        rows = kept[np.searchsorted(kept, row) : np.searchsorted(kept, row + batch.num_rows)]
        table, changes, nonempty = _cut_texts(pa.Table.from_batches([batch]).take(rows - row), numbers[rows], cuts)
        emptied += rows[~nonempty].tolist()
        documents.write(table.filter(pa.array(nonempty)))
        rewritten.write(changes)
        writer.counters["bytes_cut"] += int(np.sum(changes.column("cut_bytes").to_numpy()))
        row += batch.num_rows
    return np.array(emptied, np.int64)


def _cut_texts(
    table: pa.Table, numbers: npt.NDArray[np.uint32], cuts: SpanArray
) -> tuple[pa.Table, pa.Table, npt.NDArray[np.bool_]]:
    """The table with its texts cut, the REWRITTEN rows of the changed ones, and which rows are unchanged or have a word left."""
    texts, ids = table.column("text").to_pylist(), table.column("document_id").to_pylist()
    urls = table.column("url")
    changes = []
    nonempty = np.ones(len(texts), bool)
    starts, ends = np.searchsorted(cuts["number"], numbers), np.searchsorted(cuts["number"], numbers, side="right")
    for i in np.flatnonzero(ends > starts).tolist():
        spans, whole = cuts[starts[i] : ends[i]], texts[i].encode()
        short = cut(whole, list(zip(spans["start"].tolist(), spans["end"].tolist(), strict=True)))
        texts[i] = unicodedata.normalize("NFC", short.decode())
        nonempty[i] = any(map(str.isalnum, texts[i]))
        original, ids[i] = ids[i], hashlib.blake2b(texts[i].encode(), digest_size=16).digest()
        changes.append((ids[i], original, urls[i].as_py(), len(whole) - len(texts[i].encode()) * int(nonempty[i])))
    for name, values in (("text", texts), ("document_id", ids)):
        position = table.schema.get_field_index(name)
        table = table.set_column(position, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    return table, pa.table([list(c) for c in zip(*changes, strict=True)] or [[], [], [], []], schema=REWRITTEN), nonempty
