"""The gain of each part of a modern recipe at equal tokens: `python benchmarks/recipe.py --results FILE --seeds 1 2 3`.

Every run is `webtext-train train` itself, on one thread in fp32, on the texts of real pages in a vocabulary learnt from them (or
`--tokens`: a folder of token shards with a small vocabulary, so that most of the training goes into the blocks). Differences are
paired by seed: both runs of a pair see the same windows in the same order. Each run's curve is a line of FILE; the same command
again makes only the runs that are not there. `--table` makes none: it prints what FILE holds.
"""

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import gold
import numpy as np
import torch
from scipy import stats

from tokenizer.bpe import train
from tokenizer.convert import write_folder
from tokenizer.pre_tokens import pre_tokenize
from tokenizer.shards import Manifest
from trainer import cli

SHAPE = ("--layers=4", "--heads=2", "--width=64", "--context=128", "--batch-tokens=1024", "--micro-batch=8", "--precision=fp32")
RECIPE = ("--warmup-steps=20", "--validation-tokens=32768", "--log-every=50", "--keep=1")
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
    "modern": ("--recipe=modern", MUON),
    "modern, softcap": ("--recipe=modern", "--softcap=15", MUON),
    "modern, RMSNorm": ("--recipe=modern", "--norm=rms", MUON),
    "modern, skips": ("--recipe=modern", "--skips", MUON),
    "modern, values": ("--recipe=modern", "--value-embeddings", MUON),
    "modern, window": ("--recipe=modern", "--window-warmup-steps={half}", MUON),
    "modern, bf16 embeddings": ("--recipe=modern", "--bf16-embeddings", MUON),
}
VOCABULARY, HELD_OUT_SHARE, VALIDATIONS = 4096, 0.06, 2
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class RecipeRun:
    """A run's validation losses in nats per token, each after so many tokens, and its processor seconds."""

    part: str
    seed: int
    steps: int
    curve: dict[int, float]
    seconds: float

    @property
    def loss(self) -> float:
        """The last validation loss."""
        return self.curve[max(self.curve)]

    def to_json(self) -> str:
        """The run as a line of JSON."""
        curve = {str(tokens): loss for tokens, loss in self.curve.items()}
        return json.dumps({"part": self.part, "seed": self.seed, "steps": self.steps, "curve": curve, "seconds": self.seconds})

    @classmethod
    def from_json(cls, line: str) -> "RecipeRun":
        """The run of a line."""
        body = json.loads(line)
        return cls(**{**body, "curve": {int(tokens): loss for tokens, loss in body["curve"].items()}})


@dataclass(frozen=True, slots=True)
class Gain:
    """Mean of the paired differences of a part's losses from the base's, and the half-width of its confidence interval."""

    mean: float
    reach: float
    seeds: int

    @property
    def verdict(self) -> str:
        """Whether the interval excludes no difference."""
        if self.seeds < 2 or abs(self.mean) <= self.reach:
            return "undecided"
        return "helps" if self.mean < 0 else "hurts"


def gain(part: Sequence[RecipeRun], base: Sequence[RecipeRun]) -> Gain:
    """The gain over the seeds that both have, by Student's t. Below 0, the part is better."""
    others = {run.seed: run.loss for run in base}
    differences = [run.loss - others[run.seed] for run in part if run.seed in others]
    count = len(differences)
    if count < 2:
        return Gain(statistics.mean(differences) if differences else math.nan, math.inf, count)
    quantile = float(stats.t.ppf((1 + CONFIDENCE) / 2, count - 1))
    return Gain(statistics.mean(differences), quantile * statistics.stdev(differences) / math.sqrt(count), count)


def prepare(pages: Path, folder: Path) -> Path:
    """Write token shards of the pages' gold texts: a document per page, every so-manyth of them held out."""
    texts = sorted({page.text for page in gold.load(pages, gold.ARTICLES) if page.text})
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(pre_tokenize(text))
    tokenizer = train(counts, VOCABULARY)
    every = round(1 / HELD_OUT_SHARE)
    splits: dict[str, list[int]] = {"train": [], "validation": []}
    for number, text in enumerate(texts):
        splits["train" if number % every else "validation"] += [*tokenizer.encode(text), tokenizer.eot_id]
    write_folder(folder, {name: np.array(ids, "<u2") for name, ids in splits.items()}, tokenizer)
    return folder


def train_part(tokens: Path, part: str, seed: int, steps: int, more: Sequence[str]) -> RecipeRun:
    """Train once. Exits where training fails."""
    began = time.process_time()
    vocabulary = f"--vocabulary={Manifest.load(tokens).vocab_size}"
    intervals = (f"--steps={steps}", f"--validate-every={max(1, steps // VALIDATIONS)}", f"--checkpoint-every={steps}")
    flags = [flag.format(half=steps // 2) for flag in PARTS[part]]
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "tiny", "--data", str(tokens), "--out", folder, vocabulary, *SHAPE, *RECIPE, *intervals]
        words += [*flags, f"--seed={seed}", *more]
        if cli.main(words) != 0:
            raise SystemExit(f"failed: {' '.join(words)}")
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
    curve = {line["step"] * 1024: line["val_loss"] for line in lines if "val_loss" in line}
    return RecipeRun(part, seed, steps, curve, round(time.process_time() - began, 1))


def table(runs: Sequence[RecipeRun], base: str) -> Iterator[str]:
    """Rows of a Markdown table: losses by seed, and the difference from the base with its interval."""
    by_part: dict[str, list[RecipeRun]] = {}
    for run in sorted(runs, key=lambda run: run.seed):
        by_part.setdefault(run.part, []).append(run)
    seeds = sorted({run.seed for run in runs})
    yield f"| recipe | {' | '.join(f'seed {seed}' for seed in seeds)} | less {base} | CPU s |"
    yield f"|---|{'--:|' * len(seeds)}---|--:|"
    for part, done in by_part.items():
        losses = {run.seed: f"{run.loss:.4f}" for run in done}
        found = gain(done, by_part.get(base, ()))
        shown = "" if part == base else f"{found.mean:+.4f} ± {found.reach:.4f}: {found.verdict}"
        seconds = statistics.median(run.seconds for run in done)
        yield f"| {part} | {' | '.join(losses.get(seed, '') for seed in seeds)} | {shown} | {seconds:.0f} |"
    yield ""
    positions = sorted({tokens for run in runs for tokens in run.curve})
    yield f"| recipe, mean over seeds | {' | '.join(f'{tokens:,} tokens' for tokens in positions)} |"
    yield f"|---|{'--:|' * len(positions)}"
    for part, done in by_part.items():
        means = [statistics.mean(run.curve[tokens] for run in done if tokens in run.curve) for tokens in positions]
        yield f"| {part} | {' | '.join(f'{loss:.4f}' for loss in means)} |"


def main(argv: Sequence[str] | None = None) -> int:
    """Make the runs that are missing, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, required=True, help="file of runs, a line of JSON each")
    parser.add_argument("--tokens", type=Path, help="folder of token shards; default: the texts of --pages")
    parser.add_argument("--pages", type=Path, default=Path("../shared/data/html"), help="folder of pages with gold text")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--parts", nargs="+", default=[part for part in PARTS if part.startswith("modern")], choices=list(PARTS))
    parser.add_argument("--more", nargs="*", default=[], help="more flags for all runs")
    parser.add_argument("--table", action="store_true", help="train nothing; print the runs of --results")
    arguments = parser.parse_args(argv)
    lines = arguments.results.read_text().splitlines() if arguments.results.exists() else []
    runs = [run for run in map(RecipeRun.from_json, lines) if run.steps == arguments.steps]
    if not arguments.table:
        torch.set_num_threads(1)
        with tempfile.TemporaryDirectory() as folder:
            tokens = arguments.tokens or prepare(arguments.pages, Path(folder) / "tokens")
            for seed in arguments.seeds:  # all parts of a seed before the next: what is there can be compared at any time
                for part in arguments.parts:
                    if not any((run.part, run.seed) == (part, seed) for run in runs):
                        runs.append(train_part(tokens, part, seed, arguments.steps, arguments.more))
                        with arguments.results.open("a") as file:
                            file.write(runs[-1].to_json() + "\n")
    sys.stdout.write("\n".join(table(runs, arguments.parts[0])) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
