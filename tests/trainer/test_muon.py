"""Muon on several ranks: equal to the redundant form, in few collectives, each rank with its share of the products."""

from collections.abc import Callable

import pytest
import torch
import torch._dynamo.testing
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import DTensor, Shard, distribute_tensor

from trainer.matrix_shares import apply_to_matrices
from trainer.muon import Muon, orthogonalize

SHAPES = [(12, 4)] * 3 + [(4, 4)] * 3 + [(16, 4)] * 2 + [(5, 16)]  # 3 of a shape, or 1, do not divide by 2 ranks; nor do 5 rows
STEPS = 3


def gradients(step: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(step)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in SHAPES]


def trained(prepare: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """The matrices after some steps; `prepare` shards them, or not."""
    weights = [torch.nn.Parameter(prepare(torch.ones(shape, dtype=torch.float64))) for shape in SHAPES]
    optimizer = Muon(weights, 0.01, momentum=0.95, weight_decay=0.1)
    for step in range(STEPS):
        for weight, gradient in zip(weights, gradients(step), strict=True):
            weight.grad = prepare(gradient)
        optimizer.step()
    return [weight.detach() for weight in weights]


class Counter(torch.utils._python_dispatch.TorchDispatchMode):
    """Counts collectives by name, and sums the matrices that are multiplied."""

    def __init__(self) -> None:
        super().__init__()
        self.collectives: list[str] = []
        self.matrices = 0

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if any(issubclass(kind, DTensor) for kind in types):  # type: ignore[attr-defined]
            return NotImplemented
        if str(func).startswith("c10d."):
            self.collectives.append(str(func))
        if str(func) == "aten.bmm.default":
            self.matrices += args[0].shape[0]
        return func(*args, **(kwargs or {}))  # type: ignore[operator]


def on_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(f"{folder}/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    with Counter() as replicated:
        whole = trained(lambda value: value)
    with Counter() as sharded:
        rows = trained(lambda value: distribute_tensor(value, mesh, [Shard(0)], src_data_rank=None))
    assert all(torch.equal(value, value) for value in whole)
    full = [value.full_tensor() for value in rows]  # type: ignore[attr-defined]
    torch.save(
        [whole, full, replicated.collectives, replicated.matrices, sharded.collectives, sharded.matrices], f"{folder}/{rank}"
    )
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_ranks_divide_the_matrices_and_get_the_redundant_forms_result(tmp_path: object) -> None:
    mp.spawn(on_rank, (str(tmp_path),), nprocs=2)
    alone = trained(lambda value: value)
    groups = len(set(SHAPES))
    products = 3 * 5 * STEPS
    for rank in range(2):
        whole, full, gathers, replicated, exchanges, sharded = torch.load(f"{tmp_path}/{rank}", weights_only=True)
        for expected, one, other in zip(alone, whole, full, strict=True):
            torch.testing.assert_close(one, expected, rtol=0, atol=1e-13)
            torch.testing.assert_close(other, expected, rtol=0, atol=1e-13)
        assert gathers == ["c10d._allgather_base_.default"] * groups * STEPS
        assert exchanges == ["c10d.alltoall_base_.default"] * 2 * groups * STEPS
        assert replicated == sharded == products * sum(-(-SHAPES.count(shape) // 2) for shape in set(SHAPES))


def test_matrices_of_a_shape_are_one_batch() -> None:
    with Counter() as counted:
        trained(lambda value: value)
    assert counted.matrices == 3 * 5 * STEPS * len(SHAPES)
    calls: list[int] = []
    parts = [torch.eye(3) for _ in range(4)]
    apply_to_matrices(lambda batch: calls.append(len(batch)) or batch, parts, None)  # type: ignore[func-returns-value]
    assert calls == [4]


def test_a_batch_gives_what_each_matrix_gives_alone() -> None:
    batch = torch.randn(3, 8, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(orthogonalize(batch), torch.stack([orthogonalize(matrix) for matrix in batch]), rtol=0, atol=1e-13)


def test_the_compiled_iteration_gives_the_same_update() -> None:
    weights = [torch.nn.Parameter(torch.ones(6, 4)) for _ in range(2)]
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounter()
    optimizers = [Muon([weight], 0.01, momentum=0.95, weight_decay=0.1) for weight in weights]
    optimizers[1].orthogonalize = torch.compile(orthogonalize, dynamic=False, backend=counter)
    for step in range(3):
        for weight, optimizer in zip(weights, optimizers, strict=True):
            weight.grad = torch.randn(6, 4, generator=torch.Generator().manual_seed(step))
            optimizer.step()
    torch.testing.assert_close(weights[1], weights[0])
    assert counter.frame_count == 1
