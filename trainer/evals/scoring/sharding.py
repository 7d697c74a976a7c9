"""Share examples among the ranks of a process group: each rank works every n-th example, and all ranks receive all results."""

from collections.abc import Callable, Iterable, Sequence
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

    def gather(self, work: Callable[[], Iterable[T]]) -> list[T]:
        """The results of all ranks' `work`, in the order before `shard`. Every rank must call it.

        What `work` raises on one rank is raised on all: otherwise the others would wait for that rank's results for ever.
        Ranks whose own work succeeded raise RankError.
        """
        if self.ranks == 1:
            return list(work())
        fault: Exception | None = None
        mine: list[T] = []
        try:
            mine = list(work())
        except Exception as error:  # noqa: BLE001 (raised below, after the exchange)
            fault = error
        shards: list[tuple[list[T], str | None] | None] = [None] * self.ranks
        dist.all_gather_object(shards, (mine, None if fault is None else f"{type(fault).__name__}: {fault}"))
        if fault is not None:
            raise fault
        received = [shard for shard in shards if shard is not None]
        for rank, (_, other) in enumerate(received):
            if other is not None:
                raise RankError(f"rank {rank}: {other}")
        items: list[T | None] = [None] * sum(len(shard) for shard, _ in received)
        for rank, (shard, _) in enumerate(received):
            items[rank :: self.ranks] = shard
        return items  # type: ignore[return-value]  # every element is set


class RankError(RuntimeError):
    """Work failed on another rank."""
