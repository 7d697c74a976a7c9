"""Batches on their way to the device."""

import torch

from trainer.data import MicroBatch
from trainer.feed import DeviceFeed


def test_a_feed_gives_the_steps_in_order_from_the_first() -> None:
    def make(step: int) -> list[MicroBatch]:
        return [MicroBatch(torch.full((1, 2), step), torch.full((1, 2), -step), torch.tensor([part])) for part in range(2)]

    feed = DeviceFeed(make, 7, torch.device("cpu"))
    try:
        for step in (7, 8, 9):
            batches = next(feed)
            assert [[tensor.flatten()[0].item() for tensor in batch.tensors()] for batch in batches] == [
                [step, -step, 0],
                [step, -step, 1],
            ]
    finally:
        feed.close()


def test_a_micro_batch_without_documents_has_two_tensors() -> None:
    batch = MicroBatch(torch.zeros(1, 2), torch.ones(1, 2))
    assert len(batch.map(lambda part: part + 1).tensors()) == 2
    assert batch.map(lambda part: part + 1).documents is None
