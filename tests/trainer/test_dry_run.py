"""Hundreds of ranks in one process: what a step sends, to the last collective, and what a rank holds, beside the closed formula."""

import os
from collections import Counter

import pytest
import torch
import torch.distributed as dist
from torch.testing._internal.distributed.fake_pg import FakeStore
from torch.utils._python_dispatch import TorchDispatchMode

from trainer import cli
from trainer.distributed import World, share
from trainer.model import GPT
from trainer.presets import gpt2_small, gpt2_xl
from trainer.dry_run import _reduce, peak_bytes, rehearse


def test_124m_on_256_ranks_by_ddp() -> None:
    config = gpt2_small().with_options(precision="bf16", micro_batch=8)
    found = rehearse(config, 256)
    assert found.collectives == {"all-reduce": 13}, "a bucket of 25 MB at a time, and the first of 1 MB"
    assert found.peak_bytes == pytest.approx(peak_bytes(config, 256), rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("layers", [48 if os.environ.get("WEBTEXT_FULL") else 2])
def test_1558m_on_1024_ranks_by_fsdp(layers: int) -> None:
    config = gpt2_xl().with_options(precision="bf16", micro_batch=4, layers=layers)
    found = rehearse(config, 1024)
    gathers, scatters = 2 * layers + 1, layers + 1  # a block at a time, forth and back; the rest once
    assert found.collectives == {"all-gather": gathers, "reduce-scatter": scatters, "all-reduce": 1}
    assert found.peak_bytes == pytest.approx(peak_bytes(config, 1024), rel=0.05)


class Sent(TorchDispatchMode):
    """Counts what goes to the process group."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(self, func: object, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        if str(func).startswith("c10d."):
            self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


def test_ddp_sends_what_was_rehearsed_of_it() -> None:
    config = gpt2_small().with_options(layers=2, precision="fp32", micro_batch=1, context=16, vocabulary=9_000)
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=256)
    try:
        shared = share(GPT(config.model), World(0, 256), "ddp", bf16=False)
        shared.register_comm_hook(None, _reduce)
        tokens = torch.zeros((1, 16), dtype=torch.long)
        for _ in range(3):
            with Sent() as sent:
                shared(tokens, tokens).backward()
    finally:
        dist.destroy_process_group()
    assert sent.counts == {"c10d.allreduce_.default": rehearse(config, 256).collectives["all-reduce"]}


def test_the_command_says_both(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["rehearse", "tiny", "--ranks=8", "--vocabulary=1000", "--strategy=fsdp"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert "5 all-gather, 3 reduce-scatter, 1 all-reduce" in said
    assert cli.main([*words, "--heads=3"]) == 2
    assert cli.main([*words, "--ranks=1"]) == 2
