"""`webtext-train rehearse`: a step of one rank among many, in one process, with fake tensors and a group of fake peers.

It gives the collectives that a step sends and the most memory that a rank holds, beside what a closed formula says of both.
"""

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

from trainer.config import InputError, TrainConfig
from trainer.distributed import World, share
from trainer.flags import with_given
from trainer.loss import chunk_rows
from trainer.model import GPT
from trainer.optim import Guard, Optimizer
from trainer.presets import PRESETS, RECIPES

DEBUG = True
COLLECTIVES = {
    "c10d.allreduce_": "all-reduce",
    "_c10d_functional.all_reduce": "all-reduce",
    "c10d._allgather_base_": "all-gather",
    "c10d._reduce_scatter_base_": "reduce-scatter",
}


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a step of a rank sends, by kind, and the most bytes of tensors that it holds."""

    collectives: dict[str, int]
    peak_bytes: int


def main(arguments: Namespace) -> int:
    """Rehearse a preset's step of one micro-batch and print what came out. Raises InputError for a recipe that is none."""
    if arguments.ranks < 2:
        raise InputError(f"--ranks {arguments.ranks}: at least 2")
    config = with_given(RECIPES[arguments.recipe](PRESETS[arguments.preset]()), arguments)
    config = replace(config, precision="bf16" if config.precision == "auto" else config.precision)
    found = rehearse(config, arguments.ranks)
    sent = ", ".join(f"{count} {kind}" for kind, count in found.collectives.items())
    sys.stdout.write(
        f"{arguments.preset} over {arguments.ranks:,} ranks by {config.strategy}, {config.micro_batch} windows a micro-batch\n"
        f"a step sends: {sent}\n"
        f"a rank holds at most {found.peak_bytes / 2**30:.2f} GiB of tensors, uncompiled; "
        f"GPT-2's own recipe by formula {peak_bytes(config, arguments.ranks) / 2**30:.2f}\n"
    )
    return 0


def peak_bytes(config: TrainConfig, ranks: int) -> int:
    """The closed formula for GPT-2 in bf16 over fp32 weights without recomputation: the moment when the last chunk of the loss is made.

    Weights, gradients and two moments are 16 bytes a parameter, in pieces under FSDP. A token leaves in each block its two normalised
    inputs and outputs, queries, keys, values and what was gathered, and four times the width before and after GELU.
    """
    model, split = config.model, config.strategy == "fsdp"
    width, layers, rows = model.width, model.layers, model.padded_rows
    tokens = config.micro_batch * model.context
    stream = 2 if split else 4  # bytes of a number of the residual stream: FSDP's weights, and so its embeddings, are bf16
    state = 16 * model.parameters // (ranks if split else 1)
    matrices = 12 * width**2
    cast = 2 * (matrices + (model.vocabulary + model.context) * width) if split else 2 * layers * matrices
    kept = tokens * layers * ((2 * stream + 28) * width + 4 * model.heads + 16) + tokens * width * stream
    chunk = min(chunk_rows(tokens, rows, "cpu"), tokens)
    head = 6 * tokens * width + (2 + 4 + 2) * rows * width + (2 + 4) * chunk * rows
    return state + cast + kept + head


def rehearse(config: TrainConfig, ranks: int) -> Rehearsal:
    """A step of one micro-batch on the first of so many ranks."""
    world = World(0, ranks)
    with ExitStack() as stack:
        stack.enter_context(_fake_group(ranks))
        mesh = init_device_mesh("cpu", (ranks,))
        stack.enter_context(FakeTensorMode())
        held = stack.enter_context(_Held())
        model = GPT(config.model)
        shared = share(model, world, config.strategy, bf16=config.precision == "bf16", mesh=mesh, begin_alike=False)
        arrived: list[Tensor] = []
        if isinstance(shared, DistributedDataParallel):
            shared.register_comm_hook(None, _reduce)
            for parameter in model.parameters():
                parameter.register_post_accumulate_grad_hook(arrived.append)  # type: ignore[no-untyped-call]
        optimizer, guard = Optimizer(model, config), Guard(config.spike_sigmas, world.device)
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        _update(model, optimizer, guard, config)  # makes the moments, and DTensor's notes on each product, which are no memory
        optimizer.zero_grad()
        held.collectives.clear()
        held.peak = held.live
        tokens = torch.zeros((config.micro_batch, config.model.context), dtype=torch.long)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.precision == "bf16"):
            loss = shared(tokens, tokens)
        loss.backward()
        _update(model, optimizer, guard, config)
        if isinstance(shared, DistributedDataParallel):
            held.collectives["all-reduce"] += _buckets(shared, arrived) - 1
        return Rehearsal(dict(held.collectives), held.peak)


def _update(model: GPT, optimizer: Optimizer, guard: Guard, config: TrainConfig) -> None:
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip, foreach=True)
    optimizer.step(1.0, guard.judge(norm.full_tensor() if isinstance(norm, DTensor) else norm))


def _reduce(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
    """What DDP does by itself, but for the fake group's answer, which holds no tensor."""
    dist.all_reduce(bucket.buffer())
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(bucket.buffer())
    return done


def _buckets(shared: DistributedDataParallel, arrived: list[Tensor]) -> int:
    """From its second step on DDP sends gradients as they arrive, in buckets; in its first, which was rehearsed, in one."""
    limits = [dist._DEFAULT_FIRST_BUCKET_BYTES, shared.bucket_bytes_cap]  # type: ignore[attr-defined]
    found, _ = dist._compute_bucket_assignment_by_size(arrived, limits)  # type: ignore[attr-defined]
    return len(found)


@contextmanager
def _fake_group(ranks: int) -> Iterator[None]:
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=ranks)
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Held(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts collectives and the bytes of living tensors."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.collectives: Counter[str] = Counter()
        self.live = self.peak = 0
        self._sizes: Any = WeakIdKeyDictionary()

    def __enter__(self) -> "_Held":
        resize = self._resize = torch.UntypedStorage.resize_

        def noted(storage: torch.UntypedStorage, size: int) -> torch.UntypedStorage:
            resize(storage, size)
            self._note(storage)
            return storage

        torch.UntypedStorage.resize_ = noted  # type: ignore[method-assign,assignment]
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
