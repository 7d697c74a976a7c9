"""Training steps beside nanoGPT's, and the loader alone: `python benchmarks/training.py --nanogpt FOLDER_WITH_ITS_model.py`.

All variants live in one process and take turns, a few steps each, on the same batches; the figures are medians of each round's ratios of
wall and of processor time, so that what else the machine does falls on all alike.
"""

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from trainer.compiling import Compiled
from trainer.config import ModelConfig, TrainConfig
from trainer.data import Batches, Corpus
from trainer.distributed import World
from trainer.model import GPT
from trainer.optim import adamw, apply

SHAPE = ModelConfig(layers=4, heads=4, width=256, context=256)
ROWS = 4
Step = Callable[[torch.Tensor, torch.Tensor], float]


def ours(*, bf16: bool, compiled: bool, folder: Path) -> Step:
    model = GPT(SHAPE)
    model.initialise(1)
    optimizer = adamw(model, TrainConfig(model=SHAPE, batch_tokens=ROWS * SHAPE.context))
    network = Compiled(model, folder, World()).network if compiled else model

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        apply(optimizer, 1.0, torch.zeros(()))
        return loss.item()

    return step


def nanogpt(folder: Path) -> Step:
    """As its train.py runs on a CPU: fp32, no fused optimizer, not compiled (its README's advice)."""
    spec = importlib.util.spec_from_file_location("nanogpt_model", folder / "model.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["nanogpt_model"] = module
    spec.loader.exec_module(module)
    torch.manual_seed(1)
    shape = module.GPTConfig(
        block_size=SHAPE.context, vocab_size=50_304, n_layer=4, n_head=4, n_embd=256, dropout=0.0, bias=False
    )
    model = module.GPT(shape)
    optimizer = model.configure_optimizers(0.1, 6e-4, (0.9, 0.95), "cpu")

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> float:
        _, loss = model(inputs, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    return step


def race(steps: dict[str, Step], rounds: int, each: int) -> None:
    """Print each variant's speed and its ratio to the first."""
    generator = torch.Generator().manual_seed(1)
    windows = torch.randint(0, 50_257, (rounds * each, ROWS, SHAPE.context + 1), generator=generator)
    clocks: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    losses: dict[str, list[float]] = {name: [] for name in steps}
    for name, step in steps.items():
        began = time.perf_counter()
        step(windows[0, :, :-1].contiguous(), windows[0, :, 1:].contiguous())
        print(f"{name:28} first step {time.perf_counter() - began:6.1f} s", flush=True)
    for turn in range(rounds):
        for name, step in steps.items():
            wall, processor = time.perf_counter(), time.process_time()
            for window in windows[turn * each : (turn + 1) * each]:
                losses[name].append(step(window[:, :-1].contiguous(), window[:, 1:].contiguous()))
            clocks[name].append((time.perf_counter() - wall, time.process_time() - processor))
    base = clocks[next(iter(steps))]
    tokens = each * ROWS * SHAPE.context
    for name, taken in clocks.items():
        wall, processor = (statistics.median(b[i] / t[i] for b, t in zip(base, taken, strict=True)) for i in (0, 1))
        best = tokens / min(seconds for seconds, _ in taken)
        curve = f"{losses[name][0]:.4f} -> {losses[name][-1]:.4f}"
        print(f"{name:28} best {best:7,.0f} tokens/s   {wall:5.2f}x wall   {processor:5.2f}x processor   loss {curve}")


def load(folder: str) -> None:
    """Print the loader's speed on a folder of token shards."""
    corpus = Corpus.open(folder)
    batches = Batches(corpus.train, context=1024, windows=512, seed=1)
    began, steps = time.process_time(), 20
    for step in range(steps):
        batches.micro_batches(step)
    print(f"loader: {steps * 512 * 1024 / (time.process_time() - began) / 1e6:,.0f} M tokens a second of one core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path)
    parser.add_argument("--tokens", help="a folder of token shards: the loader's speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, L4 H4 d256 T256 B4")
    if arguments.tokens:
        load(arguments.tokens)
    if arguments.nanogpt:
        with tempfile.TemporaryDirectory() as folder:
            steps = {
                "nanoGPT as it ships": nanogpt(arguments.nanogpt),
                "ours, no compile, fp32": ours(bf16=False, compiled=False, folder=Path(folder)),
                "ours, no compile, bf16": ours(bf16=True, compiled=False, folder=Path(folder)),
                "ours, defaults": ours(bf16=True, compiled=True, folder=Path(folder)),
            }
            race(steps, arguments.rounds, arguments.steps)


if __name__ == "__main__":
    main()
