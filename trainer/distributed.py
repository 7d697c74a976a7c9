"""Ranks: who they are, how they share the network, and how they agree to stop."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.rendezvous import rendezvous

from trainer.config import InputError
from trainer.model import GPT

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class World:
    """This process among its peers, as torchrun numbers them, and the device that it computes on."""

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def arithmetic(self) -> str:
        """What computes: `CPU, AVX512, 2 threads`, or the GPU's name. On another the same losses differ in their last digits."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        threads = torch.get_num_threads()
        return f"CPU, {torch.backends.cpu.get_cpu_capability()}, {threads} thread{'s' if threads > 1 else ''}"

    @property
    def first(self) -> bool:
        """Whether this rank writes the log and speaks to the terminal."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all ranks of a small tensor."""
        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.ranks > 1:
            dist.barrier()


def environment(device: str) -> World:
    """Where torchrun put this process; no process group is made and no GPU memory taken yet."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    rank, ranks, local_rank = (int(os.environ.get(name, default)) for name, default in zip(names, ("0", "1", "0"), strict=True))
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: no GPU is to be seen; --device cpu or auto")
    return World(rank, ranks, local_rank, torch.device(kind, local_rank) if kind == "cuda" else torch.device(kind))


@contextmanager
def joined(world: World) -> Iterator[None]:
    """All ranks in one process group while the block runs."""
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
    if world.ranks == 1:
        yield
        return
    torchrun_store, rank, ranks = next(rendezvous("env://"))
    store = fresh_store(torchrun_store, rank, ranks)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if world.device.type == "cuda" else "gloo", store=store, rank=rank, world_size=ranks
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def fresh_store(store: Store, rank: int, ranks: int, within: timedelta = timedelta(minutes=30)) -> Store:
    """A part of the store that no earlier start of these ranks wrote to; all ranks call this together.

    torchrun keeps one store over its restarts (--max-restarts), and what the dead wrote is still in it: Gloo would call their
    addresses, NCCL join by their id. So the first rank names this start, and tells it to each rank that says it is here until that one
    has heard. The count of restarts would not do as a name: each node counts its own.
    """
    if rank > 0:
        me = uuid4().hex
        store.set(f"here/{rank}", me)
        start = store.get(f"start/{me}").decode()
        store.set(f"heard/{start}/{rank}", "")
        return PrefixStore(start, store)
    start, awaited, deadline = uuid4().hex, set(range(1, ranks)), time.monotonic() + within.total_seconds()
    while awaited:
        for other in [other for other in awaited if store.check([f"here/{other}"])]:
            store.set(f"start/{store.get(f'here/{other}').decode()}", start)
        awaited -= {other for other in awaited if store.check([f"heard/{start}/{other}"])}
        if time.monotonic() > deadline:
            raise RuntimeError(f"ranks {sorted(awaited)} did not start within {within}")
        time.sleep(0.01)
    return PrefixStore(start, store)


def share(
    model: GPT, world: World, strategy: str, *, bf16: bool, mesh: DeviceMesh | None = None, begin_alike: bool = True
) -> nn.Module:
    """The network as each rank runs it: itself alone, replicated (DDP) or split (FSDP2). DDP sends the first rank's weights to all."""
    if strategy == "fsdp" and world.ranks > 1:
        return split(model, bf16=bf16, mesh=mesh)
    if world.ranks == 1:
        return model
    ids = [world.local_rank] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        model, device_ids=ids, gradient_as_bucket_view=True, forward_sync_buffers=False, init_sync=begin_alike
    )


def split(model: GPT, *, bf16: bool, mesh: DeviceMesh | None = None) -> nn.Module:
    """FSDP2: a block at a time is gathered, the rest stays in pieces. Gradients are summed in fp32 whatever is computed in."""
    wide = next(model.parameters()).dtype
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16 if bf16 else None, reduce_dtype=wide)
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


@contextmanager
def accumulating(model: nn.Module, *, last: bool) -> Iterator[None]:
    """Gradients are exchanged in the last micro-batch of a step only."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        if last:
            yield
        else:
            with model.no_sync():
                yield
        return
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(last)
    yield


class Agreement:
    """One bit that any rank may raise and all learn of at the same step, a step late, so that nobody waits."""

    def __init__(self, world: World) -> None:
        self._group = dist.new_group(backend="gloo") if world.ranks > 1 else None
        self._pending: tuple[Tensor, dist.Work | None] | None = None

    def exchange(self, raised: bool) -> bool:
        """Tell the others; give what all had said the last time."""
        agreed = False
        if self._pending is not None:
            flag, work = self._pending
            if work is not None:
                work.wait()
            agreed = bool(flag.item())
        flag = torch.tensor(int(raised))
        self._pending = (
            flag,
            dist.all_reduce(flag, dist.ReduceOp.MAX, group=self._group, async_op=True) if self._group else None,
        )
        return agreed
