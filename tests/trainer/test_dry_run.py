"""Dry runs with hundreds of ranks: exact collectives, and peak memory within 5 % of the formula."""

import os
import re
from collections import Counter

import pytest
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode

from trainer import cli
from trainer.distributed import World, parallelize
from trainer.dry_run import _reduce, dry_run
from trainer.memory import peak_bytes, resolve_strategy
from trainer.model import GPT
from trainer.presets import gpt2_small, gpt2_xl


def test_collectives_and_memory_of_124m_with_ddp_on_256_ranks() -> None:
    config = gpt2_small().with_options(precision="bf16", micro_batch=8, strategy="ddp")
    result = dry_run(config, 256)
    assert result.collectives == {"all-reduce": 13}, "buckets of 25 MB after a first one of 1 MB"
    assert result.peak_bytes == pytest.approx(peak_bytes(config, 256), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [48 if os.environ.get("WEBTEXT_FULL") else 2])
def test_collectives_and_memory_of_1558m_with_fsdp_on_1024_ranks(layers: int) -> None:
    config = gpt2_xl().with_options(precision="bf16", micro_batch=4, layers=layers, strategy="fsdp")
    result = dry_run(config, 1024)
    gathers, scatters = 2 * layers + 1, layers + 1  # one per block in each direction, and one for the rest
    assert result.collectives == {"all-gather": gathers, "reduce-scatter": scatters, "all-reduce": 1}
    assert result.peak_bytes == pytest.approx(peak_bytes(config, 1024), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("gradient_type", ["fp32", "bf16"])
@pytest.mark.parametrize("layers", [48 if os.environ.get("WEBTEXT_FULL") else 2])
def test_accumulation_gathers_once_and_holds_all_gradients(layers: int, gradient_type: str) -> None:
    config = gpt2_xl().with_options(precision="bf16", micro_batch=4, layers=layers, strategy="fsdp", gradient_type=gradient_type)
    assert config.micro_batches(8) == 16
    result = dry_run(config, 8)
    assert result.collectives == {"all-gather": layers + 1, "reduce-scatter": layers + 1, "all-reduce": 1}
    assert result.peak_bytes == pytest.approx(peak_bytes(config, 8), rel=0.05)
    alone = peak_bytes(config.with_options(batch_tokens=8 * 4 * 1024), 8)
    assert peak_bytes(config, 8) > alone + (2 if gradient_type == "bf16" else 4) * config.model.parameters * 0.9


def test_the_strategy_is_ddp_where_the_network_fits_the_gpu() -> None:
    chosen = {
        (name.__name__, gib): resolve_strategy(name().with_options(precision="bf16"), 8, gib << 30 if gib else None).strategy
        for name in (gpt2_small, gpt2_xl)
        for gib in (24, 80, 141, 0)
    }
    assert {key for key, strategy in chosen.items() if strategy == "fsdp"} == {("gpt2_xl", 24)}
    assert resolve_strategy(gpt2_small().with_options(strategy="fsdp"), 8, None).strategy == "fsdp", "a choice stays"


class CollectiveCounter(TorchDispatchMode):
    """Counts collectives."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if str(func).startswith("c10d."):
            self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def test_ddp_sends_as_many_collectives_as_the_dry_run_counts() -> None:
    config = gpt2_small().with_options(
        layers=2, precision="fp32", micro_batch=1, context=16, vocabulary=9_000, strategy="ddp", batch_tokens=4096
    )
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=256)
    try:
        network = parallelize(GPT(config.model), World(0, 256), "ddp", bf16=False)
        network.register_comm_hook(None, _reduce)
        tokens = torch.zeros((1, 16), dtype=torch.long)
        for _ in range(3):
            with CollectiveCounter() as counter:
                network(tokens, tokens).backward()
    finally:
        dist.destroy_process_group()
    assert counter.counts == {"c10d.allreduce_.default": dry_run(config, 256).collectives["all-reduce"]}


def test_the_command_prints_the_collectives(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rehearse", "tiny", "--ranks=8", "--vocabulary=1000", "--strategy=fsdp"]
    assert cli.main(words) == 0
    output = capsys.readouterr().out
    assert "5 all-gather, 3 reduce-scatter, 1 all-reduce" in output
    assert cli.main([*words, "--heads=3"]) == 2
    assert cli.main([*words, "--ranks=1"]) == 2


@pytest.mark.slow
def test_the_command_counts_accumulated_gradients_of_xl(capsys: pytest.CaptureFixture[str]) -> None:
    """Two of xl's 48 layers; 8 ranks make 8 micro-batches of 8 windows each, or one."""
    words = ["rehearse", "gpt2-xl", "--ranks=8", "--layers=2", "--strategy=fsdp"]
    sizes = []
    for more, batches in (([], 8), (["--batch-tokens=65536"], 1)):
        assert cli.main([*words, *more]) == 0
        output = capsys.readouterr().out
        assert f"micro-batches per step: {batches}" in output
        held, formula = (float(number) for number in re.findall(r"([0-9.]+) GiB", output))
        assert held == pytest.approx(formula, rel=0.05)
        sizes.append(output)
    assert "3 all-gather" in sizes[0], "each block once, and the rest"
