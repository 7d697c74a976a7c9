"""Batches: independent of the number of ranks, every window once per epoch, read from memory-mapped shards."""

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tokenizer.stream import Stream
from trainer.config import InputError
from trainer.data import Batches, Prefetcher, TokenDataset, document_numbers, most_documents, validation_starts


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> TokenDataset:
    return TokenDataset.open(corpus_folder)


def all_tokens(stream: Stream) -> np.ndarray:
    tokens = np.empty(len(stream), np.int64)
    stream.read(0, tokens)
    return tokens


def test_every_window_occurs_once_per_epoch(corpus: TokenDataset) -> None:
    batches = Batches(corpus.train, context=64, windows=8, seed=1)
    epoch = batches.windows_per_epoch
    starts = np.concatenate([batches.starts(step) for step in range(epoch // 8)])
    assert len(set(starts.tolist())) == len(starts)
    assert starts.max() + 65 <= len(corpus.train)
    assert len({int(start) % 64 for start in starts}) == 1


def test_epochs_differ_in_order_and_offset(corpus: TokenDataset) -> None:
    batches = Batches(corpus.train, context=1024, windows=windows_per_epoch_of(corpus), seed=1)
    first, second, third = (batches.starts(step) for step in range(3))
    assert (first == second).mean() < 0.05
    assert len({int(starts[0]) % 1024 for starts in (first, second, third)}) > 1


def windows_per_epoch_of(corpus: TokenDataset) -> int:
    return Batches(corpus.train, context=1024, windows=1, seed=1).windows_per_epoch


def test_targets_are_the_inputs_shifted_by_one_token(corpus: TokenDataset) -> None:
    tokens = all_tokens(corpus.train)
    batches = Batches(corpus.train, context=100, windows=4, seed=9)
    (batch,) = batches.micro_batches(3)
    for row, start in enumerate(batches.starts(3)):
        assert batch.inputs[row].tolist() == tokens[start : start + 100].tolist()
        assert batch.targets[row].tolist() == tokens[start + 1 : start + 101].tolist()


@pytest.mark.parametrize(("ranks", "micro_batch"), [(1, 3), (2, 2), (4, 1), (3, 4)])
def test_the_global_batch_does_not_depend_on_ranks_or_micro_batches(corpus: TokenDataset, ranks: int, micro_batch: int) -> None:
    batches = Batches(corpus.train, context=32, windows=12, seed=2)
    (expected,) = batches.micro_batches(5)
    parts = [part for rank in range(ranks) for part in batches.micro_batches(5, rank=rank, ranks=ranks, micro_batch=micro_batch)]
    assert torch.equal(torch.cat([part.inputs for part in parts]), expected.inputs)


def test_uneven_shares_are_rejected(corpus: TokenDataset) -> None:
    with pytest.raises(InputError, match="3 ranks cannot share 8 windows"):
        Batches(corpus.train, context=32, windows=8, seed=2).micro_batches(0, ranks=3)


def test_a_context_longer_than_the_data_is_rejected(corpus: TokenDataset) -> None:
    with pytest.raises(InputError, match="longer than the data"):
        Batches(corpus.train, context=10**9, windows=1, seed=1)


def test_a_stream_of_one_window_is_enough(corpus: TokenDataset) -> None:
    batches = Batches(corpus.train, context=len(corpus.train) - 1, windows=2, seed=1)
    assert batches.starts(0).tolist() == [0, 0]


def test_shards_are_memory_mapped(corpus_folder: Path) -> None:
    before = pa.total_allocated_bytes()
    corpus = TokenDataset.open(corpus_folder)
    assert pa.total_allocated_bytes() == before
    ranges = [span(line) for line in Path("/proc/self/maps").read_text().splitlines() if str(corpus_folder) in line]
    for shard in corpus.train.shards:
        for batch in shard.batches:
            address = batch.tokens.ctypes.data
            assert any(low <= address and address + batch.tokens.nbytes <= high for low, high in ranges)


def span(line: str) -> tuple[int, int]:
    low, high = line.split()[0].split("-")
    return int(low, 16), int(high, 16)


def test_documents_are_numbered_within_a_window() -> None:
    assert document_numbers(np.array([[5, 9, 7, 8, 9, 9]]), 9).tolist() == [[0, 0, 1, 1, 1, 2]]


@pytest.mark.parametrize("context", [32, 700])
def test_cumulative_lengths_equal_the_block_diagonal_mask(corpus: TokenDataset, context: int) -> None:
    eot_id = corpus.manifest.eot_id
    numbered, flat = (
        Batches(corpus.train, context=context, windows=64, seed=1, eot_id=eot_id, flat=flat) for flat in (False, True)
    )
    sizes, most = set(), 0
    for step in range(20):
        (ids,), (lengths,) = ([batch.documents for batch in batches.micro_batches(step)] for batches in (numbered, flat))
        sizes.add(len(lengths))
        assert lengths.dtype == torch.int32
        assert (lengths[0], lengths[-1]) == (0, 64 * context)
        most = max(most, int((lengths < 64 * context).sum()))
        document = torch.repeat_interleave(torch.arange(len(lengths) - 1), lengths.diff().long()).view(64, context)
        assert torch.equal(document[:, :, None] == document[:, None, :], ids[:, :, None] == ids[:, None, :])
        assert all(set(one.tolist()).isdisjoint(other.tolist()) for one, other in pairwise(document))
    assert len(sizes) == 1, "all batches need the same size, or torch.compile recompiles"
    assert most < sizes.pop()


def test_most_documents_is_the_maximum_over_all_windows(corpus: TokenDataset) -> None:
    tokens = all_tokens(corpus.train)
    ends = np.concatenate([[0], np.cumsum(tokens == corpus.manifest.eot_id)])
    for context in (16, 5000):
        # an end of text as a window's last token starts no document in it
        inside = ends[context - 1 : -1] - ends[: len(ends) - context]
        assert most_documents(corpus.train, context) in (inside.max() + 1, inside.max() + 2)


@pytest.mark.parametrize(("ranks", "micro_batch"), [(1, 8), (2, 4), (4, 3)])
def test_validation_text_does_not_depend_on_the_ranks(ranks: int, micro_batch: int) -> None:
    parts = [validation_starts(10_000, 64, 5000, rank=rank, ranks=ranks, micro_batch=micro_batch) for rank in range(ranks)]
    assert len({len(part) for part in parts}) == 1
    starts = np.concatenate(parts)
    assert sorted(starts[starts >= 0].tolist()) == [64 * i for i in range(78)]


def test_targets_of_padding_windows_are_ignored(corpus: TokenDataset) -> None:
    batch = Batches(corpus.train, context=16, windows=1, seed=0).read(np.array([0, -1]))
    assert (batch.targets[1] == -1).all()
    assert (batch.targets[0] >= 0).all()


def test_prefetching_keeps_the_order_and_raises_errors() -> None:
    def make(step: int) -> int:
        if step == 5:
            raise InputError("step 5")
        return step

    prefetcher = Prefetcher(make, 2)
    assert [next(prefetcher) for _ in range(3)] == [2, 3, 4]
    with pytest.raises(InputError, match="step 5"):
        next(prefetcher)
    prefetcher.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_a_folder_without_manifest_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json"):
        TokenDataset.open(tmp_path)
