"""The next version of the documents that are kept, without the spans that are cut; its texts have ids of their own."""

import hashlib
import unicodedata
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dedup.spans import ENTRY, Entries, SpanShard, cut
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
class Rewriting:
    """A shard and its cuts."""

    shard: SpanShard
    cuts: RunSlices


def rewrite(rewriting: Rewriting, kept: npt.NDArray[np.int64], writer: PartWriter) -> npt.NDArray[np.int64]:
    """Write the kept rows' documents, and a row of REWRITTEN for each whose text is cut; the rows of which nothing is left."""
    cuts = entries(rewriting.cuts, ENTRY)
    cuts = cuts[np.argsort(cuts["number"], kind="stable")]
    numbers = arrays.load(rewriting.shard.numbers)
    documents, rewritten = writer.table("documents", Document.SCHEMA), writer.table("rewritten", REWRITTEN)
    emptied, row = [], 0
    for batch in rewriting.shard.documents.batches(Document.SCHEMA.names, BATCH_DOCUMENTS):
        rows = kept[np.searchsorted(kept, row) : np.searchsorted(kept, row + batch.num_rows)]
        table, changes, left = _cut_texts(pa.Table.from_batches([batch]).take(rows - row), numbers[rows], cuts)
        emptied += rows[~left].tolist()
        documents.write(table.filter(pa.array(left)))
        rewritten.write(changes)
        writer.counters["bytes_cut"] += int(np.sum(changes.column("cut_bytes").to_numpy()))
        row += batch.num_rows
    return np.array(emptied, np.int64)


def _cut_texts(
    table: pa.Table, numbers: npt.NDArray[np.uint32], cuts: Entries
) -> tuple[pa.Table, pa.Table, npt.NDArray[np.bool_]]:
    """The table with its texts cut, the REWRITTEN rows of those that are, and which rows have a word left or were not cut."""
    texts, ids = table.column("text").to_pylist(), table.column("document_id").to_pylist()
    urls = table.column("url")
    changes = []
    left = np.ones(len(texts), bool)
    starts, ends = np.searchsorted(cuts["number"], numbers), np.searchsorted(cuts["number"], numbers, side="right")
    for i in np.flatnonzero(ends > starts).tolist():
        mine, whole = cuts[starts[i] : ends[i]], texts[i].encode()
        short = cut(whole, list(zip(mine["start"].tolist(), mine["end"].tolist(), strict=True)))
        texts[i] = unicodedata.normalize("NFC", short.decode())
        left[i] = any(map(str.isalnum, texts[i]))
        original, ids[i] = ids[i], hashlib.blake2b(texts[i].encode(), digest_size=16).digest()
        changes.append((ids[i], original, urls[i].as_py(), len(whole) - len(texts[i].encode()) * int(left[i])))
    for name, values in (("text", texts), ("document_id", ids)):
        position = table.schema.get_field_index(name)
        table = table.set_column(position, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    return table, pa.table([list(c) for c in zip(*changes, strict=True)] or [[], [], [], []], schema=REWRITTEN), left
