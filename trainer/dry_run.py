"""`webtext-train rehearse`: dry run of a training step on many ranks, in one process with fake tensors and fake peers.

It counts the collectives that a step sends and a rank's peak memory, and compares the memory with a closed formula.
"""

import math
import sys
import weakref
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

from tokenizer.errors import InputError
from trainer.config import TrainConfig
from trainer.distributed import World, divides_network, gradient_sync, parallelize, shard
from trainer.flags import apply_flags
from trainer.memory import peak_bytes, resolve_strategy
from trainer.model import GPT
from trainer.optim import GradientGuard, Optimizer, gradient_type
from trainer.presets import PRESETS, RECIPES

MOST_RANKS = 1_000_000
COLLECTIVES = {
    "c10d.allreduce_": "all-reduce",
    "_c10d_functional.all_reduce": "all-reduce",
    "c10d._allgather_base_": "all-gather",
    "c10d._reduce_scatter_base_": "reduce-scatter",
    "c10d.alltoall_base_": "all-to-all",
}


@dataclass(frozen=True, slots=True)
class DryRun:
    """Collectives that a rank sends per step, by kind, and the peak size of its tensors."""

    collectives: dict[str, int]
    peak_bytes: int


def main(arguments: Namespace) -> int:
    """Dry-run a preset's step and print the result. Raises InputError for an invalid recipe."""
    if not 2 <= arguments.ranks <= MOST_RANKS:
        raise InputError(f"--ranks {arguments.ranks}: must be from 2 to {MOST_RANKS:,}")
    config = apply_flags(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments)
    config = replace(config, precision="bf16" if config.precision == "auto" else config.precision)
    config = resolve_strategy(config, arguments.ranks, arguments.memory_gib << 30)
    result = dry_run(config, arguments.ranks)
    collectives = ", ".join(f"{count} {kind}" for kind, count in result.collectives.items())
    sys.stdout.write(
        f"{arguments.preset} on {arguments.ranks:,} ranks by {config.strategy}, {config.micro_batch} windows per micro-batch, "
        f"micro-batches per step: {config.micro_batches(arguments.ranks):,}\n"
        f"collectives per step: {collectives}\n"
        f"peak memory of a rank: {result.peak_bytes / 2**30:.2f} GiB of tensors, uncompiled; "
        f"the formula for GPT-2's recipe gives {peak_bytes(config, arguments.ranks) / 2**30:.2f} GiB\n"
    )
    return 0


def dry_run(config: TrainConfig, ranks: int) -> DryRun:
    """Result of a step on rank 0 of `ranks`. Of the micro-batches before the last, which are all alike, it runs one."""
    world = World(0, ranks)
    with ExitStack() as stack:
        stack.enter_context(_fake_group(ranks))
        mesh = init_device_mesh("cpu", (ranks,))
        stack.enter_context(FakeTensorMode())
        tracker = stack.enter_context(_Tracker())
        model = GPT(config.model)
        model.recompute_blocks(config.recompute)
        model.loss_rows, model.fp32_stream = config.loss_rows, config.fp32_stream
        accumulates, bf16 = config.micro_batches(ranks) > 1, config.precision == "bf16"
        if divides_network(config.strategy, world):
            shard(model, world, bf16=bf16, accumulates=accumulates, gradient_type=gradient_type(config), mesh=mesh)
        network = parallelize(model, world, config.strategy, bf16=bf16, mesh=mesh, init_sync=False)
        order: list[Tensor] = []
        if isinstance(network, DistributedDataParallel):
            network.register_comm_hook(None, _reduce)
            for parameter in model.parameters():
                parameter.register_post_accumulate_grad_hook(order.append)  # type: ignore[no-untyped-call]
        optimizer, guard = Optimizer(model, config), GradientGuard(config.spike_sigmas, world.device)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        _update(
            model, optimizer, guard, config
        )  # creates the moments, and DTensor's entries about each operation, which are not the step's memory
        optimizer.zero_grad()
        tracker.collectives.clear()
        tracker.peak = tracker.live
        tokens = torch.zeros((config.micro_batch, config.model.context), dtype=torch.long)
        for last in (False, True) if accumulates else (True,):
            order.clear()
            with gradient_sync(network, enabled=last):
                with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                    loss = network(tokens, tokens)
                loss.backward()
            del loss
        _update(model, optimizer, guard, config)
        if isinstance(network, DistributedDataParallel):
            tracker.collectives["all-reduce"] += _count_buckets(network, order) - 1
        return DryRun(dict(tracker.collectives), tracker.peak)


def _update(model: GPT, optimizer: Optimizer, guard: GradientGuard, config: TrainConfig) -> None:
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip or math.inf, foreach=True)
    optimizer.step(1.0, guard.judge(norm.full_tensor() if isinstance(norm, DTensor) else norm))


def _reduce(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """DDP's default reduction. The fake group's own result would contain no tensor."""
    dist.all_reduce(bucket.buffer())
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


def _count_buckets(network: DistributedDataParallel, order: list[Tensor]) -> int:
    """Number of gradient buckets from DDP's second step on. Its first step, which the dry run executes, sends a single bucket."""
    limits = [dist._DEFAULT_FIRST_BUCKET_BYTES, network.bucket_bytes_cap]  # type: ignore[attr-defined]
    buckets, _ = dist._compute_bucket_assignment_by_size(order, limits)  # type: ignore[attr-defined]
    return len(buckets)


@contextmanager
def _fake_group(ranks: int) -> Iterator[None]:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Tracker(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts collectives, and the bytes of live tensors and their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.collectives: Counter[str] = Counter()
        self.live = self.peak = 0
        self._sizes: Any = WeakIdKeyDictionary()

    def __enter__(self) -> "_Tracker":
        resize = self._resize = torch.UntypedStorage.resize_

        def resize_and_note(storage: torch.UntypedStorage, size: int) -> torch.UntypedStorage:
            resize(storage, size)
            self._note(storage)
            return storage

        torch.UntypedStorage.resize_ = resize_and_note  # type: ignore[method-assign,assignment]
        return super().__enter__()  # type: ignore[no-untyped-call,no-any-return]

    def __exit__(self, *error: Any) -> None:
        torch.UntypedStorage.resize_ = self._resize  # type: ignore[method-assign]
        super().__exit__(*error)  # type: ignore[no-untyped-call]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if any(issubclass(kind, DTensor) for kind in types):
            return NotImplemented
        self.collectives.update(kind for name, kind in COLLECTIVES.items() if str(func).startswith(f"{name}."))
        result = func(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, Tensor):
                self._note(value.untyped_storage())
        return result

    def _note(self, storage: torch.UntypedStorage) -> None:
        if storage not in self._sizes:
            self._sizes[storage] = size = [0]
            weakref.finalize(storage, self._forget, size)
        size = self._sizes[storage]
        self.live += storage.nbytes() - size[0]
        size[0] = storage.nbytes()
        self.peak = max(self.peak, self.live)

    def _forget(self, size: list[int]) -> None:
        self.live -= size[0]
