"""What is compiled: graphs are counted, with FSDP, recomputation and both; compiled parts give the eager gradients."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch._dynamo
import torch._dynamo.utils
import torch.distributed as dist
from torch._dynamo.testing import CompileCounterWithBackend
from torch.testing._internal.distributed.fake_pg import FakeStore

from trainer.compiling import CompileCache, compile_parts
from trainer.config import ModelConfig, TrainConfig
from trainer.distributed import World, gradient_sync, shard
from trainer.loop import compiled_by_parts
from trainer.model import GPT

pytestmark = [
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor"),
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]
"""torch warns of what its own compiler does, and its filters do not reach a test in which warnings are errors."""

CONFIG = ModelConfig(layers=4, heads=2, width=32, context=16, vocabulary=100)


@pytest.fixture
def fake_ranks() -> Iterator[World]:
    """A process group of 4 ranks, of which this process plays one."""
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=4)
    yield World(0, 4)
    dist.destroy_process_group()


@pytest.fixture
def graphs() -> Iterator[CompileCounterWithBackend]:
    torch._dynamo.reset()
    yield CompileCounterWithBackend("aot_eager")
    torch._dynamo.reset()


def network(*, recompute: bool) -> GPT:
    model = GPT(CONFIG)
    model.init_weights(1)
    model.recompute_blocks(recompute)
    return model


def steps(model: torch.nn.Module, count: int = 2) -> list[float]:
    """Losses of steps of two micro-batches each, without an optimizer."""
    losses = []
    generator = torch.Generator().manual_seed(4)
    for _ in range(count):
        for last in (False, True):
            tokens = torch.randint(0, 100, (2, 17), generator=generator)
            with gradient_sync(model, enabled=last), torch.autocast("cpu", torch.bfloat16):
                loss = model(tokens[:, :-1], tokens[:, 1:])
            loss.backward()
            losses.append(loss.item())
    return losses


@pytest.mark.parametrize("recompute", [False, True])
def test_blocks_share_one_graph_and_the_head_has_its_own(graphs: CompileCounterWithBackend, recompute: bool) -> None:
    eager, model = network(recompute=recompute), network(recompute=recompute)
    compile_parts(model, backend=graphs, fullgraph=True)
    assert steps(model) == pytest.approx(steps(eager), abs=1e-2)
    assert graphs.frame_count == 2
    for mine, theirs in zip(model.parameters(), eager.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=0.05, atol=2e-3)


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("accumulates", [False, True])
def test_blocks_are_compiled_under_fsdp(
    graphs: CompileCounterWithBackend, fake_ranks: World, recompute: bool, accumulates: bool
) -> None:
    """Compiled as one graph, FSDP's hooks with recomputation left no block compiled at all."""
    model = network(recompute=recompute)
    compile_parts(model, backend=graphs, fullgraph=True)
    shard(model, fake_ranks, bf16=True, accumulates=accumulates)
    steps(model)
    assert graphs.frame_count == 2
    assert torch._dynamo.utils.counters["graph_break"] == {}


def test_validation_compiles_nothing(graphs: CompileCounterWithBackend) -> None:
    model = network(recompute=False)
    compile_parts(model, backend=graphs)
    tokens = torch.zeros((1, 16), dtype=torch.long)
    model.eval()
    with torch.no_grad():
        model(tokens, tokens)
    assert graphs.frame_count == 0


@pytest.mark.parametrize(
    ("strategy", "ranks", "recompute", "parts"),
    [
        ("ddp", 1, False, False),
        ("ddp", 4, False, False),
        ("ddp", 4, True, True),
        ("fsdp", 4, False, True),
        ("fsdp", 1, False, False),
    ],
)
def test_parts_are_compiled_where_one_graph_cannot_be(strategy: str, ranks: int, recompute: bool, parts: bool) -> None:
    config = TrainConfig(strategy=strategy, recompute=recompute)
    assert compiled_by_parts(config, World(0, ranks)) is parts
    assert not compiled_by_parts(config.with_options(compile=False), World(0, ranks))


def test_the_cache_is_local_and_private_and_unproven_code_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "local"))
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "replaced")
    monkeypatch.setattr("tempfile.tempdir", None)
    (tmp_path / "local").mkdir()
    run = tmp_path / "shared" / "run"
    cache = CompileCache(run, World(1, 2))
    assert cache.folder.is_relative_to(tmp_path / "local"), "a shared disk is slow, and its locks are not to be relied on"
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(cache.folder)
    (cache.folder / "half").write_text("")
    assert not (CompileCache(run, World(1, 2)).folder / "half").exists()
    (cache.folder / "whole").write_text("")
    cache.keep()
    assert (CompileCache(run, World(1, 2)).folder / "whole").exists()
    assert CompileCache(run, World(0, 2)).folder != cache.folder != CompileCache(tmp_path / "other", World(1, 2)).folder
    mine = cache.folder.parents[1]
    assert mine.stat().st_mode & 0o077 == 0
    mine.chmod(0o777)
    assert not CompileCache(run, World(1, 2)).folder.is_relative_to(mine), "code that others may have put there is not run"
