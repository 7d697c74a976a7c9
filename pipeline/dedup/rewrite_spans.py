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
NOTHING, LITTLE, ENOUGH = range(3)
"""What cuts leave of a text."""
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
    """A shard, the spans to cut from it, and the least length of what they leave."""

    shard: SpanShard
    cuts: RunSlices
    min_characters: int = 0


def rewrite(
    shard_cuts: ShardCuts, kept: npt.NDArray[np.int64], writer: PartWriter
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Write the documents of the kept rows, and a REWRITTEN row per changed text.

    Returns the rows that have no word left, and those whose text became too short.
    """
    cuts = entries(shard_cuts.cuts, SPAN)
    cuts = cuts[np.argsort(cuts["number"], kind="stable")]
    numbers = arrays.load(shard_cuts.shard.numbers)
    documents, rewritten = writer.table("documents", Document.SCHEMA), writer.table("rewritten", REWRITTEN)
    emptied: list[int] = []
    shortened: list[int] = []
    row = 0
    for batch in shard_cuts.shard.documents.batches(Document.SCHEMA.names, BATCH_DOCUMENTS):
        rows = kept[np.searchsorted(kept, row) : np.searchsorted(kept, row + batch.num_rows)]
        table, changes, left = _cut_texts(
            pa.Table.from_batches([batch]).take(rows - row), numbers[rows], cuts, shard_cuts.min_characters
        )
        emptied += rows[left == NOTHING].tolist()
        shortened += rows[left == LITTLE].tolist()
        documents.write(table.filter(pa.array(left == ENOUGH)))
        rewritten.write(changes)
        writer.counters["bytes_cut"] += int(np.sum(changes.column("cut_bytes").to_numpy()))
        row += batch.num_rows
    return np.array(emptied, np.int64), np.array(shortened, np.int64)


def _cut_texts(
    table: pa.Table, numbers: npt.NDArray[np.uint32], cuts: SpanArray, min_characters: int
) -> tuple[pa.Table, pa.Table, npt.NDArray[np.int8]]:
    """The table with its texts cut, the REWRITTEN rows of the changed ones, and what is left of each row."""
    texts, ids = table.column("text").to_pylist(), table.column("document_id").to_pylist()
    urls = table.column("url")
    changes = []
    left = np.full(len(texts), ENOUGH, np.int8)
    starts, ends = np.searchsorted(cuts["number"], numbers), np.searchsorted(cuts["number"], numbers, side="right")
    for i in np.flatnonzero(ends > starts).tolist():
        spans, whole = cuts[starts[i] : ends[i]], texts[i].encode()
        short = cut(whole, list(zip(spans["start"].tolist(), spans["end"].tolist(), strict=True)))
        texts[i] = unicodedata.normalize("NFC", short.decode())
        if not any(map(str.isalnum, texts[i])):
            left[i] = NOTHING
        elif len(texts[i]) < min_characters:
            left[i] = LITTLE
        original, ids[i] = ids[i], hashlib.blake2b(texts[i].encode(), digest_size=16).digest()
        changes.append((ids[i], original, urls[i].as_py(), len(whole) - len(texts[i].encode()) * int(left[i] == ENOUGH)))
    for name, values in (("text", texts), ("document_id", ids)):
        position = table.schema.get_field_index(name)
        table = table.set_column(position, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    return table, pa.table([list(c) for c in zip(*changes, strict=True)] or [[], [], [], []], schema=REWRITTEN), left
