"""Micro-batches on their way to the device, one step ahead of use."""

from collections.abc import Callable
from typing import Self

import torch

from trainer.data import MicroBatch, Prefetcher


class DeviceFeed:
    """Iterator over the micro-batches of `make(first)`, `make(first + 1)`, … on a device. Close it when done.

    A thread makes them ahead of use. For a GPU it puts them into pinned memory, and while a step runs, a stream of its own copies
    the next step's: a copy from pageable memory would hold up both the host and the GPU.
    """

    def __init__(self, make: Callable[[int], list[MicroBatch]], first: int, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]
        self._source = Prefetcher(make if self._stream is None else lambda step: [pinned(batch) for batch in make(step)], first)
        self._ahead: list[MicroBatch] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> list[MicroBatch]:
        if self._stream is None:
            return next(self._source)
        here = torch.cuda.current_stream(self._device)
        batches = self._ahead or self._copies(self._stream)
        here.wait_stream(self._stream)  # the copies of these batches were begun a step ago
        for batch in batches:
            for part in batch.tensors():
                part.record_stream(here)
        self._ahead = self._copies(self._stream)
        return batches

    def close(self) -> None:
        """Stop the thread."""
        self._source.close()

    def _copies(self, stream: torch.cuda.Stream) -> list[MicroBatch]:
        with torch.cuda.stream(stream):
            return [batch.to(self._device) for batch in next(self._source)]


def pinned(batch: MicroBatch) -> MicroBatch:
    """The micro-batch in memory that the GPU can copy from by itself."""
    return batch.map(lambda part: part.pin_memory())
