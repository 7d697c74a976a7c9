"""The chunked loss compared with fp64 cross-entropy over all logits, with GPT-2's number of classes."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from trainer.loss import head_loss, padded_head

CLASSES, PADDED = 50_257, 50_304


def case(rows: int, width: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(rows, width, generator=generator).to(dtype)
    weight = (torch.randn(CLASSES, width, generator=generator) * 0.02).to(dtype)
    return hidden, weight, torch.randint(0, CLASSES, (rows,), generator=generator)


@pytest.mark.parametrize(("dtype", "bar"), [(torch.bfloat16, 1e-3), (torch.float32, 1e-5)])
def test_loss_equals_fp64_loss_at_full_size(dtype: torch.dtype, bar: float) -> None:
    hidden, weight, targets = case(1024, 64, dtype)
    truth = F.cross_entropy(hidden.double() @ weight.double().T, targets)
    with torch.no_grad():
        assert abs(head_loss(hidden, weight, targets, PADDED).double() - truth) < bar


def test_gradients_equal_those_of_cross_entropy() -> None:
    hidden, weight, targets = case(96, 16, torch.float64)
    ours, theirs = [[hidden.clone().requires_grad_(), weight.clone().requires_grad_()] for _ in range(2)]
    (head_loss(*ours, targets, PADDED, 40) * 3).backward()
    (F.cross_entropy(theirs[0] @ theirs[1].T, targets) * 3).backward()
    for mine, other in zip(ours, theirs, strict=True):
        assert (mine.grad - other.grad).abs().max() < 1e-12


@pytest.mark.parametrize("softcap", [2.0, 30.0])
def test_gradients_under_a_softcap_equal_those_of_cross_entropy(softcap: float) -> None:
    hidden, weight, targets = case(96, 16, torch.float64)
    hidden, weight = 4 * hidden, 40 * weight
    targets[5:9] = -1
    ours, theirs = [[hidden.clone().requires_grad_(), weight.clone().requires_grad_()] for _ in range(2)]
    mine = head_loss(*ours, targets, PADDED, 40, softcap)
    truth = F.cross_entropy(softcap * torch.tanh(theirs[0] @ theirs[1].T / softcap), targets, ignore_index=-1)
    assert abs(mine - truth) < 1e-12
    mine.backward()
    truth.backward()
    for one, other in zip(ours, theirs, strict=True):
        assert (one.grad - other.grad).abs().max() < 1e-12


def test_chunk_size_does_not_change_the_loss() -> None:
    hidden, weight, targets = case(100, 8, torch.float64)
    losses = [head_loss(hidden, weight, targets, PADDED, rows).item() for rows in (7, 64, 100, 1000)]
    assert max(losses) - min(losses) < 1e-12


def test_ignored_rows_affect_neither_loss_nor_gradient() -> None:
    hidden, weight, targets = case(10, 8, torch.float64)
    hidden.requires_grad_()
    targets[3:] = -1
    loss = head_loss(hidden, weight, targets, PADDED)
    loss.backward()
    assert abs(loss - F.cross_entropy(hidden[:3] @ weight.T, targets[:3])) < 1e-12
    assert not hidden.grad[3:].any()
    assert hidden.grad[:3].any()


def test_large_logits_do_not_overflow() -> None:
    weight = torch.eye(4)
    loss = head_loss(torch.tensor([[900.0, 0, 0, 0]]), weight, torch.tensor([1]), 64)
    assert loss.item() == pytest.approx(900.0)


class _CountsProducts(TorchDispatchMode):
    """Counts matrix products."""

    products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.products += func in (torch.ops.aten.mm.default, torch.ops.aten.addmm.default)
        return func(*args, **(kwargs or {}))


def test_without_gradients_there_is_one_product_per_chunk() -> None:
    """Validation needs no gradient, though the weights could have one."""
    hidden, weight, targets = case(128, 8, torch.float32)
    weight.requires_grad_()
    counts = []
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients), _CountsProducts() as mode:
            head_loss(hidden, weight, targets, PADDED, 64)
        counts.append(mode.products)
    assert counts == [6, 2]


@pytest.mark.parametrize("softcap", [0.0, 5.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_loss_without_a_gradient_is_the_loss_with_one(dtype: torch.dtype, softcap: float) -> None:
    hidden, weight, targets = case(100, 16, dtype)
    targets[7:20] = -1
    with_gradient = head_loss(hidden.requires_grad_(), weight, targets, PADDED, 64, softcap)
    with torch.no_grad():
        without = head_loss(hidden, weight, targets, PADDED, 64, softcap)
        kept = head_loss(hidden, weight, targets, PADDED, 64, softcap, padded_head(weight, PADDED, dtype))
    assert with_gradient.dtype == without.dtype
    assert without.item() == pytest.approx(with_gradient.item(), rel=1e-12 if dtype == torch.float64 else 1e-5)
    assert torch.equal(without, kept)
