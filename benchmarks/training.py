"""Training beside nanoGPT and Hugging Face's GPT-2: `python benchmarks/training.py --nanogpt ITS_SOURCE`.

Each variant runs in a process of its own (benchmarks/training_peer.py for the peers). All start with the same weights, read the same
windows of real text, and take turns of a few steps, so that other load on the machine affects all alike. Ratios compare the times of a
round. `--memory` compares peak memory at GPT-2 small's shape instead; `--tokens` measures the loader on a folder of token shards.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import peers
import products
import scores
import torch
import training_peer

from tokenizer.bpe import train
from tokenizer.pre_tokens import pre_tokenize
from trainer.allocator import keep_large_pages
from trainer.compiling import CompileCache
from trainer.config import ModelConfig, TrainConfig
from trainer.data import Batches, TokenDataset
from trainer.distributed import World
from trainer.export import load_hf, save_hf
from trainer.model import GPT
from trainer.optim import GradientGuard, Optimizer
from trainer.train import computes_bf16

SMALL = ModelConfig(layers=4, heads=4, width=256, context=256)
GPT2_SMALL = ModelConfig()
OURS = {  # whether to use bf16 (None: as `--precision auto` chooses here), and whether to compile
    "ours, defaults": (None, True),
    "ours, bf16, compile": (True, True),
    "ours, bf16, no compile": (True, False),
    "ours, fp32, compile": (False, True),
    "ours, fp32, no compile": (False, False),
}
NANOGPT = {"nanoGPT": "nanogpt", "nanoGPT, compile": "nanogpt-compiled"}
HUGGING_FACE = {"Hugging Face, fp32": "hugging-face", "Hugging Face, bf16": "hugging-face-bf16"}


def ours(folder: Path, *, bf16: bool | None, compiled: bool) -> training_peer.Step:
    """Return a training step as `trainer.loop` does it."""
    keep_large_pages()
    model = load_hf(folder / "start")
    chosen = computes_bf16(torch.device("cpu")) if bf16 is None else bf16
    config = TrainConfig(model=model.config, learning_rate=6e-4, batch_tokens=model.config.context)
    optimizer, guard = Optimizer(model, config), GradientGuard(config.spike_sigmas, torch.device("cpu"))
    if compiled:
        CompileCache(folder, World())
    network = torch.compile(model, dynamic=False) if compiled else model

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=chosen):
            loss = network(inputs, targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step(1.0, guard.judge(norm))
        return float(loss.item())

    return step


class VariantProcess:
    """A variant in a process of its own, which takes turns on request."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers = [self._answer()]

    def take(self, first: int, count: int) -> dict[str, Any]:
        """Make `count` steps from step `first`, and return their times, losses and peak memory."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{first} {count}\n")
        self._process.stdin.flush()
        self.answers.append(self._answer())
        return self.answers[-1]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args}: exit code {self._process.wait()}")
        return dict(json.loads(line))


def prepare(folder: Path, shape: ModelConfig, steps: int, rows: int) -> None:
    """Write the initial weights, and windows of Python's language reference in a vocabulary learnt from it."""
    model = GPT(shape)
    model.init_weights(1)
    text = "".join(topics[name] for name in sorted(topics))
    tokenizer = train(Counter(pre_tokenize(text)), 8192)
    save_hf(model, tokenizer, folder / "start")
    ids = np.array(tokenizer.encode(text), np.int32)
    size = shape.context + 1
    starts = np.random.default_rng(1).integers(0, len(ids) - size, steps * rows)
    windows = np.stack([ids[start : start + size] for start in starts])
    np.save(folder / "windows.npy", windows.reshape(steps, rows, size))


def commands(arguments: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """Return the command of every selected variant. Ratios are relative to the first."""
    peer, mine = str(Path(training_peer.__file__)), str(Path(__file__))
    threads = str(arguments.threads)
    variants: dict[str, list[str]] = {}
    if arguments.nanogpt and not arguments.memory:
        source = str(arguments.nanogpt)
        variants.update({name: [sys.executable, peer, kind, str(folder), threads, source] for name, kind in NANOGPT.items()})
    if arguments.memory:
        try:
            python = peers.python("transformers", "transformers==5.14.0", "torch==2.13.0", "safetensors")
            variants.update({name: [str(python), peer, kind, str(folder), threads] for name, kind in HUGGING_FACE.items()})
        except peers.PeerError as error:
            print(error)
    variants.update({name: [sys.executable, mine, "--variant", name, str(folder), threads] for name in OURS})
    return {name: variants[name] for name in variants if not arguments.only or name in arguments.only}


def race(variants: dict[str, list[str]], rounds: int, steps: int, shape: ModelConfig, tokens: int) -> list[scores.Row]:
    """Run rounds of `steps` steps. Print each variant's speed, memory and loss, and its ratios to the first."""
    runners, limit = {}, []
    precision = torch.bfloat16 if computes_bf16(torch.device("cpu")) else torch.float32
    for name, command in variants.items():
        runners[name] = VariantProcess(command)
        first = runners[name].take(0, 1)
        print(f"{name:24} first step {first['wall']:6.1f} s", flush=True)
    for turn in range(rounds):
        for runner in runners.values():
            runner.take(1 + turn * steps, steps)
        limit.append(steps * products.seconds(shape, tokens, tokens, precision, backward=True))
    base = next(iter(runners.values())).answers[2:]
    for name, runner in runners.items():
        answers = runner.answers[2:]
        ratios = sorted(b["wall"] / t["wall"] for b, t in zip(base, answers, strict=True))
        processor = statistics.median(b["processor"] / t["processor"] for b, t in zip(base, answers, strict=True))
        speed = tokens * steps / statistics.median(t["wall"] for t in answers)
        peak = answers[-1]["peak"]
        spread = f"{ratios[0]:.2f}-{statistics.median(ratios):.2f}-{ratios[-1]:.2f}"
        curve = f"{runner.answers[1]['losses'][0]:.4f} -> {answers[-1]['losses'][-1]:.4f}"
        print(f"{name:24} {speed:7,.0f} tokens/s  {spread:>15}x wall  {processor:5.2f}x processor  {peak:6,} MiB  loss {curve}")
        runner.close()
    return rows(
        {name: runner.answers[2:] for name, runner in runners.items()},
        limit,
        steps,
        f"L{shape.layers} d{shape.width}, {tokens:,} tokens",
        str(precision).removeprefix("torch."),
    )


def rows(rounds: dict[str, list[dict[str, Any]]], limit: list[float], steps: int, shape: str, precision: str) -> list[scores.Row]:
    """Return races of ours with each peer in wall seconds per step, and the matrix products of a step as the defaults' limit."""
    walls = {name: scores.per_unit(steps, [answer["wall"] for answer in answers]) for name, answers in rounds.items()}
    peaks = {name: answers[-1]["peak"] * 1.048576 for name, answers in rounds.items()}
    mine = [name for name in rounds if name in OURS]
    races: list[scores.Row] = [
        scores.Race(
            "training",
            f"a step of {shape}; {own.removeprefix('ours, ')}",
            peer,
            "wall s",
            walls[own],
            walls[peer],
            peaks[own],
            peaks[peer],
        )
        for peer in rounds
        if peer not in OURS
        for own in mine
    ]
    name = f"matrix products of a step alone, {shape}, {precision}, at torch's speed"
    return races + [scores.Limit("training", name, "wall s", walls[own], scores.per_unit(steps, limit)) for own in mine[:1]]


def load(folder: str) -> None:
    """Print the loader's speed on a folder of token shards: random windows on one core."""
    corpus = TokenDataset.open(folder)
    batches = Batches(corpus.train, context=1024, windows=512, seed=1)
    batches.micro_batches(0)
    speeds = []
    for step in range(1, 21):
        began = time.process_time()
        batches.micro_batches(step)
        speeds.append(512 * 1024 / (time.process_time() - began) / 1e6)
    print(f"loader: {min(speeds):,.0f} - {statistics.median(speeds):,.0f} - {max(speeds):,.0f} M tokens per second on one core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="nanoGPT's source folder, with model.py")
    parser.add_argument(
        "--memory", action="store_true", help="compare GPT-2 small on two windows of 1,024 tokens with Hugging Face's"
    )
    parser.add_argument("--tokens", help="folder of token shards: measure the loader on it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="steps per round (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--only", nargs="+", metavar="VARIANT", help=", ".join([*NANOGPT, *HUGGING_FACE, *OURS]))
    parser.add_argument("--variant", nargs=3, help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.variant:
        name, folder, threads = arguments.variant
        torch.set_num_threads(int(threads))
        bf16, compiled = OURS[name]
        training_peer.serve(ours(Path(folder), bf16=bf16, compiled=compiled), training_peer.windows_of(Path(folder)))
        return
    if arguments.tokens:
        load(arguments.tokens)
    if not (arguments.nanogpt or arguments.memory):
        return
    shape, windows = (GPT2_SMALL, 2) if arguments.memory else (SMALL, 4)
    rounds, steps = (1, 1) if arguments.memory else (arguments.rounds, arguments.steps)
    print(f"torch {torch.__version__}, {arguments.threads} threads, L{shape.layers} d{shape.width} T{shape.context} B{windows}")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), shape, 1 + rounds * steps, windows)
        torch.set_num_threads(arguments.threads)
        scores.append_rows(
            arguments.scores, race(commands(arguments, Path(folder)), rounds, steps, shape, windows * shape.context)
        )


if __name__ == "__main__":
    main()
