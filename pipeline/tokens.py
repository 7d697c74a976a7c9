"""Documents to token shards: each document shard is encoded into sorted runs, then each shard is merged from its ranges of all runs.

A document's place is decided by its id alone: its split by one hash, its order in the split by another. So neighbours in a shard come from
all over the corpus, and growing the corpus moves no document between splits. Memory holds one run or one record batch, however large the
corpus is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from io import BytesIO
from itertools import pairwise
from typing import IO, Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.pvalue import PCollection

from pipeline import files
from pipeline.hashing import mixed
from pipeline.parts import Part, PartWriter, Place, Receipt, RunParts
from pipeline.records import Drop
from pipeline.views import DocumentShard
from tokenizer.codec import COMPILED, LIBRARY, Tokenizer
from tokenizer.compiled import Array, compiled
from tokenizer.shards import BATCH_TOKENS, Header, ShardEntry, ShardWriter, Split, TokenBatch

SPLITS = ("train", "validation", "test")
BATCH_DOCUMENTS = 512
RUN_TOKENS = 1 << 24
ORACLE_DOCUMENTS = 16
ORACLE_CHARACTERS = 1 << 14
BUCKETS = 1 << 16
"""Shards and record batches begin where the leading 16 bits of the order hash change."""

INDEX = np.dtype(
    [(name, "<u8") for name in ("split", "order", "id_high", "id_low", "start")] + [("tokens", "<u4"), ("text_bytes", "<u4")]
)
"""Documents, and where the tokens of each begin. The halves of an id are read as big-endian numbers, so that they sort as its bytes do.

All fields are little-endian (NumPy concatenates others wrongly) and aligned (so that a mapped index is searched where it lies)."""

Index = npt.NDArray[np.void]
Tokens = npt.NDArray[np.uint16]


class TokensDrop(StrEnum):
    """Why a document gave no tokens."""

    NO_TEXT = "no_text"


@dataclass(frozen=True, slots=True)
class Splitting:
    """Which share of documents each held-out split gets, and the seeds of both hashes."""

    validation_share: float
    test_share: float
    split_seed: int
    order_seed: int

    def split(self, ids: pa.Array) -> npt.NDArray[np.uint8]:
        """The split of each document, a position in SPLITS."""
        where = mixed(ids, self.split_seed, b"split").astype(np.float64) / 2.0**64
        held_out = np.where(where < self.validation_share, 1, 2)
        return np.where(where < self.validation_share + self.test_share, held_out, 0).astype(np.uint8)

    def index(self, ids: pa.Array, offsets: npt.NDArray[np.int64], text_bytes: npt.NDArray[np.int64]) -> Index:
        """The index of a batch of documents, in their own order; `offsets` of their tokens."""
        index = np.zeros(len(ids), INDEX)
        raw = np.frombuffer(ids.buffers()[1], ">u8", 2 * len(ids), 16 * ids.offset)
        index["split"], index["order"] = self.split(ids), mixed(ids, self.order_seed, b"order")
        index["id_high"], index["id_low"] = raw[::2], raw[1::2]
        index["start"], index["tokens"], index["text_bytes"] = offsets[:-1], np.diff(offsets), text_bytes
        return index


@dataclass(frozen=True, slots=True)
class EncodeShard:
    """Encodes one document shard into runs: tokens in the order of split, order hash and id, and their index."""

    tokenizer: str
    splitting: Splitting
    encoder: str

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """A batch of documents at a time."""
        tokenizer = load_tokenizer(self.tokenizer)
        checked = 0
        shard: DocumentShard = part.work
        runs = _Runs(writer)
        for batch in shard.batches(["document_id", "text"], BATCH_DOCUMENTS):
            writer.items_in += batch.num_rows
            texts = batch.column("text")
            lengths = pc.binary_length(texts).to_numpy().astype(np.int64)
            for row in np.flatnonzero(lengths == 0):
                writer.drop(Drop("tokens", batch.column("document_id")[row].as_py().hex(), TokensDrop.NO_TEXT))
            if not lengths.all():
                batch = batch.filter(pa.array(lengths > 0))
            writer.items_out += batch.num_rows
            tokens, offsets = tokenizer.encode_arrow(batch.column("text"), encoder=self.encoder)
            if checked < ORACLE_DOCUMENTS:
                checked += compare_with_oracle(tokenizer, batch.slice(0, ORACLE_DOCUMENTS - checked), tokens, offsets)
            runs.add(tokens, self.splitting.index(batch.column("document_id"), offsets, lengths[lengths > 0]))
            writer.advance(batch.num_rows)
        runs.close()


@dataclass(slots=True)
class _Runs:
    """Encoded documents on their way into the runs of a part."""

    writer: PartWriter
    pieces: list[tuple[Tokens, Index]] = field(default_factory=list)
    held: int = 0
    number: int = 0

    def add(self, tokens: Tokens, index: Index) -> None:
        self.pieces.append((tokens, index))
        self.held += len(tokens)
        if self.held >= RUN_TOKENS:
            self.close()

    def close(self) -> None:
        """Spill what is held."""
        if not self.held:
            return
        tokens, index = merged(self.pieces)
        self.pieces, self.held = [], 0
        name = f"run-{self.writer.key}-{self.number:04d}"
        self._spill("run", f"{name}.tokens", tokens)
        self._spill("index", f"{name}.index", index)
        self.number += 1

    def _spill(self, kind: str, name: str, array: npt.NDArray[Any]) -> None:
        self.writer.publish(
            kind,
            len(array),
            lambda file: file.write(np.ascontiguousarray(array).view(np.uint8).data),
            self.writer.spill_name(name),
        )


@dataclass(frozen=True, slots=True)
class Run:
    """The two files of a run."""

    tokens: str
    index: str


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to be: its header, and the buckets at which its record batches begin and end."""

    header: Header
    borders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MergeShard:
    """Merges one shard from the runs; the part's work is its plan."""

    runs: tuple[Run, ...]

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """A record batch at a time."""
        plan: ShardPlan = part.work
        split = SPLITS.index(plan.header.split)
        indexes = [read_index(run) for run in self.runs]
        unigrams = np.zeros(1 << 16, np.int64)

        def write(file: IO[bytes]) -> None:
            shard = ShardWriter(file, plan.header)
            for low, high in pairwise(plan.borders):
                batch, text_bytes = self._batch([rows_of(index, split, low, high) for index in indexes])
                shard.write(batch)
                _tally(batch.tokens, unigrams)
                writer.counters[f"text_bytes_{plan.header.split}"] += text_bytes
                writer.advance(len(batch.tokens))
            shard.close()

        writer.publish("tokens", plan.header.documents, write, plan.header.name)
        counts = writer.spill_name(f"unigrams-{writer.key}.npy")
        writer.publish("unigrams", len(unigrams), lambda file: np.save(file, unigrams), counts)

    def _batch(self, indexes: Sequence[Index]) -> tuple[TokenBatch, int]:
        """The documents that the runs' indexes name, in order; and their text's bytes."""
        tokens, index = merged([_read_tokens(run.tokens, index) for run, index in zip(self.runs, indexes, strict=True)])
        ids = np.empty((len(index), 2), ">u8")
        ids[:, 0], ids[:, 1] = index["id_high"], index["id_low"]
        offsets = np.append(index["start"], len(tokens)).astype(np.int64)
        return TokenBatch(tokens, offsets, ids.view(np.uint8).reshape(-1, 16)), int(index["text_bytes"].sum(dtype=np.int64))


@dataclass
class Tokenize(beam.PTransform[PCollection[Part], PCollection[str]]):
    """Document shards, as parts, to runs of encoded documents in the stage's work folder."""

    place: Place
    tokenizer: str
    splitting: Splitting
    encoder: str = COMPILED

    def expand(self, parts: PCollection[Part]) -> PCollection[str]:
        """A part a document shard."""
        keys: PCollection[str] = parts | RunParts(self.place, EncodeShard(self.tokenizer, self.splitting, self.encoder))
        return keys


def load_tokenizer(path: str) -> Tokenizer:
    """A tokenizer.json on any file system; a worker process parses it once."""
    return _parsed(files.base_name(path), files.read_bytes(path))


@lru_cache(maxsize=2)
def _parsed(name: str, data: bytes) -> Tokenizer:
    return Tokenizer.parse(name, data)


def compare_with_oracle(tokenizer: Tokenizer, batch: pa.RecordBatch, tokens: Tokens, offsets: npt.NDArray[np.int64]) -> int:
    """Encode a batch's first documents, to a bounded size, with the tokenizers library too; how many were compared.

    Raises RuntimeError naming the document where the ids differ.
    """
    compared = 0
    for row, text in enumerate(batch.column("text").to_pylist()):
        if len(text) > ORACLE_CHARACTERS:
            continue
        expected, _ = tokenizer.encode_arrow(pa.array([text], pa.large_string()), encoder=LIBRARY)
        if not np.array_equal(expected, tokens[offsets[row] : offsets[row + 1]]):
            name = batch.column("document_id")[row].as_py().hex()
            raise RuntimeError(f"document {name}: this encoder's ids differ from those of tokenizers; use --encoder {LIBRARY}")
        compared += 1
    return compared


def merged(pieces: Sequence[tuple[Tokens, Index]]) -> tuple[Tokens, Index]:
    """All documents of some pieces, each tokens and their index, in the order of split, order hash and id."""
    index = np.concatenate([own for _, own in pieces])
    order = np.lexsort((index["id_low"], index["id_high"], index["order"], index["split"]))
    ends = np.cumsum(index["tokens"][order], dtype=np.int64)
    starts = np.empty(len(index), np.int64)
    starts[order] = ends - index["tokens"][order]
    tokens = np.empty(ends[-1] if len(ends) else 0, np.uint16)
    done = 0
    for source, own in pieces:
        _copy(source, own["start"].astype(np.uint64), own["tokens"].astype(np.uint64), starts[done:].view(np.uint64), tokens)
        done += len(own)
    index["start"] = starts
    return tokens, index[order]


@compiled
def _copy(source: Array, starts: Array, lengths: Array, places: Array, out: Array) -> None:
    """Lay each document of the source at its place. Unsigned numbers: signed ones cost a test for negatives a token."""
    for i in range(len(starts)):
        for k in range(lengths[i]):
            out[places[i] + k] = source[starts[i] + k]


@compiled
def _tally(tokens: Array, counts: Array) -> None:
    """Add to the count of each id; np.bincount makes 64-bit numbers of all tokens first."""
    for token in tokens:
        counts[token] += 1


def plan_shards(runs: Sequence[Run], header: Header, shard_tokens: int) -> list[ShardPlan]:
    """The shards of all splits, from the runs' indexes; `header` gives what is the same for all."""
    tokens = np.zeros((len(SPLITS), BUCKETS), np.int64)
    documents = np.zeros((len(SPLITS), BUCKETS), np.int64)
    for run in runs:
        index = read_index(run)
        buckets = (index["order"] >> np.uint64(48)).astype(np.int64)
        np.add.at(tokens, (index["split"], buckets), index["tokens"])
        np.add.at(documents, (index["split"], buckets), 1)
    plans = []
    for number, split in enumerate(SPLITS):
        plans += list(_plan_split(split, tokens[number], documents[number], header, shard_tokens))
    return plans


def _plan_split(
    split: str, tokens: npt.NDArray[np.int64], documents: npt.NDArray[np.int64], header: Header, shard_tokens: int
) -> Iterator[ShardPlan]:
    borders = even_borders(tokens, shard_tokens)
    for shard, (low, high) in enumerate(pairwise(borders)):
        inner = tuple(low + border for border in even_borders(tokens[low:high], BATCH_TOKENS))
        sums = int(documents[low:high].sum()), int(tokens[low:high].sum())
        yield ShardPlan(
            Header(split, shard, len(borders) - 1, *sums, header.tokenizer_sha256, header.vocab_size, header.eot_id), inner
        )


def even_borders(tokens: npt.NDArray[np.int64], most: int) -> list[int]:
    """Borders between buckets that cut them into groups of about `most` tokens, none of them empty; no group for no tokens."""
    total = int(tokens.sum())
    if not total:
        return []
    groups = -(-total // most)
    upto = np.cumsum(tokens)
    cuts = np.searchsorted(upto, [total * group // groups for group in range(1, groups)]) + 1
    return [0, *sorted({int(cut) for cut in cuts if upto[cut - 1] < total}), len(tokens)]


def read_index(run: Run) -> Index:
    """A run's index; a local one is mapped, not read."""
    if files.is_local(run.index):
        return np.asarray(np.memmap(run.index, INDEX, "r"))
    return np.frombuffer(files.read_bytes(run.index), INDEX)


def rows_of(index: Index, split: int, low: int, high: int) -> Index:
    """A sorted index' documents in some buckets of a split."""
    first, last = np.searchsorted(index["split"], np.array([split, split + 1], np.uint64))
    orders = index["order"][first:last]
    start = np.searchsorted(orders, np.uint64(low << 48))
    stop = np.searchsorted(orders, np.uint64((high << 48) - 1), "right")
    return index[first + start : first + stop]


def _read_tokens(path: str, index: Index) -> tuple[Tokens, Index]:
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


def runs_of(place: Place, receipts: Sequence[Receipt]) -> tuple[Run, ...]:
    """The runs that finished parts left, by name."""
    names = sorted(entry.name for receipt in receipts for entry in receipt.files if entry.kind == "run")
    return tuple(Run(files.join(place.folder, n), files.join(place.folder, n.removesuffix("tokens") + "index")) for n in names)


def split_of(receipts: Sequence[Receipt], plans: Sequence[ShardPlan], split: str) -> Split:
    """A split's entry in the dataset section, from its finished shards."""
    entries = []
    for plan in (p for p in plans if p.header.split == split):
        (entry,) = (e for r in receipts for e in r.files if e.name == plan.header.name)
        entries.append(ShardEntry(entry.name, plan.header.documents, plan.header.tokens, entry.bytes, entry.sha256))
    text = sum(receipt.counters.get(f"text_bytes_{split}", 0) for receipt in receipts)
    return Split(sum(e.documents for e in entries), sum(e.tokens for e in entries), text, tuple(entries))


def unigram_counts(place: Place, receipts: Sequence[Receipt], plans: Sequence[ShardPlan], split: str) -> npt.NDArray[np.int64]:
    """How often each id occurs in a split."""
    counts = np.zeros(1 << 16, np.int64)
    for receipt, plan in zip(receipts, plans, strict=True):
        if plan.header.split == split:
            counts += np.load(BytesIO(files.read_bytes(receipt.path(place, "unigrams"))))
    return counts


def cross_entropy_nats(counts: npt.NDArray[np.int64], training: npt.NDArray[np.int64]) -> float:
    """Mean of -log(p) over the counted tokens, p the training counts' frequencies with one added to each."""
    probabilities = (training + 1) / (training + 1).sum()
    return float(-(counts * np.log(probabilities)).sum() / counts.sum())
