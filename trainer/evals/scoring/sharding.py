"""Several processes share the examples: each scores every n-th, all hold all scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import torch.distributed as dist

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Ranks:
    """This process among its peers; alone by default."""

    rank: int = 0
    world: int = 1

    @classmethod
    def current(cls) -> Self:
        """Of torch's process group, where one is up."""
        if dist.is_available() and dist.is_initialized():
            return cls(dist.get_rank(), dist.get_world_size())
        return cls()

    def mine(self, items: Sequence[T]) -> Sequence[T]:
        """This rank's share."""
        return items[self.rank :: self.world]

    def merge(self, own: Sequence[T]) -> list[T]:
        """Everyone's shares, in the order of the whole."""
        if self.world == 1:
            return list(own)
        shares: list[Sequence[T] | None] = [None] * self.world
        dist.all_gather_object(shares, own)
        whole: list[T | None] = [None] * sum(len(share or ()) for share in shares)
        for rank, share in enumerate(shares):
            whole[rank :: self.world] = share or ()
        return whole  # type: ignore[return-value]  # every place is filled
