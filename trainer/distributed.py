"""Ranks: numbering, process group, parallelism of the network, and a flag they share."""

import logging
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.rendezvous import rendezvous

from tokenizer.errors import InputError
from trainer.model import GPT

log = logging.getLogger(__name__)

TIMEOUT = timedelta(minutes=30)
"""How long a rank waits for others: longer than the first compilation and the first check of a large corpus take."""


@dataclass(frozen=True, slots=True)
class World:
    """This process's rank, the number of ranks, and its device."""

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def device_description(self) -> str:
        """The GPU's name, or for example `CPU, AVX512, 2 threads`: all that decides the last digits of losses."""
        if self.device.type == "cuda":
            return torch.cuda.get_device_name(self.device)
        threads = torch.get_num_threads()
        return f"CPU, {torch.backends.cpu.get_cpu_capability()}, {threads} thread{'s' if threads > 1 else ''}"

    @property
    def first(self) -> bool:
        """Whether this is rank 0, which writes the log and the terminal's output."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Sum of a small tensor over all ranks, in place."""
        if self.ranks > 1:
            dist.all_reduce(values)
        return values

    def from_first(self, number: int) -> int:
        """The number that rank 0 gives, on all ranks."""
        value = torch.tensor(number, dtype=torch.int64)
        if self.ranks > 1:
            dist.broadcast(value, 0)
        return int(value.item())

    def wait(self) -> None:
        """Wait until all ranks call this."""
        if self.ranks > 1:
            dist.barrier()


def environment(device: str) -> World:
    """World of this process from torchrun's environment variables. Creates no process group and allocates no GPU memory."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    rank, ranks, local_rank = (int(os.environ.get(name, default)) for name, default in zip(names, ("0", "1", "0"), strict=True))
    kind = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: torch finds no GPU; use --device cpu or --device auto")
    return World(rank, ranks, local_rank, torch.device(kind, local_rank) if kind == "cuda" else torch.device(kind))


@contextmanager
def process_group(world: World) -> Iterator[None]:
    """Connect all ranks in one process group while the block runs."""
    if world.device.type == "cuda":
        torch.cuda.set_device(world.device)
    if world.ranks == 1:
        yield
        return
    if os.environ.get("LOCAL_WORLD_SIZE") == os.environ.get("WORLD_SIZE"):
        listen_on_loopback()
    torchrun_store, rank, ranks = next(rendezvous("env://"))
    store = fresh_store(torchrun_store, rank, ranks)
    on_gpu = world.device.type == "cuda"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if on_gpu else "gloo",
        store=store,
        rank=rank,
        world_size=ranks,
        timeout=TIMEOUT,
        device_id=world.device if on_gpu else None,
    )
    try:
        yield
    finally:
        dist.destroy_process_group()


def listen_on_loopback() -> None:
    """Let the ranks of one machine talk over its loopback interface, unless the user has chosen another."""
    names = [name for _, name in socket.if_nameindex() if name in ("lo", "lo0")]
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME") if names else ():
        os.environ.setdefault(variable, names[0])


def fresh_store(store: Store, rank: int, ranks: int, within: timedelta = TIMEOUT) -> Store:
    """A namespace of the store that no earlier start of these ranks has written to. All ranks call this together.

    torchrun keeps one store across restarts (--max-restarts). Entries of dead processes remain in it: Gloo would connect to their
    addresses, and NCCL would join with their id. So rank 0 invents a name for this start and announces it to each rank that
    registers, until that rank confirms. The restart count cannot serve as the name because each node counts its own restarts.
    """
    if rank > 0:
        me = uuid4().hex
        store.set(f"here/{rank}", me)
        start = store.get(f"start/{me}").decode()
        store.set(f"heard/{start}/{rank}", "")
        return PrefixStore(start, store)
    start, missing, deadline = uuid4().hex, set(range(1, ranks)), time.monotonic() + within.total_seconds()
    while missing:
        for other in [other for other in missing if store.check([f"here/{other}"])]:
            store.set(f"start/{store.get(f'here/{other}').decode()}", start)
        missing -= {other for other in missing if store.check([f"heard/{start}/{other}"])}
        if time.monotonic() > deadline:
            raise RuntimeError(f"ranks {sorted(missing)} did not start within {within}")
        time.sleep(0.01)
    return PrefixStore(start, store)


def parallelize(
    model: GPT, world: World, strategy: str, *, bf16: bool, mesh: DeviceMesh | None = None, init_sync: bool = True
) -> nn.Module:
    """The network as each rank runs it: unchanged on a single rank, replicated (DDP), or as `shard` has left it (FSDP2).

    With `init_sync`, DDP broadcasts rank 0's weights.
    """
    if divides_network(strategy, world):
        return model if isinstance(model, FSDPModule) else shard(model, world, bf16=bf16, mesh=mesh)
    if world.ranks == 1:
        return model
    ids = [world.local_rank] if world.device.type == "cuda" else None
    return nn.parallel.DistributedDataParallel(
        model, device_ids=ids, gradient_as_bucket_view=True, forward_sync_buffers=False, init_sync=init_sync
    )


def divides_network(strategy: str, world: World) -> bool:
    """Whether ranks hold shards of the network: one rank alone holds it whole."""
    return strategy == "fsdp" and world.ranks > 1


def shard(
    model: GPT,
    world: World,
    *,
    bf16: bool,
    accumulates: bool = False,
    gradient_type: torch.dtype | None = None,
    mesh: DeviceMesh | None = None,
) -> nn.Module:
    """The network under FSDP2, which gathers one block at a time.

    With `accumulates` (several micro-batches per step), gathered weights stay until the step's last micro-batch: one gathering
    per step, instead of two per micro-batch. Gradients accumulate and are summed over ranks in `gradient_type`, by default the
    weights' own.
    """
    mesh = mesh or init_device_mesh(world.device.type, (world.ranks,))
    reduce_dtype = gradient_type or next(model.blocks.parameters()).dtype
    policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16 if bf16 else None, reduce_dtype=reduce_dtype)
    for block in model.blocks:
        fully_shard(block, mesh=mesh, mp_policy=policy, reshard_after_forward=not accumulates)
    for embedding in model.embeddings if model.config.bf16_embeddings else ():
        fully_shard(embedding, mesh=mesh, mp_policy=policy)  # a group of FSDP's has weights of one type
    fully_shard(model, mesh=mesh, mp_policy=policy)
    return model


def reshard(model: nn.Module) -> None:
    """Free the weights that FSDP has gathered: afterwards, parameters are shards again."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@contextmanager
def gradient_sync(model: nn.Module, *, enabled: bool) -> Iterator[None]:
    """Let backward passes in the block exchange gradients only if `enabled`: once per step, in its last micro-batch."""
    if isinstance(model, nn.parallel.DistributedDataParallel):
        if enabled:
            yield
        else:
            with model.no_sync():
                yield
        return
    if isinstance(model, FSDPModule):
        model.set_requires_gradient_sync(enabled)
        model.set_reshard_after_backward(enabled)
        model.set_is_last_backward(enabled)
    yield


class SharedFlag:
    """A flag that any rank can set and that all ranks see at the same step, one step later, so that no rank waits."""

    def __init__(self, world: World) -> None:
        self._group = dist.new_group(backend="gloo") if world.ranks > 1 else None
        self._pending: tuple[Tensor, dist.Work | None] | None = None

    def exchange(self, value: bool) -> bool:
        """Send this rank's value; return whether any rank sent True in the previous exchange."""
        previous = False
        if self._pending is not None:
            flag, work = self._pending
            if work is not None:
                work.wait()
            previous = bool(flag.item())
        flag = torch.tensor(int(value))
        self._pending = (
            flag,
            dist.all_reduce(flag, dist.ReduceOp.MAX, group=self._group, async_op=True) if self._group else None,
        )
        return previous
