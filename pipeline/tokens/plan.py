"""The plan of token shards, made from the sorted runs' indexes before any token is merged: even shards, and even batches in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.tokens.sorted_runs import SortedRun, read_index
from pipeline.tokens.splits import SPLITS
from tokenizer.shards import BATCH_TOKENS, Header

BUCKETS = 1 << 16
"""Shards and record batches begin where the leading 16 bits of the order hash change."""


@dataclass(frozen=True, slots=True)
class ShardPlan:
    """The header of a shard to write, and the buckets at which its record batches begin and end."""

    header: Header
    borders: tuple[int, ...]


def plan_shards(runs: Sequence[SortedRun], header: Header, shard_tokens: int) -> list[ShardPlan]:
    """The shards of all splits, of about `shard_tokens` tokens each; tokenizer fields come from `header`."""
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
        batches = tuple(low + border for border in even_borders(tokens[low:high], BATCH_TOKENS))
        sums = int(documents[low:high].sum()), int(tokens[low:high].sum())
        yield ShardPlan(
            Header(split, shard, len(borders) - 1, *sums, header.tokenizer_sha256, header.vocab_size, header.eot_id), batches
        )


def even_borders(tokens: npt.NDArray[np.int64], group_tokens: int) -> list[int]:
    """Borders that cut buckets into non-empty groups of about `group_tokens` tokens; no borders where there are no tokens.

    >>> even_borders(np.array([3, 1, 0, 4]), 4)
    [0, 2, 4]
    """
    total = int(tokens.sum())
    if not total:
        return []
    groups = -(-total // group_tokens)
    sums = np.cumsum(tokens)
    cuts = np.searchsorted(sums, [total * group // groups for group in range(1, groups)]) + 1
    return [0, *sorted({int(cut) for cut in cuts if sums[cut - 1] < total}), len(tokens)]
