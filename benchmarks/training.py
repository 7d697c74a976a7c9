"""Training beside nanoGPT and Hugging Face's GPT-2: `python benchmarks/training.py --nanogpt ITS_SOURCE`.

Each variant is a process of its own (benchmarks/training_peer.py for the peers); all begin with the same weights, read the same windows of
real text, and take turns, a few steps each, so that what else the machine does falls on all alike. The ratios are of the rounds' times.
`--memory` compares peaks at GPT-2 small's shape instead; `--tokens` measures the loader on a folder of token shards.
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
from trainer.compiling import CompiledNetwork
from trainer.config import ModelConfig, TrainConfig
from trainer.data import Batches, TokenDataset
from trainer.distributed import World
from trainer.export import load_hf, save_hf
from trainer.model import GPT
from trainer.optim import GradientGuard, Optimizer

SMALL = ModelConfig(layers=4, heads=4, width=256, context=256)
GPT2_SMALL = ModelConfig()
OURS = {  # bf16, compiled
    "ours, defaults": (True, True),
    "ours, bf16, no compile": (True, False),
    "ours, fp32, compile": (False, True),
    "ours, fp32, no compile": (False, False),
}
NANOGPT = {"nanoGPT": "nanogpt", "nanoGPT, compile": "nanogpt-compiled"}
HUGGING_FACE = {"Hugging Face, fp32": "hugging-face", "Hugging Face, bf16": "hugging-face-bf16"}


def ours(folder: Path, *, bf16: bool, compiled: bool) -> training_peer.Step:
    """A step as `trainer.loop` makes it."""
    keep_large_pages()
    model = load_hf(folder / "start")
    config = TrainConfig(model=model.config, learning_rate=6e-4, batch_tokens=model.config.context)
    optimizer, guard = Optimizer(model, config), GradientGuard(config.spike_sigmas, torch.device("cpu"))
    network = CompiledNetwork(model, folder, World()).network if compiled else model

    def step(inputs: torch.Tensor, targets: torch.Tensor) -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = network(inputs, targets)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip)
        optimizer.step(1.0, guard.judge(norm))
        return float(loss.item())

    return step


class Runner:
    """A variant in its process."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.answers = [self._answer()]

    def take(self, first: int, count: int) -> dict[str, Any]:
        """Let it make so many steps, and wait."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{first} {count}\n")
        self._process.stdin.flush()
        self.answers.append(self._answer())
        return self.answers[-1]

    def close(self) -> None:
        """Let it end."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._process.args}: ended with {self._process.wait()}")
        return dict(json.loads(line))


def prepare(folder: Path, shape: ModelConfig, steps: int, rows: int) -> None:
    """The weights to begin with and the windows: Python's language reference, in a vocabulary learnt from it."""
    model = GPT(shape)
    model.init_weights(1)
    text = "".join(topics[name] for name in sorted(topics))
    tokenizer = train(Counter(pre_tokenize(text)), 8192)
    save_hf(model, tokenizer, folder / "start")
    ids = np.array(tokenizer.encode(text), np.int32)
    wanted = shape.context + 1
    starts = np.random.default_rng(1).integers(0, len(ids) - wanted, steps * rows)
    windows = np.stack([ids[start : start + wanted] for start in starts])
    np.save(folder / "windows.npy", windows.reshape(steps, rows, wanted))


def commands(arguments: argparse.Namespace, folder: Path) -> dict[str, list[str]]:
    """The command of every variant that was asked for; the first is what the others are held against."""
    peer, mine = str(Path(training_peer.__file__)), str(Path(__file__))
    threads = str(arguments.threads)
    found = {}
    if arguments.nanogpt and not arguments.memory:
        source = str(arguments.nanogpt)
        found.update({name: [sys.executable, peer, kind, str(folder), threads, source] for name, kind in NANOGPT.items()})
    if arguments.memory:
        try:
            python = peers.python("transformers", "transformers==5.14.0", "torch==2.13.0", "safetensors")
            found.update({name: [str(python), peer, kind, str(folder), threads] for name, kind in HUGGING_FACE.items()})
        except peers.PeerError as error:
            print(error)
    found.update({name: [sys.executable, mine, "--variant", name, str(folder), threads] for name in OURS})
    return {name: found[name] for name in found if not arguments.only or name in arguments.only}


def race(found: dict[str, list[str]], rounds: int, each: int, shape: ModelConfig, tokens: int) -> list[scores.Row]:
    """Print each variant's speed, memory and loss, and its ratios to the first."""
    runners, limit = {}, []
    for name, command in found.items():
        runners[name] = Runner(command)
        first = runners[name].take(0, 1)
        print(f"{name:24} first step {first['wall']:6.1f} s", flush=True)
    for turn in range(rounds):
        for runner in runners.values():
            runner.take(1 + turn * each, each)
        limit.append(each * products.seconds(shape, tokens, tokens, torch.bfloat16, backward=True))
    base = next(iter(runners.values())).answers[2:]
    for name, runner in runners.items():
        taken = runner.answers[2:]
        ratios = sorted(b["wall"] / t["wall"] for b, t in zip(base, taken, strict=True))
        processor = statistics.median(b["processor"] / t["processor"] for b, t in zip(base, taken, strict=True))
        speed = tokens * each / statistics.median(t["wall"] for t in taken)
        peak = taken[-1]["peak"]
        spread = f"{ratios[0]:.2f}-{statistics.median(ratios):.2f}-{ratios[-1]:.2f}"
        curve = f"{runner.answers[1]['losses'][0]:.4f} -> {taken[-1]['losses'][-1]:.4f}"
        print(f"{name:24} {speed:7,.0f} tokens/s  {spread:>15}x wall  {processor:5.2f}x processor  {peak:6,} MiB  loss {curve}")
        runner.close()
    return rows(
        {name: runner.answers[2:] for name, runner in runners.items()},
        limit,
        each,
        f"L{shape.layers} d{shape.width}, {tokens:,} tokens",
    )


def rows(taken: dict[str, list[dict[str, Any]]], limit: list[float], each: int, shape: str) -> list[scores.Row]:
    """Ours beside each peer by wall seconds a step, and beside the products of a step in bf16."""
    walls = {name: scores.per(each, [answer["wall"] for answer in answers]) for name, answers in taken.items()}
    peaks = {name: answers[-1]["peak"] * 1.048576 for name, answers in taken.items()}
    mine = [name for name in taken if name in OURS]
    found: list[scores.Row] = [
        scores.Race(
            "training",
            f"a step of {shape}; {own.removeprefix('ours, ')}",
            peer,
            "s of wall",
            walls[own],
            walls[peer],
            peaks[own],
            peaks[peer],
        )
        for peer in taken
        if peer not in OURS
        for own in mine
    ]
    told = f"a step's products alone, {shape}, bf16, at torch's own speed"
    return found + [scores.Limit("training", told, "s of wall", walls[own], scores.per(each, limit)) for own in mine[:1]]


def load(folder: str) -> None:
    """Print the loader's speed on a folder of token shards: random windows, one core."""
    corpus = TokenDataset.open(folder)
    batches = Batches(corpus.train, context=1024, windows=512, seed=1)
    batches.micro_batches(0)
    speeds = []
    for step in range(1, 21):
        began = time.process_time()
        batches.micro_batches(step)
        speeds.append(512 * 1024 / (time.process_time() - began) / 1e6)
    print(f"loader: {min(speeds):,.0f} - {statistics.median(speeds):,.0f} - {max(speeds):,.0f} M tokens a second of one core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="its source folder, with model.py")
    parser.add_argument("--memory", action="store_true", help="GPT-2 small, two windows of 1,024, beside Hugging Face's")
    parser.add_argument("--tokens", help="a folder of token shards: the loader's speed")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=2, help="a round")
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
    rounds, each = (1, 1) if arguments.memory else (arguments.rounds, arguments.steps)
    print(f"torch {torch.__version__}, {arguments.threads} threads, L{shape.layers} d{shape.width} T{shape.context} B{windows}")
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), shape, 1 + rounds * each, windows)
        torch.set_num_threads(arguments.threads)
        scores.hand_over(arguments.scores, race(commands(arguments, Path(folder)), rounds, each, shape, windows * shape.context))


if __name__ == "__main__":
    main()
