"""Ranks that start again meet each other, never the dead."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from trainer.distributed import fresh_store


def start(store: dist.Store, ranks: int) -> list[dist.Store]:
    """All ranks at once, a thread each."""
    with ThreadPoolExecutor(ranks) as threads:
        return list(threads.map(lambda rank: fresh_store(store, rank, ranks), range(ranks)))


def test_a_start_reads_nothing_that_an_earlier_one_wrote() -> None:
    kept = dist.HashStore()
    for _ in range(20):
        stores = start(kept, 4)
        assert not any(store.check(["address"]) for store in stores)
        stores[1].set("address", "of one that dies")
        assert all(store.get("address") == b"of one that dies" for store in stores)


def test_a_start_that_died_half_way_leaves_nothing_to_trip_over() -> None:
    kept = dist.HashStore()
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(fresh_store, kept, rank, 3, timedelta(seconds=0.2)) for rank in (0, 1))
    assert second.exception() is None
    with pytest.raises(RuntimeError, match=r"ranks \[2\] did not start"):
        first.result()
    stores = start(kept, 3)
    assert not any(store.check(["address"]) for store in stores)
    stores[2].set("address", "of the living")
    assert stores[0].get("address") == b"of the living"
