"""Training data: the micro-batches of any step on any rank, read from a folder of token shards.

- The windows of a step depend only on (seed, step): not on ranks, micro-batches or the step at which a run started.
- An epoch visits every window once. Each epoch has its own order and its own offset.
- There is no state between steps: the step number in a checkpoint is enough to continue.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest
from tokenizer.stream import Stream
from trainer.order import Permutation

__all__ = [
    "IGNORED",
    "Batches",
    "MicroBatch",
    "Prefetcher",
    "TokenDataset",
    "Windows",
    "cumulative_lengths",
    "document_numbers",
    "most_documents",
    "validation_starts",
]

Windows = npt.NDArray[np.int64]
T = TypeVar("T")
IGNORED = -1
"""Target that does not count in the loss."""


@dataclass(frozen=True, slots=True)
class TokenDataset:
    """An open folder of token shards: training and validation split as streams of tokens."""

    manifest: Manifest
    train: Stream
    validation: Stream | None

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> Self:
        """Memory-map a folder's shards. Raises InputError if it is missing, damaged, of another format or empty."""
        try:
            manifest = Manifest.load(folder)
            train = Stream(manifest.open("train", verify=verify))
            split = manifest.splits.get("validation")
            validation = Stream(manifest.open("validation", verify=verify)) if split is not None and split.tokens else None
        except FormatError as error:
            raise InputError(str(error)) from error
        if not len(train):
            raise InputError(f"{folder}: the training split has no tokens; build the corpus from more documents")
        return cls(manifest, train, validation)


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """B windows of T tokens: inputs (B, T), targets (B, T) shifted by one token, and optionally the documents.

    `documents` holds each token's document number within its window, (B, T), or cumulative lengths over the B·T tokens.
    """

    inputs: Tensor
    targets: Tensor
    documents: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        """Copy of the micro-batch on a device."""
        return self.map(lambda part: part.to(device, non_blocking=True))

    def map(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The micro-batch with each tensor changed."""
        documents = None if self.documents is None else change(self.documents)
        return type(self)(change(self.inputs), change(self.targets), documents)

    def tensors(self) -> list[Tensor]:
        """All tensors of the micro-batch."""
        return [part for part in (self.inputs, self.targets, self.documents) if part is not None]


class Batches:
    """Windows of `context` + 1 tokens for each step; `windows` is their number per step over all ranks.

    With `eot_id`, micro-batches carry document numbers; with `flat` too, they carry cumulative lengths instead, whose array has
    the same size in all micro-batches. Raises InputError if the stream is shorter than one window.
    """

    def __init__(
        self, stream: Stream, *, context: int, windows: int, seed: int, eot_id: int | None = None, flat: bool = False
    ) -> None:
        self.stream = stream
        self.context = context
        self.windows = windows
        self.seed = seed
        self.eot_id = eot_id
        spare = len(stream) - 1
        if spare < context:
            raise InputError(f"a context of {context} tokens is longer than the data: {len(stream)} tokens")
        self.windows_per_epoch = max(1, (len(stream) - context) // context)
        self._offsets = min(context, spare - self.windows_per_epoch * context + 1)
        self._orders: dict[int, tuple[Permutation, int]] = {}
        self._most_documents = most_documents(stream, context) if flat and eot_id is not None else 0

    def starts(self, step: int) -> Windows:
        """Position in the stream of each window of a step; steps count from 0."""
        samples = step * self.windows + np.arange(self.windows)
        epochs = samples // self.windows_per_epoch
        starts = np.empty(self.windows, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            order, offset = self._order(int(epoch))
            starts[here] = order(samples[here] % self.windows_per_epoch) * self.context + offset
        return starts

    def micro_batches(self, step: int, *, rank: int = 0, ranks: int = 1, micro_batch: int | None = None) -> list[MicroBatch]:
        """A rank's equal share of a step's windows, in micro-batches of `micro_batch` windows (default: a single one)."""
        share = self.windows // ranks
        if share * ranks != self.windows:
            raise InputError(
                f"{ranks} ranks cannot share {self.windows} windows per step evenly; change --batch-tokens or the number of ranks"
            )
        mine = self.starts(step)[rank * share : (rank + 1) * share]
        size = micro_batch or share
        return [self.read(mine[i : i + size]) for i in range(0, share, size)]

    def read(self, starts: Windows) -> MicroBatch:
        """The windows at these positions. -1 gives a padding window, whose targets do not count."""
        tokens = self.stream.windows(np.maximum(starts, 0), self.context + 1)
        tokens[starts < 0] = 0
        inputs, targets = torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:])
        if (starts < 0).any():
            targets = targets.masked_fill(torch.from_numpy(starts < 0)[:, None], IGNORED)
        if self.eot_id is None:
            return MicroBatch(inputs, targets)
        numbers = document_numbers(tokens[:, :-1], self.eot_id)
        documents = cumulative_lengths(numbers, len(starts) * self._most_documents) if self._most_documents else numbers
        return MicroBatch(inputs, targets, torch.from_numpy(documents))

    def _order(self, epoch: int) -> tuple[Permutation, int]:
        if epoch not in self._orders:
            offset = Permutation(self._offsets, self.seed, -1 - epoch)(np.zeros(1))[0]
            self._orders = {epoch: (Permutation(self.windows_per_epoch, self.seed, epoch), int(offset))}
        return self._orders[epoch]


def document_numbers(tokens_BT: npt.NDArray[np.int64], eot_id: int) -> npt.NDArray[np.int64]:
    """Number of documents that end before each token in its window: [5, 50256, 7, 8] gives [0, 0, 1, 1]."""
    ends = tokens_BT == eot_id
    return np.asarray(np.cumsum(ends, axis=1) - ends, np.int64)


def cumulative_lengths(numbers_BT: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int32]:
    """Start of each document in the B·T tokens of a micro-batch as one row, padded with B·T to `size` + 1 numbers.

    A document ends with its window: [[0, 0, 1], [0, 0, 0]] with size 4 gives [0, 2, 3, 6, 6].
    """
    is_start = np.ones(numbers_BT.shape, bool)
    is_start[:, 1:] = numbers_BT[:, 1:] != numbers_BT[:, :-1]
    starts = np.flatnonzero(is_start)
    lengths = np.full(size + 1, numbers_BT.size, np.int32)
    lengths[: len(starts)] = starts
    return lengths


def most_documents(stream: Stream, context: int) -> int:
    """Largest number of documents that share a window of the stream."""
    batches = [batch for shard in stream.shards for batch in shard.batches]
    before = np.cumsum([0, *(len(batch.tokens) for batch in batches)])
    ends = np.concatenate([batch.offsets[1:] + start for batch, start in zip(batches, before, strict=False)])
    return int((np.searchsorted(ends, ends + context) - np.arange(len(ends))).max()) + 1


def validation_starts(tokens: int, context: int, budget_tokens: int, *, rank: int, ranks: int, micro_batch: int) -> Windows:
    """A rank's share of the validation windows, whose text is the same for any ranks; -1 pads it to full micro-batches."""
    count = max(1, min(budget_tokens // context, (tokens - 1) // context))
    rows = -(-count // (ranks * micro_batch)) * ranks * micro_batch
    starts = np.full(rows, -1, np.int64)
    starts[:count] = np.arange(count) * context
    return starts[rank::ranks]


class Prefetcher(Generic[T]):
    """Iterator over `make(first)`, `make(first + 1)`, …, which a thread computes `ahead` of use. Close it when done.

    An exception that `make` raises is raised by `next`.
    """

    def __init__(self, make: Callable[[int], T], first: int, *, ahead: int = 2) -> None:
        self._values: queue.Queue[T | BaseException] = queue.Queue(ahead)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make, first), name="batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        value = self._values.get()
        if isinstance(value, BaseException):
            raise value
        return value

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        while not self._values.empty():
            self._values.get_nowait()
        self._thread.join()

    def _run(self, make: Callable[[int], T], first: int) -> None:
        step = first
        while not self._closed.is_set():
            try:
                value: T | BaseException = make(step)
            except (ValueError, OSError, InputError, IndexError) as error:
                value = error
            self._offer(value)
            step += 1

    def _offer(self, value: T | BaseException) -> None:
        while not self._closed.is_set():
            try:
                self._values.put(value, timeout=0.1)
            except queue.Full:
                continue
            return
