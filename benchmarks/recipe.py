"""The gain of each part of a modern recipe at equal tokens: `python benchmarks/recipe.py --tokens FOLDER --seeds 1 2 3`.

FOLDER holds token shards with a small vocabulary (`pipeline vocabulary --vocab-size 4096`), so that most of the training goes into the
blocks. Every run is `webtext-train train` itself. Differences are paired by seed: both runs of a pair see the same windows in the same
order.
"""

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import torch

from tokenizer.shards import Manifest
from trainer import cli

SHAPE = ("--layers=4", "--heads=2", "--width=64", "--context=128", "--batch-tokens=1024", "--micro-batch=8")
RECIPE = ("--warmup-steps=20", "--validation-tokens=65536", "--log-every=50", "--keep=1")
ADAMW, MUON = "--learning-rate=2.5e-3", "--learning-rate=1.2e-2"  # the best of a sweep in factors of two, one seed
MODERN = (
    "--optimizer=muon", "--qk-norm", "--positions=rotary", "--activation=relu2", "--zero-projections", "--no-tied",
    "--schedule=wsd", "--decay-fraction=0.6",
)  # fmt: skip
PARTS = {
    "all parts": (*MODERN, MUON),
    "GPT-2": (ADAMW,),
    "GPT-2, Muon": ("--optimizer=muon", MUON),
    "all but Muon": (*MODERN, "--optimizer=adamw", ADAMW),
    "all but QK-norm": (*MODERN, "--no-qk-norm", MUON),
    "all but rotary": (*MODERN, "--positions=learned", MUON),
    "all but ReLU²": (*MODERN, "--activation=gelu", MUON),
    "all but zeros": (*MODERN, "--no-zero-projections", MUON),
    "all but untied": (*MODERN, "--tied", MUON),
    "all but WSD": (*MODERN, "--schedule=cosine", MUON),
    "--recipe modern": ("--recipe=modern", MUON),
    "modern, softcap": ("--recipe=modern", "--softcap=15", MUON),
    "modern, RMSNorm": ("--recipe=modern", "--norm=rms", MUON),
    "modern, skips": ("--recipe=modern", "--skips", MUON),
    "modern, values": ("--recipe=modern", "--value-embeddings", MUON),
    "modern, fp32": ("--recipe=modern", "--fp32-stream", MUON),
}


def loss_of(tokens: Path, steps: int, more: tuple[str, ...]) -> float:
    """Train and return the final validation loss in nats per token."""
    vocabulary = f"--vocabulary={Manifest.load(tokens).vocab_size}"
    intervals = (f"--steps={steps}", f"--validate-every={steps}", f"--checkpoint-every={steps}")
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "tiny", "--data", str(tokens), "--out", folder, vocabulary, *SHAPE, *RECIPE, *intervals, *more]
        if cli.main(words) != 0:
            raise SystemExit(f"failed: {' '.join(words)}")
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    return float(lines[-1]["val_loss"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--parts", nargs="+", default=list(PARTS), help=", ".join(PARTS))
    parser.add_argument("--more", nargs="*", default=[], help="more flags for all runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    base: list[float] = []
    for part in arguments.parts:
        began, flags = time.process_time(), (*PARTS[part], *arguments.more)
        losses = [loss_of(arguments.tokens, arguments.steps, (f"--seed={seed}", *flags)) for seed in arguments.seeds]
        base = base or losses
        gains = [mine - first for mine, first in zip(losses, base, strict=True)]
        spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
        shown = " ".join(f"{loss:.4f}" for loss in losses)
        seconds = (time.process_time() - began) / len(losses)
        print(f"{part:18} {shown}   {statistics.mean(gains):+.4f} ± {spread:.4f}   {seconds:.0f} CPU s per run", flush=True)


if __name__ == "__main__":
    main()
