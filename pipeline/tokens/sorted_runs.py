"""Sorted runs: files of encoded documents in their final order, each with an index. Token shards are merged from them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine.parts import PhaseFolder, Receipt
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.tokens.groups import DocumentNumbers
from pipeline.tokens.splits import Splitting
from tokenizer.compiled import Array, compiled
from tokenizer.token_ids import DocumentOffsets, TokenIds

RUN_TOKENS = 1 << 24
CHUNK_TOKENS = 1 << 18
"""Tokens that are put in order and written together; this many fit into the processor's cache."""

INDEX_FIELDS = np.dtype(
    [(name, "<u8") for name in ("split", "order", "id_high", "id_low", "start")] + [("tokens", "<u4"), ("text_bytes", "<u4")]
)
"""A row per document; `start` is where its tokens begin. The halves of an id are read as big-endian numbers: they sort like its bytes.

All fields are little-endian (NumPy concatenates others wrongly) and aligned (so that a mapped index is searched without a copy)."""

RunIndex = npt.NDArray[np.void]
"""Rows of INDEX_FIELDS."""

DocumentSizes = npt.NDArray[np.int64]
"""A number per document: its tokens, or the bytes of its text."""


@dataclass(frozen=True, slots=True)
class SortedRun:
    """Paths of a run's two files."""

    tokens: str
    index: str


@dataclass(slots=True)
class SortedRunWriter:
    """Writes a part's encoded documents as sorted runs: it collects RUN_TOKENS, then spills them in order."""

    writer: PartWriter
    splitting: Splitting
    tokens: TokenIds = field(default_factory=lambda: np.empty(1 << 20, np.uint16))
    used: int = 0
    ids: list[pa.Array] = field(default_factory=list)
    lengths: list[DocumentSizes] = field(default_factory=list)
    text_bytes: list[DocumentSizes] = field(default_factory=list)
    copies: list[DocumentNumbers] = field(default_factory=list)
    number: int = 0

    def add(
        self, ids: pa.Array, tokens: TokenIds, offsets: DocumentOffsets, text_bytes: DocumentSizes, copies: DocumentNumbers
    ) -> None:
        """Add documents: document i is `tokens[offsets[i]:offsets[i + 1]]`, and `copies[i]` of the same text came before it."""
        end = self.used + len(tokens)
        if end > len(self.tokens):
            self.tokens.resize(max(end, 2 * len(self.tokens)), refcheck=False)
        self.tokens[self.used : end] = tokens
        self.used = end
        self.ids.append(ids)
        self.lengths.append(np.diff(offsets))
        self.text_bytes.append(text_bytes)
        self.copies.append(copies)
        if self.used >= RUN_TOKENS:
            self.close()

    def close(self) -> None:
        """Spill the documents since the last run, if any."""
        if not self.used:
            return
        columns = (np.concatenate(column) for column in (self.lengths, self.text_bytes, self.copies))
        index = make_index(self.splitting, pa.concat_arrays(self.ids), *columns)
        index = index[sort_order(index)]
        name = f"run-{self.writer.key}-{self.number:04d}"
        self._spill("run", f"{name}.tokens", lambda file: _write_tokens(file, self.tokens[: self.used], index))
        index["start"] = np.cumsum(index["tokens"], dtype=np.uint64) - index["tokens"]
        self._spill("index", f"{name}.index", lambda file: file.write(index.view(np.uint8).data))
        self.used, self.ids, self.lengths, self.text_bytes, self.copies = 0, [], [], [], []
        self.number += 1

    def _spill(self, kind: str, name: str, write: Callable[[IO[bytes]], object]) -> None:
        self.writer.publish(kind, self.used, write, self.writer.spill_name(name))


def make_index(
    splitting: Splitting, ids: pa.Array, lengths: DocumentSizes, text_bytes: DocumentSizes, copies: DocumentNumbers
) -> RunIndex:
    """The index of documents whose tokens lie one after the other; `lengths` counts the tokens of each."""
    index = np.empty(len(ids), INDEX_FIELDS)
    halves = np.frombuffer(ids.buffers()[1], ">u8", 2 * len(ids), 16 * ids.offset)
    index["split"], index["order"] = splitting.split(ids), splitting.order(ids, copies)
    index["id_high"], index["id_low"] = halves[::2], halves[1::2]
    index["start"], index["tokens"], index["text_bytes"] = np.cumsum(lengths) - lengths, lengths, text_bytes
    return index


def sort_order(index: RunIndex) -> npt.NDArray[np.intp]:
    """The rows in the order of their documents: by split, order hash and id."""
    order = np.argsort(index["order"])
    order = order[np.argsort(index["split"][order].astype(np.uint8), kind="stable")]
    hashes = index["order"][order]
    if np.any(hashes[1:] == hashes[:-1]):
        return np.lexsort((index["id_low"], index["id_high"], index["order"], index["split"]))
    return order


def _write_tokens(file: IO[bytes], tokens: TokenIds, index: RunIndex) -> None:
    """Write each document's tokens in the order of the index, in chunks."""
    lengths = index["tokens"].astype(np.uint64)
    ends = np.cumsum(lengths)
    starts = index["start"].copy()
    chunk = np.empty(CHUNK_TOKENS, np.uint16)
    low = written = 0
    while low < len(index):
        high = max(low + 1, int(np.searchsorted(ends, written + CHUNK_TOKENS, "right")))
        size = int(ends[high - 1]) - written
        if size > len(chunk):
            chunk = np.empty(size, np.uint16)
        _copy(tokens, starts[low:high], lengths[low:high], ends[low:high] - lengths[low:high] - np.uint64(written), chunk)
        file.write(chunk[:size].view(np.uint8).data)
        low, written = high, written + size


def merge_runs(runs: Sequence[tuple[TokenIds, RunIndex]], out: TokenIds) -> RunIndex:
    """Copy the documents of all runs (tokens and index of each) in order into `out`; returns their index in `out`.

    The caller gives `out` and uses it again for the next merge: memory that is new to a process costs more than the copy.
    """
    index = np.concatenate([rows for _, rows in runs])
    order = sort_order(index)
    targets = np.empty(len(index), np.uint64)
    targets[order] = np.cumsum(index["tokens"][order], dtype=np.uint64) - index["tokens"][order]
    first = 0
    for source, rows in runs:
        _copy(source, rows["start"].copy(), rows["tokens"].astype(np.uint64), targets[first : first + len(rows)], out)
        first += len(rows)
    index["start"] = targets
    return index[order]


@compiled
def _copy(source: Array, starts: Array, lengths: Array, targets: Array, out: Array) -> None:
    """Copy each document of the source to its target. Numbers are unsigned: signed ones cost a test for negatives per token."""
    for i in range(len(starts)):
        for k in range(lengths[i]):
            out[targets[i] + k] = source[starts[i] + k]


def read_index(run: SortedRun) -> RunIndex:
    """A run's index; a local one is mapped, not read."""
    if files.is_local(run.index):
        return np.asarray(np.memmap(run.index, INDEX_FIELDS, "r"))
    return np.frombuffer(files.read_bytes(run.index), INDEX_FIELDS)


def select_rows(index: RunIndex, split: int, low: int, high: int) -> RunIndex:
    """The rows of a sorted index in one split whose order hash begins with 16 bits from `low` up to, not including, `high`."""
    first, last = np.searchsorted(index["split"], np.array([split, split + 1], np.uint64))
    orders = index["order"][first:last]
    start = np.searchsorted(orders, np.uint64(low << 48))
    stop = np.searchsorted(orders, np.uint64((high << 48) - 1), "right")
    return index[first + start : first + stop]


def read_tokens(path: str, rows: RunIndex) -> tuple[TokenIds, RunIndex]:
    """The range of a run's tokens that holds some consecutive documents, and their index in it; a local file is mapped, not read."""
    if not len(rows):
        return np.zeros(0, np.uint16), rows
    first, last = int(rows["start"][0]), int(rows["start"][-1] + rows["tokens"][-1])
    index = rows.copy()
    index["start"] -= np.uint64(first)
    if files.is_local(path):
        return np.asarray(np.memmap(path, "<u2", "r", 2 * first, last - first)), index
    with files.open_input(path) as file:
        file.seek(2 * first)
        return np.frombuffer(file.read(2 * (last - first)), "<u2"), index


def list_runs(phase: PhaseFolder, receipts: Sequence[Receipt]) -> tuple[SortedRun, ...]:
    """The runs of finished parts, by name."""
    names = sorted(entry.name for receipt in receipts for entry in receipt.files if entry.kind == "run")
    return tuple(
        SortedRun(files.join(phase.folder, name), files.join(phase.folder, name.removesuffix("tokens") + "index"))
        for name in names
    )
