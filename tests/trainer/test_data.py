"""The batch of a step: the same for any ranks, every window once an epoch, read without a copy of the file."""

import threading
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from tokenizer.stream import Stream
from trainer.config import InputError
from trainer.data import Batches, Corpus, Prefetched, document_numbers, most_documents, validation_starts


@pytest.fixture(scope="module")
def corpus(corpus_folder: Path) -> Corpus:
    return Corpus.open(corpus_folder)


def whole(stream: Stream) -> np.ndarray:
    tokens = np.empty(len(stream), np.int64)
    stream.read(0, tokens)
    return tokens


def test_every_window_comes_once_an_epoch(corpus: Corpus) -> None:
    batches = Batches(corpus.train, context=64, windows=8, seed=1)
    epoch = batches.windows_an_epoch
    starts = np.concatenate([batches.starts(step) for step in range(epoch // 8)])
    assert len(set(starts.tolist())) == len(starts)
    assert starts.max() + 65 <= len(corpus.train)
    assert len({int(start) % 64 for start in starts}) == 1


def test_epochs_have_their_own_order_and_offset(corpus: Corpus) -> None:
    batches = Batches(corpus.train, context=1024, windows=batches_an_epoch(corpus), seed=1)
    first, second, third = (batches.starts(step) for step in range(3))
    assert (first == second).mean() < 0.05
    assert len({int(starts[0]) % 1024 for starts in (first, second, third)}) > 1


def batches_an_epoch(corpus: Corpus) -> int:
    return Batches(corpus.train, context=1024, windows=1, seed=1).windows_an_epoch


def test_inputs_and_targets_are_the_stream_shifted_by_one(corpus: Corpus) -> None:
    tokens = whole(corpus.train)
    batches = Batches(corpus.train, context=100, windows=4, seed=9)
    (batch,) = batches.micro_batches(3)
    for row, start in enumerate(batches.starts(3)):
        assert batch.inputs[row].tolist() == tokens[start : start + 100].tolist()
        assert batch.targets[row].tolist() == tokens[start + 1 : start + 101].tolist()


@pytest.mark.parametrize(("ranks", "micro_batch"), [(1, 3), (2, 2), (4, 1), (3, 4)])
def test_the_global_batch_is_the_same_for_any_ranks_and_micro_batches(corpus: Corpus, ranks: int, micro_batch: int) -> None:
    batches = Batches(corpus.train, context=32, windows=12, seed=2)
    (expected,) = batches.micro_batches(5)
    parts = [part for rank in range(ranks) for part in batches.micro_batches(5, rank=rank, ranks=ranks, micro_batch=micro_batch)]
    assert torch.equal(torch.cat([part.inputs for part in parts]), expected.inputs)


def test_uneven_shares_are_refused(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="3 ranks cannot share 8 windows"):
        Batches(corpus.train, context=32, windows=8, seed=2).micro_batches(0, ranks=3)


def test_a_context_longer_than_the_data_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InputError, match="longer than the data"):
        Batches(corpus.train, context=10**9, windows=1, seed=1)


def test_the_smallest_stream_is_one_window(corpus: Corpus) -> None:
    batches = Batches(corpus.train, context=len(corpus.train) - 1, windows=2, seed=1)
    assert batches.starts(0).tolist() == [0, 0]


def test_shards_are_mapped_not_read(corpus_folder: Path) -> None:
    before = pa.total_allocated_bytes()
    corpus = Corpus.open(corpus_folder)
    assert pa.total_allocated_bytes() == before
    places = [span(line) for line in Path("/proc/self/maps").read_text().splitlines() if str(corpus_folder) in line]
    for shard in corpus.train.shards:
        for batch in shard.batches:
            address = batch.tokens.ctypes.data
            assert any(low <= address and address + batch.tokens.nbytes <= high for low, high in places)


def span(line: str) -> tuple[int, int]:
    low, high = line.split()[0].split("-")
    return int(low, 16), int(high, 16)


def test_documents_are_numbered_inside_a_window() -> None:
    assert document_numbers(np.array([[5, 9, 7, 8, 9, 9]]), 9).tolist() == [[0, 0, 1, 1, 1, 2]]


@pytest.mark.parametrize("context", [32, 700])
def test_cumulative_lengths_are_the_block_diagonal_mask(corpus: Corpus, context: int) -> None:
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
    assert len(sizes) == 1, "one size for all batches: nothing recompiles"
    assert most < sizes.pop()


def test_the_most_documents_of_a_window_are_found(corpus: Corpus) -> None:
    tokens = whole(corpus.train)
    ends = np.concatenate([[0], np.cumsum(tokens == corpus.manifest.eot_id)])
    for context in (16, 5000):
        inside = (
            ends[context - 1 : -1] - ends[: len(ends) - context]
        )  # an end of text that is a window's last token opens nothing
        assert most_documents(corpus.train, context) in (inside.max() + 1, inside.max() + 2)


@pytest.mark.parametrize(("ranks", "micro_batch"), [(1, 8), (2, 4), (4, 3)])
def test_validation_reads_the_same_text_on_any_ranks(ranks: int, micro_batch: int) -> None:
    parts = [validation_starts(10_000, 64, 5000, rank=rank, ranks=ranks, micro_batch=micro_batch) for rank in range(ranks)]
    assert len({len(part) for part in parts}) == 1
    starts = np.concatenate(parts)
    assert sorted(starts[starts >= 0].tolist()) == [64 * i for i in range(78)]


def test_filler_does_not_count(corpus: Corpus) -> None:
    batch = Batches(corpus.train, context=16, windows=1, seed=0).read(np.array([0, -1]))
    assert (batch.targets[1] == -1).all()
    assert (batch.targets[0] >= 0).all()


def test_prefetching_keeps_the_order_and_hands_errors_on() -> None:
    def make(step: int) -> int:
        if step == 5:
            raise InputError("step 5")
        return step

    prefetched = Prefetched(make, 2)
    assert [next(prefetched) for _ in range(3)] == [2, 3, 4]
    with pytest.raises(InputError, match="step 5"):
        next(prefetched)
    prefetched.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "batches"]


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"manifest\.json"):
        Corpus.open(tmp_path)
