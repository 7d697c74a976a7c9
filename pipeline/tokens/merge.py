"""TODO-DOC."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from itertools import pairwise
from typing import IO

import numpy as np
import numpy.typing as npt

from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.tokens.sorted_runs import SPLITS, Index, Run, Tokens, merged, read_index, read_tokens, rows_of
from tokenizer.compiled import Array, compiled
from tokenizer.shards import BATCH_TOKENS, Header, ShardEntry, ShardWriter, SplitEntry, TokenBatch

BUCKETS = 1 << 16
"""Shards and record batches begin where the leading 16 bits of the order hash change."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """A shard to be: its header, and the buckets at which its record batches begin and end."""

    header: Header
    borders: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MergeShard:
    """Merges one shard from the runs; the part's work is its plan."""

    runs: tuple[Run, ...]

    def __call__(self, part: Part[ShardPlan], writer: PartWriter) -> None:
        """A record batch at a time."""
        plan = part.work
        split = SPLITS.index(plan.header.split)
        indexes = [read_index(run) for run in self.runs]
        batches = [[rows_of(index, split, low, high) for index in indexes] for low, high in pairwise(plan.borders)]
        room = np.empty(max(map(tokens_in, batches)), np.uint16)
        unigrams = np.zeros(1 << 16, np.int64)

        def write(file: IO[bytes]) -> None:
            shard = ShardWriter(file, plan.header)
            for rows in batches:
                batch, text_bytes = self._batch(rows, room[: tokens_in(rows)])
                shard.write(batch)
                _tally(batch.tokens, unigrams)
                writer.counters[f"text_bytes_{plan.header.split}"] += text_bytes
                writer.advance(len(batch.tokens))
            shard.close()

        writer.publish("tokens", plan.header.documents, write, plan.header.name)
        counts = writer.spill_name(f"unigrams-{writer.key}.npy")
        writer.publish("unigrams", len(unigrams), lambda file: np.save(file, unigrams), counts)

    def _batch(self, indexes: Sequence[Index], tokens: Tokens) -> tuple[TokenBatch, int]:
        """The documents that the runs' indexes name, in order, their tokens in `tokens`; and their text's bytes."""
        index = merged([read_tokens(run.tokens, index) for run, index in zip(self.runs, indexes, strict=True)], tokens)
        ids = np.empty((len(index), 2), ">u8")
        ids[:, 0], ids[:, 1] = index["id_high"], index["id_low"]
        offsets = np.append(index["start"], len(tokens)).astype(np.int64)
        return TokenBatch(tokens, offsets, ids.view(np.uint8).reshape(-1, 16)), int(index["text_bytes"].sum(dtype=np.int64))


def tokens_in(indexes: Sequence[Index]) -> int:
    """The tokens of all documents that some indexes name."""
    return sum(int(index["tokens"].sum(dtype=np.int64)) for index in indexes)


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


def split_of(receipts: Sequence[Receipt], plans: Sequence[ShardPlan], split: str) -> SplitEntry:
    """A split's entry in the dataset section, from its finished shards."""
    entries = []
    for plan in (p for p in plans if p.header.split == split):
        (entry,) = (e for r in receipts for e in r.files if e.name == plan.header.name)
        entries.append(ShardEntry(entry.name, plan.header.documents, plan.header.tokens, entry.bytes, entry.sha256))
    text = sum(receipt.counters.get(f"text_bytes_{split}", 0) for receipt in receipts)
    return SplitEntry(sum(e.documents for e in entries), sum(e.tokens for e in entries), text, tuple(entries))


def unigram_counts(
    place: PhaseFolder, receipts: Sequence[Receipt], plans: Sequence[ShardPlan], split: str
) -> npt.NDArray[np.int64]:
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
