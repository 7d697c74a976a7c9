"""Runs: what document shards become on their way to token shards, documents encoded and in order, with an index of them.

A document's place is decided by its id alone: its split by one hash, its order in the split by another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.engine.parts import PhaseFolder, Receipt
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.storage.hashing import hash_ids
from tokenizer.compiled import Array, compiled

SPLITS = ("train", "validation", "test")
RUN_TOKENS = 1 << 24
CHUNK_TOKENS = 1 << 18
"""Laid in order and written at a time: so many stay in the processor's cache."""

INDEX = np.dtype(
    [(name, "<u8") for name in ("split", "order", "id_high", "id_low", "start")] + [("tokens", "<u4"), ("text_bytes", "<u4")]
)
"""Documents, and where the tokens of each begin. The halves of an id are read as big-endian numbers, so that they sort as its bytes do.

All fields are little-endian (NumPy concatenates others wrongly) and aligned (so that a mapped index is searched where it lies)."""

Index = npt.NDArray[np.void]
Tokens = npt.NDArray[np.uint16]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Splitting:
    """Which share of documents each held-out split gets, and the seeds of both hashes."""

    validation_share: float
    test_share: float
    split_seed: int
    order_seed: int

    def split(self, ids: pa.Array) -> npt.NDArray[np.uint8]:
        """The split of each document, a position in SPLITS."""
        where = hash_ids(ids, self.split_seed, b"split").astype(np.float64) / 2.0**64
        held_out = np.where(where < self.validation_share, 1, 2)
        return np.where(where < self.validation_share + self.test_share, held_out, 0).astype(np.uint8)

    def index(self, ids: pa.Array, lengths: Integers, text_bytes: Integers) -> Index:
        """The index of documents that lie one after the other, of so many tokens each."""
        index = np.empty(len(ids), INDEX)
        raw = np.frombuffer(ids.buffers()[1], ">u8", 2 * len(ids), 16 * ids.offset)
        index["split"], index["order"] = self.split(ids), hash_ids(ids, self.order_seed, b"order")
        index["id_high"], index["id_low"] = raw[::2], raw[1::2]
        index["start"], index["tokens"], index["text_bytes"] = np.cumsum(lengths) - lengths, lengths, text_bytes
        return index


@dataclass(frozen=True, slots=True)
class Run:
    """The two files of a run."""

    tokens: str
    index: str


@dataclass(slots=True)
class Runs:
    """Encoded documents on their way into the runs of a part: held up to RUN_TOKENS, then written in order."""

    writer: PartWriter
    splitting: Splitting
    tokens: Tokens = field(default_factory=lambda: np.empty(1 << 20, np.uint16))
    held: int = 0
    ids: list[pa.Array] = field(default_factory=list)
    lengths: list[Integers] = field(default_factory=list)
    text_bytes: list[Integers] = field(default_factory=list)
    number: int = 0

    def add(self, ids: pa.Array, tokens: Tokens, offsets: Integers, text_bytes: Integers) -> None:
        """Hold some documents: document i is `tokens[offsets[i]:offsets[i + 1]]`."""
        end = self.held + len(tokens)
        if end > len(self.tokens):
            self.tokens.resize(max(end, 2 * len(self.tokens)), refcheck=False)
        self.tokens[self.held : end] = tokens
        self.held = end
        self.ids.append(ids)
        self.lengths.append(np.diff(offsets))
        self.text_bytes.append(text_bytes)
        if self.held >= RUN_TOKENS:
            self.close()

    def close(self) -> None:
        """Write what is held."""
        if not self.held:
            return
        index = self.splitting.index(pa.concat_arrays(self.ids), np.concatenate(self.lengths), np.concatenate(self.text_bytes))
        index = index[in_order(index)]
        name = f"run-{self.writer.key}-{self.number:04d}"
        self._spill("run", f"{name}.tokens", lambda file: _write(file, self.tokens[: self.held], index))
        index["start"] = np.cumsum(index["tokens"], dtype=np.uint64) - index["tokens"]
        self._spill("index", f"{name}.index", lambda file: file.write(index.view(np.uint8).data))
        self.held, self.ids, self.lengths, self.text_bytes = 0, [], [], []
        self.number += 1

    def _spill(self, kind: str, name: str, write: Callable[[IO[bytes]], object]) -> None:
        self.writer.publish(kind, self.held, write, self.writer.spill_name(name))


def in_order(index: Index) -> npt.NDArray[np.intp]:
    """Which documents come first, second …: by split, order hash and id."""
    order = np.argsort(index["order"])
    order = order[np.argsort(index["split"][order].astype(np.uint8), kind="stable")]
    hashes = index["order"][order]
    if np.any(hashes[1:] == hashes[:-1]):
        return np.lexsort((index["id_low"], index["id_high"], index["order"], index["split"]))
    return order


def _write(file: IO[bytes], tokens: Tokens, index: Index) -> None:
    """Write each document's tokens in the order of the index, a chunk at a time."""
    lengths = index["tokens"].astype(np.uint64)
    ends = np.cumsum(lengths)
    starts = index["start"].copy()
    chunk = np.empty(CHUNK_TOKENS, np.uint16)
    low = done = 0
    while low < len(index):
        high = max(low + 1, int(np.searchsorted(ends, done + CHUNK_TOKENS, "right")))
        filled = int(ends[high - 1]) - done
        if filled > len(chunk):
            chunk = np.empty(filled, np.uint16)
        _copy(tokens, starts[low:high], lengths[low:high], ends[low:high] - lengths[low:high] - np.uint64(done), chunk)
        file.write(chunk[:filled].view(np.uint8).data)
        low, done = high, done + filled


def merged(pieces: Sequence[tuple[Tokens, Index]], out: Tokens) -> Index:
    """Lay all documents of some pieces, each tokens and their index, into `out`; their index, in order.

    Memory that is new to a process costs more than the copy: `out` is the caller's, for the next time.
    """
    index = np.concatenate([own for _, own in pieces])
    order = in_order(index)
    places = np.empty(len(index), np.uint64)
    places[order] = np.cumsum(index["tokens"][order], dtype=np.uint64) - index["tokens"][order]
    done = 0
    for source, own in pieces:
        _copy(source, own["start"].copy(), own["tokens"].astype(np.uint64), places[done : done + len(own)], out)
        done += len(own)
    index["start"] = places
    return index[order]


@compiled
def _copy(source: Array, starts: Array, lengths: Array, places: Array, out: Array) -> None:
    """Lay each document of the source at its place. Unsigned numbers: signed ones cost a test for negatives a token."""
    for i in range(len(starts)):
        for k in range(lengths[i]):
            out[places[i] + k] = source[starts[i] + k]


def read_index(run: Run) -> Index:
    """A run's index; a local one is mapped, not read."""
    if files.is_local(run.index):
        return np.asarray(np.memmap(run.index, INDEX, "r"))
    return np.frombuffer(files.read_bytes(run.index), INDEX)


def rows_of(index: Index, split: int, low: int, high: int) -> Index:
    """A sorted index' documents in some buckets (pipeline.tokens.merge.BUCKETS) of a split."""
    first, last = np.searchsorted(index["split"], np.array([split, split + 1], np.uint64))
    orders = index["order"][first:last]
    start = np.searchsorted(orders, np.uint64(low << 48))
    stop = np.searchsorted(orders, np.uint64((high << 48) - 1), "right")
    return index[first + start : first + stop]


def read_tokens(path: str, index: Index) -> tuple[Tokens, Index]:
    """The stretch of a run's tokens that its documents take, and their index in it; a local one is mapped, not read."""
    if not len(index):
        return np.zeros(0, np.uint16), index
    first, last = int(index["start"][0]), int(index["start"][-1] + index["tokens"][-1])
    own = index.copy()
    own["start"] -= np.uint64(first)
    if files.is_local(path):
        return np.asarray(np.memmap(path, "<u2", "r", 2 * first, last - first)), own
    with files.open_input(path) as file:
        file.seek(2 * first)
        return np.frombuffer(file.read(2 * (last - first)), "<u2"), own


def runs_of(place: PhaseFolder, receipts: Sequence[Receipt]) -> tuple[Run, ...]:
    """The runs that finished parts left, by name."""
    names = sorted(entry.name for receipt in receipts for entry in receipt.files if entry.kind == "run")
    return tuple(Run(files.join(place.folder, n), files.join(place.folder, n.removesuffix("tokens") + "index")) for n in names)
