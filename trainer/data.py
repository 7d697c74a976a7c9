"""From a folder of token shards to the batch of any step on any rank.

- The windows of a step are a function of (seed, step) alone: never of ranks, micro-batches or where a run began.
- An epoch visits every window once, in an order of its own and from an offset of its own.
- Nothing is kept between steps, so that a checkpoint holds no more of the data's state than the step.
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

from tokenizer.errors import FormatError
from tokenizer.shards import Manifest
from tokenizer.stream import Stream
from trainer.config import InputError
from trainer.order import Permutation

Windows = npt.NDArray[np.int64]
T = TypeVar("T")
IGNORED = -1
"""A target that does not count."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """A folder of token shards, opened: the training and validation splits as streams of tokens."""

    manifest: Manifest
    train: Stream
    validation: Stream | None

    @classmethod
    def open(cls, folder: str | Path, *, verify: bool = True) -> Self:
        """Map a folder's shards. Raises InputError for one that is missing, damaged, of another format or without training tokens."""
        try:
            manifest = Manifest.load(folder)
            train = Stream(manifest.open("train", verify=verify))
            kept = manifest.splits.get("validation")
            validation = Stream(manifest.open("validation", verify=verify)) if kept is not None and kept.tokens else None
        except FormatError as error:
            raise InputError(str(error)) from error
        if not len(train):
            raise InputError(f"{folder}: its training split holds no tokens")
        return cls(manifest, train, validation)


@dataclass(frozen=True, slots=True)
class Batch:
    """A micro-batch (B, T): what is read, what comes next, and its documents where they matter.

    Those are each token's document number inside its window, (B, T), or cumulative lengths over the B·T tokens.
    """

    inputs: Tensor
    targets: Tensor
    documents: Tensor | None = None

    def to(self, device: torch.device) -> Self:
        """The same on a device."""
        parts = (self.inputs, self.targets, self.documents)
        return type(self)(*(part if part is None else part.to(device, non_blocking=True) for part in parts))  # type: ignore[arg-type]


class Batches:
    """The windows of `context` + 1 tokens that each step trains on, `windows` of them a step over all ranks.

    With `eot_id` batches say which tokens share a document; `flat` says it as cumulative lengths, of one size for all batches. Raises
    InputError where the stream holds fewer than one window.
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
        self.windows_an_epoch = max(1, (len(stream) - context) // context)
        self._offsets = min(context, spare - self.windows_an_epoch * context + 1)
        self._orders: dict[int, tuple[Permutation, int]] = {}
        self._most_documents = most_documents(stream, context) if flat and eot_id is not None else 0

    def starts(self, step: int) -> Windows:
        """Where in the stream each window of a step begins (step counts from 0)."""
        samples = step * self.windows + np.arange(self.windows)
        epochs = samples // self.windows_an_epoch
        starts = np.empty(self.windows, np.int64)
        for epoch in np.unique(epochs):
            here = epochs == epoch
            order, offset = self._order(int(epoch))
            starts[here] = order(samples[here] % self.windows_an_epoch) * self.context + offset
        return starts

    def micro_batches(self, step: int, *, rank: int = 0, ranks: int = 1, micro_batch: int | None = None) -> list[Batch]:
        """A rank's part of a step: an equal share of its windows, `micro_batch` at a time."""
        share = self.windows // ranks
        if share * ranks != self.windows:
            raise InputError(
                f"{ranks} ranks cannot share {self.windows} windows a step evenly; change --batch-tokens or the ranks"
            )
        mine = self.starts(step)[rank * share : (rank + 1) * share]
        size = micro_batch or share
        return [self.read(mine[i : i + size]) for i in range(0, share, size)]

    def read(self, starts: Windows) -> Batch:
        """The windows that begin there; one at -1 is filler, whose targets do not count."""
        tokens = self.stream.windows(np.maximum(starts, 0), self.context + 1)
        tokens[starts < 0] = 0
        inputs, targets = torch.from_numpy(tokens[:, :-1]), torch.from_numpy(tokens[:, 1:])
        if (starts < 0).any():
            targets = targets.masked_fill(torch.from_numpy(starts < 0)[:, None], IGNORED)
        if self.eot_id is None:
            return Batch(inputs, targets)
        numbers = document_numbers(tokens[:, :-1], self.eot_id)
        documents = cumulative_lengths(numbers, len(starts) * self._most_documents) if self._most_documents else numbers
        return Batch(inputs, targets, torch.from_numpy(documents))

    def _order(self, epoch: int) -> tuple[Permutation, int]:
        if epoch not in self._orders:
            offset = Permutation(self._offsets, self.seed, -1 - epoch)(np.zeros(1))[0]
            self._orders = {epoch: (Permutation(self.windows_an_epoch, self.seed, epoch), int(offset))}
        return self._orders[epoch]


def document_numbers(tokens_BT: npt.NDArray[np.int64], eot_id: int) -> npt.NDArray[np.int64]:
    """For each token how many documents ended before it in its window: [5, 50256, 7, 8] gives [0, 0, 1, 1]."""
    ends = tokens_BT == eot_id
    return np.asarray(np.cumsum(ends, axis=1) - ends, np.int64)


def cumulative_lengths(numbers_BT: npt.NDArray[np.int64], places: int) -> npt.NDArray[np.int32]:
    """Where each document of a micro-batch begins in its B·T tokens read as one row, then B·T up to `places` + 1 numbers.

    No document reaches over two windows: [[0, 0, 1], [0, 0, 0]] with 4 places gives [0, 2, 3, 6, 6].
    """
    begins = np.ones(numbers_BT.shape, bool)
    begins[:, 1:] = numbers_BT[:, 1:] != numbers_BT[:, :-1]
    found = np.flatnonzero(begins)
    lengths = np.full(places + 1, numbers_BT.size, np.int32)
    lengths[: len(found)] = found
    return lengths


def most_documents(stream: Stream, context: int) -> int:
    """The most documents that any window of the stream holds a part of."""
    batches = [batch for shard in stream.shards for batch in shard.batches]
    before = np.cumsum([0, *(len(batch.tokens) for batch in batches)])
    ends = np.concatenate([batch.offsets[1:] + start for batch, start in zip(batches, before, strict=False)])
    return int((np.searchsorted(ends, ends + context) - np.arange(len(ends))).max()) + 1


def validation_starts(tokens: int, context: int, wanted_tokens: int, *, rank: int, ranks: int, micro_batch: int) -> Windows:
    """A rank's windows of a fixed validation text, the same text for any ranks; -1 fills every rank up to equal micro-batches."""
    count = max(1, min(wanted_tokens // context, (tokens - 1) // context))
    rows = -(-count // (ranks * micro_batch)) * ranks * micro_batch
    starts = np.full(rows, -1, np.int64)
    starts[:count] = np.arange(count) * context
    return starts[rank::ranks]


class Prefetched(Generic[T]):
    """Values of `make(first)`, `make(first + 1)` …, made by one thread while those before are used. Close it when done."""

    def __init__(self, make: Callable[[int], T], first: int, *, ahead: int = 2) -> None:
        self._made: queue.Queue[T | BaseException] = queue.Queue(ahead)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(make, first), name="batches", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[T]:
        return self

    def __next__(self) -> T:
        value = self._made.get()
        if isinstance(value, BaseException):
            raise value
        return value

    def close(self) -> None:
        """Stop the thread."""
        self._closed.set()
        while not self._made.empty():
            self._made.get_nowait()
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
                self._made.put(value, timeout=0.1)
            except queue.Full:
                continue
            return
