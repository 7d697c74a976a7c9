"""Restarted ranks find each other, and never the ranks of an earlier start."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import torch.distributed as dist

from trainer.distributed import fresh_store


def start(store: dist.Store, ranks: int) -> list[dist.Store]:
    """Start all ranks at once, one thread each."""
    with ThreadPoolExecutor(ranks) as threads:
        return list(threads.map(lambda rank: fresh_store(store, rank, ranks), range(ranks)))


def test_a_start_reads_nothing_from_an_earlier_start() -> None:
    shared = dist.HashStore()
    for _ in range(20):
        stores = start(shared, 4)
        assert not any(store.check(["address"]) for store in stores)
        stores[1].set("address", "address of an earlier start")
        assert all(store.get("address") == b"address of an earlier start" for store in stores)


def test_an_incomplete_start_does_not_disturb_the_next() -> None:
    shared = dist.HashStore()
    with ThreadPoolExecutor(2) as threads:
        first, second = (threads.submit(fresh_store, shared, rank, 3, timedelta(seconds=0.2)) for rank in (0, 1))
    assert second.exception() is None
    with pytest.raises(RuntimeError, match=r"ranks \[2\] did not start"):
        first.result()
    stores = start(shared, 3)
    assert not any(store.check(["address"]) for store in stores)
    stores[2].set("address", "address of this start")
    assert stores[0].get("address") == b"address of this start"
