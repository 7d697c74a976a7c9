"""Sorted runs to token shards: each shard is merged from its range of all runs. Memory holds one record batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import IO

import numpy as np

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.tokens.plan import ShardPlan
from pipeline.tokens.sorted_runs import RunIndex, SortedRun, merge_runs, read_index, read_tokens, select_rows
from pipeline.tokens.splits import SPLITS
from tokenizer.compiled import Array, compiled
from tokenizer.shards import ShardWriter, TokenBatch
from tokenizer.token_ids import TokenIds


@dataclass(frozen=True, slots=True)
class MergeShard:
    """Merges one shard from the runs; the part's work is its plan."""

    runs: tuple[SortedRun, ...]

    def __call__(self, part: Part[ShardPlan], writer: PartWriter) -> None:
        """Publish the shard, batch by batch; spill how often each id occurs in it."""
        plan = part.work
        split = SPLITS.index(plan.header.split)
        indexes = [read_index(run) for run in self.runs]
        batches = [[select_rows(index, split, low, high) for index in indexes] for low, high in pairwise(plan.borders)]
        buffer = np.empty(max(map(count_tokens, batches)), np.uint16)
        unigrams = np.zeros(1 << 16, np.int64)

        def write(file: IO[bytes]) -> None:
            shard = ShardWriter(file, plan.header)
            for rows in batches:
                batch, text_bytes = self._merge_batch(rows, buffer[: count_tokens(rows)])
                shard.write(batch)
                _count_ids(batch.tokens, unigrams)
                writer.counters[f"text_bytes_{plan.header.split}"] += text_bytes
                writer.advance(len(batch.tokens))
            shard.close()

        writer.publish("tokens", plan.header.documents, write, plan.header.name)
        counts = writer.spill_name(f"unigrams-{writer.key}.npy")
        writer.publish("unigrams", len(unigrams), lambda file: np.save(file, unigrams), counts)

    def _merge_batch(self, rows: Sequence[RunIndex], tokens: TokenIds) -> tuple[TokenBatch, int]:
        """The documents of each run's rows, in order, and the bytes of their text; their ids are written into `tokens`."""
        index = merge_runs([read_tokens(run.tokens, part) for run, part in zip(self.runs, rows, strict=True)], tokens)
        ids = np.empty((len(index), 2), ">u8")
        ids[:, 0], ids[:, 1] = index["id_high"], index["id_low"]
        offsets = np.append(index["start"], len(tokens)).astype(np.int64)
        return TokenBatch(tokens, offsets, ids.view(np.uint8).reshape(-1, 16)), int(index["text_bytes"].sum(dtype=np.int64))


def count_tokens(indexes: Sequence[RunIndex]) -> int:
    """The number of tokens of all documents of some indexes."""
    return sum(int(index["tokens"].sum(dtype=np.int64)) for index in indexes)


@compiled
def _count_ids(tokens: Array, counts: Array) -> None:
    """Add to the count of each id. np.bincount would first make 64-bit numbers of all tokens."""
    for token in tokens:
        counts[token] += 1
