"""The attention's window that grows at the start of training, and embeddings in bf16: shapes, values, resuming, refusals."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from trainer import cli
from trainer.attention import Documents
from trainer.config import ModelConfig, TrainConfig
from trainer.distributed import World
from trainer.dry_run import dry_run
from trainer.loop import build
from trainer.model import GPT
from trainer.optim import Optimizer
from trainer.presets import modern, tiny

Command = Callable[..., list[str]]
Losses = Callable[[Path], list[tuple[int, float | None, float | None]]]
SHAPE = ModelConfig(layers=2, heads=2, width=16, context=16, vocabulary=97)


@pytest.mark.parametrize(
    ("context", "steps", "sizes"),
    [
        (64, 0, [64, 64]),
        (64, 3, [8, 16, 32, 64, 64]),
        (64, 6, [8, 8, 16, 16, 32, 32, 64]),
        (64, 7, [8, 8, 8, 16, 16, 32, 32, 64]),
        (100, 3, [12, 25, 50, 100]),
        (4, 3, [1, 1, 2, 4]),
        (1, 3, [1, 1, 1, 1]),
    ],
)
def test_the_window_doubles_three_times(context: int, steps: int, sizes: list[int]) -> None:
    config = TrainConfig(model=ModelConfig(context=context), batch_tokens=context * 4, window_warmup_steps=steps)
    assert [config.window_tokens(step) for step in range(len(sizes))] == sizes


@pytest.mark.parametrize("nearest", [1, 3, 15])
def test_a_token_attends_to_its_nearest_predecessors_alone(nearest: int) -> None:
    model = GPT(SHAPE).double()
    model.init_weights(1)
    tokens = torch.randint(0, 97, (2, 16), generator=torch.Generator().manual_seed(1))
    seen = Documents.of_batch(None, tokens, nearest=nearest)
    assert seen is not None
    assert seen.mask is not None
    expected = torch.tensor([[0 <= query - key < nearest for key in range(16)] for query in range(16)])
    assert torch.equal(seen.mask[0, 0], expected)
    changed = tokens.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 97
    reach = 2 * (nearest - 1)  # of two blocks
    differs = (model(tokens, documents=seen) != model(changed, documents=seen)).any(dim=2).any(dim=0)
    assert not differs[reach + 1 :].any()
    assert differs[min(reach, 15)]


def test_a_window_and_documents_bound_attention_together() -> None:
    ids = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 2]])
    seen = Documents.of_batch(ids, ids, nearest=2)
    assert seen is not None
    assert seen.mask is not None
    expected = [[0 <= q - k < 2 and ids[0, q] == ids[0, k] for k in range(8)] for q in range(8)]
    assert torch.equal(seen.mask[0, 0], torch.tensor(expected))


@pytest.mark.parametrize("nearest", [None, 16, 99])
def test_a_window_of_the_whole_context_is_no_mask(nearest: int | None) -> None:
    assert Documents.of_batch(None, torch.zeros((2, 16), dtype=torch.long), nearest=nearest) is None


def test_flat_batches_get_lengths_and_a_window() -> None:
    inputs = torch.zeros((3, 16), dtype=torch.long)
    seen = Documents.of_batch(None, inputs, nearest=4, flat=True)
    assert seen is not None
    assert seen.lengths is not None
    assert (seen.lengths.tolist(), seen.longest, seen.nearest) == ([0, 16, 32, 48], 16, 4)
    lengths = torch.tensor([0, 5, 16, 48, 48], dtype=torch.int32)
    for nearest, expected in ((4, 4), (None, 16), (16, 16)):
        both = Documents.of_batch(lengths, inputs, nearest=nearest, flat=True)
        assert both is not None
        assert (both.lengths is lengths, both.longest, both.nearest) == (True, 16, expected)


NEW = ("--window-warmup-steps=12", "--bf16-embeddings", "--no-tied", "--value-embeddings", "--precision=fp32")


def test_a_resumed_run_grows_the_window_where_it_was(small_run: Command, losses: Losses, tmp_path: Path) -> None:
    assert cli.main(small_run("whole", "--keep=9", *NEW)) == 0
    assert cli.main(small_run("plain", *NEW, "--window-warmup-steps=0")) == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "resumed")
    for step in range(10, 31, 5):
        shutil.rmtree(tmp_path / f"resumed/checkpoints/step_{step:08d}")
    assert cli.main(small_run("resumed", "--keep=9", *NEW)) == 0
    assert losses(tmp_path / "resumed") == losses(tmp_path / "whole")
    assert losses(tmp_path / "plain")[0][1] != losses(tmp_path / "whole")[0][1], "the window bounds the first step"
    (file,) = (tmp_path / "resumed/checkpoints/step_00000030/model").iterdir()
    weights = load_file(file)
    narrow = {name for name, weight in weights.items() if weight.dtype == torch.bfloat16}
    assert narrow == {"token_embedding.weight", "position_embedding.weight", "value_embedding.weight"}
    assert cli.main(small_run("resumed", "--keep=9", *NEW, "--window-warmup-steps=11")) == 2


def test_a_run_with_embeddings_in_bf16_is_sampled(small_run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(small_run("run", "--steps=2", *NEW)) == 0
    assert cli.main(["sample", str(tmp_path / "run"), "--prompt", "The", "--tokens", "5"]) == 0
    assert cli.main(["export", str(tmp_path / "run"), str(tmp_path / "hf")]) == 2, "value embeddings are not GPT-2's"
    assert "--value-embeddings" in capsys.readouterr().err


def test_embeddings_in_bf16_keep_their_type_and_moments_and_all_else_is_fp32() -> None:
    config = modern(tiny()).with_options(bf16_embeddings=True, value_embeddings=True, compile=False)
    model, _ = build(config, World())
    kinds = {name: weight.dtype for name, weight in model.named_parameters()}
    narrow = {name for name, kind in kinds.items() if kind == torch.bfloat16}
    assert narrow == {"token_embedding.weight", "value_embedding.weight"}
    assert set(kinds.values()) == {torch.bfloat16, torch.float32}
    state = Optimizer(model, config).state()
    assert state["token_embedding.weight.exp_avg"].dtype == torch.bfloat16
    assert state["head.weight.exp_avg"].dtype == torch.float32


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--bf16-embeddings",), "--no-tied"),
        (("--bf16-embeddings", "--no-tied", "--precision=fp64"), "--precision fp64"),
        (("--window-warmup-steps=-1",), "--window-warmup-steps -1"),
    ],
)
def test_settings_without_meaning_are_refused(words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["train", "tiny", "--data", "none", "--out", "none", *words]) == 2
    assert line in capsys.readouterr().err


def test_ranks_divide_embeddings_in_bf16_beside_weights_in_fp32() -> None:
    """FSDP's groups hold weights of one type: each embedding is a group of its own, gathered once per step and direction."""
    words: dict[str, Any] = {"vocabulary": 1000, "strategy": "fsdp", "precision": "bf16", "tied": False}
    plain = dry_run(tiny().with_options(**words), 4).collectives
    narrow = dry_run(tiny().with_options(**words, bf16_embeddings=True), 4).collectives
    assert narrow["reduce-scatter"] == plain["reduce-scatter"] + 2, "tokens and positions"
    assert narrow["all-reduce"] == plain["all-reduce"]


@pytest.mark.slow
def test_losses_with_a_growing_window_and_narrow_embeddings_are_equal_on_two_ranks(
    small_run: Command, losses: Losses, tmp_path: Path
) -> None:
    common = ("--micro-batch=2", "--validate-every=15", "--eval-tasks=held_out", *NEW)
    assert cli.main(small_run("alone", *common)) == 0
    for strategy in ("ddp", "fsdp"):
        words = [*small_run(strategy, *common), f"--strategy={strategy}"]
        launched = [sys.executable, "-m", "trainer", "launch", "--ranks", "2", *words]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(launched, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        alone, here = losses(tmp_path / "alone"), losses(tmp_path / strategy)
        assert [line[0] for line in here] == [line[0] for line in alone]
        pairs = zip(alone, here, strict=True)
        assert max(abs((a or 0) - (b or 0)) for one, two in pairs for a, b in zip(one[1:], two[1:], strict=True)) < 2e-2
