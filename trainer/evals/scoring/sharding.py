"""Share examples among the ranks of a process group: each rank works every n-th example, and all ranks receive all results."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExampleSharding:
    """This rank's share of the examples; without a process group, all of the examples."""

    rank: int = 0
    ranks: int = 1

    @classmethod
    def current(cls) -> Self:
        """Sharding over torch's process group, if one is initialized."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def shard(self, items: Sequence[T]) -> Sequence[T]:
        """Items of this rank."""
        return items[self.rank :: self.ranks]

    def gather(self, shard: Sequence[T]) -> list[T]:
        """Items of all ranks, in the order before `shard`. Every rank must call it."""
        if self.ranks == 1:
            return list(shard)
        shards: list[Sequence[T] | None] = [None] * self.ranks
        dist.all_gather_object(shards, shard)
        items: list[T | None] = [None] * sum(len(each or ()) for each in shards)
        for rank, each in enumerate(shards):
            items[rank :: self.ranks] = each or ()
        return items  # type: ignore[return-value]  # every element is set
