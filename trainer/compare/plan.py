"""What a comparison is: its corpora, held-out sets, network, seeds and tokens; and where its files are.

plan.json                what was asked; another command on the same folder is refused
held-out/NAME.json       the texts of each held-out set
tokenizers/NAME/         each corpus' tokenizer
pilot/CORPUS-SEED/       short runs that tell the noise
runs/CORPUS-SEED/        one run each: log.jsonl, scores.npz, run.json when it is finished
comparison.json, comparison.html, card.md    the answer
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

from tokenizer.errors import FormatError, InputError
from tokenizer.labels import printable
from tokenizer.outputs import check_folder, written_aside
from tokenizer.shards import Manifest
from tokenizer.typed_json import convert, decode
from tokenizer.untrusted import read_file
from trainer.compare.held_out import HeldOut
from trainer.config import TrainConfig

PLAN = "plan.json"
HELD_OUT, TOKENIZERS, PILOT, RUNS = "held-out", "tokenizers", "pilot", "runs"
OUTPUT = "output.txt"
"""What the workers print."""
RESULTS = ("comparison.json", "comparison.html", "card.md")
OWN_NAMES = (PLAN, HELD_OUT, TOKENIZERS, PILOT, RUNS, OUTPUT, *RESULTS)


@dataclass(frozen=True, slots=True)
class Corpus:
    """A corpus under comparison: its folder of token shards, and its corpus folder if that was named."""

    name: str
    tokens: str
    corpus: str | None
    sha256: str
    tokenizer_sha256: str
    train_tokens: int
    train_documents: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A comparison. `tokens` are trained on by each run, `pilot_tokens` by each run of the pilot; `seeds` is 0 until known.

    `about_recipe` tells whether intervals hold for the recipes behind the corpora or for these very corpora. `by_page` tells whether
    training documents are drawn by their pages' addresses, which all corpora know, or by their own ids.
    """

    corpora: tuple[Corpus, ...]
    sets: dict[str, str]
    primary: tuple[str, ...]
    config: dict[str, Any]
    tokens: int
    pilot_tokens: int
    level: float
    power: float
    detect: float
    about_recipe: bool
    threads: int
    device: str
    tasks: tuple[str, ...]
    eval_data: tuple[str, ...]
    removed: dict[str, int]
    unreadable: dict[str, str]
    by_page: bool = False

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return body

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The plan of a folder. Raises InputError for a damaged one."""
        path = folder / PLAN
        try:
            return convert(json.loads(read_file(path)), cls)
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: cannot be read ({printable(error)}); choose another --out") from error

    def record(self, folder: Path) -> None:
        """Write the plan into a new folder, or check that the folder's plan is this one. Raises InputError if it is not."""
        path = folder / PLAN
        if not path.exists():
            check_folder(folder, OWN_NAMES)
            with written_aside(path) as aside:
                aside.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")
            return
        before, now = Plan.load(folder).to_json(), self.to_json()
        different = [name for name in now if now[name] != before[name]]
        if different:
            name = different[0]
            values = f"{printable(before[name], 80)}, not {printable(now[name], 80)}"
            raise InputError(f"{folder}: holds a comparison with other settings ({name}: {values}); choose another --out")

    def tokenizer(self, corpus: int, out: Path) -> Path:
        """Where a corpus' tokenizer is kept."""
        return out / TOKENIZERS / self.corpora[corpus].name

    def train_config(self, corpus: int, seed: int, tokens: int) -> TrainConfig:
        """The recipe of a run: the plan's, with the seed and steps for `tokens`."""
        config = TrainConfig.from_json(self.config)
        vocabulary = Manifest.load(self.corpora[corpus].tokens).vocab_size
        steps = max(1, tokens // config.batch_tokens)
        return replace(
            config,
            model=replace(config.model, vocabulary=vocabulary),
            seed=seed,
            steps=steps,
            warmup_steps=min(config.warmup_steps, steps // 10),
            checkpoint_every=max(50, steps // 4),
            log_every=max(1, steps // 50),
            validate_every=max(steps, 1),
            keep=1,
        )


@dataclass(frozen=True, slots=True)
class TrialRun:
    """One training: a corpus by its position in the plan, a seed, and whether it belongs to the pilot."""

    corpus: int
    seed: int
    pilot: bool = False

    def folder(self, plan: Plan, out: Path) -> Path:
        """Where the run keeps its files."""
        return out / (PILOT if self.pilot else RUNS) / f"{plan.corpora[self.corpus].name}-{self.seed}"

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The run in a line of JSON."""
        return decode(text.encode(), cls)


def open_corpora(words: Sequence[str]) -> tuple[list[Corpus], dict[str, str]]:
    """The corpora of the command line, and the reason for each that cannot be read. Raises InputError if fewer than two can.

    A word is a folder of token shards, a corpus folder with `tokens/`, or either as NAME=FOLDER.
    """
    corpora, unreadable = list[Corpus](), dict[str, str]()
    for word in words:
        name, equals, path = word.partition("=")
        folder = Path(path) if equals else Path(word)
        try:
            corpora.append(_open(name if equals else "", folder))
        except (FormatError, InputError) as error:
            unreadable[str(folder)] = str(error)
    corpora = _distinct(corpora)
    if len(corpora) < 2:
        reasons = "; ".join(unreadable.values())
        raise InputError(f"a comparison needs two corpora that can be read{f': {reasons}' if reasons else ''}")
    return corpora, unreadable


def _open(name: str, folder: Path) -> Corpus:
    inner = folder / "tokens"
    is_corpus = not (folder / "manifest.json").exists() and (inner / "manifest.json").exists()
    tokens = inner if is_corpus else folder
    manifest = Manifest.load(tokens)
    split = manifest.split("train")
    if not split.tokens:
        raise InputError(f"{tokens}: the training split has no tokens; build the corpus from more links")
    beside = tokens.resolve().parent
    corpus = folder if is_corpus else beside if (beside / "documents" / "manifest.json").exists() else None
    name = name or (beside.name if tokens.resolve().name == "tokens" else tokens.resolve().name)
    return Corpus(
        name,
        str(tokens),
        str(corpus) if corpus else None,
        manifest.sha256,
        manifest.tokenizer_sha256,
        split.tokens,
        split.documents,
    )


def _distinct(corpora: Sequence[Corpus]) -> list[Corpus]:
    """The corpora with a safe name each, no two the same."""
    names: list[str] = []
    for corpus in corpora:
        plain = "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in corpus.name).strip(".-") or "corpus"
        name, number = plain[:60], 1
        while name in names:
            number += 1
            name = f"{plain[:60]}.{number}"
        names.append(name)
    return [replace(corpus, name=name) for corpus, name in zip(corpora, names, strict=True)]


def usable_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def save_set(out: Path, held_out: HeldOut) -> None:
    """Write a held-out set's texts."""
    path = out / HELD_OUT / f"{held_out.name}.json"
    with written_aside(path) as aside:
        aside.write_text(json.dumps(asdict(held_out), ensure_ascii=True), encoding="ascii")


def load_sets(out: Path, plan: Plan) -> list[HeldOut]:
    """The held-out sets of a plan. Raises InputError where a file is missing or is not the plan's."""
    sets = []
    for name, sha256 in plan.sets.items():
        path = out / HELD_OUT / f"{name}.json"
        try:
            held_out = convert(json.loads(read_file(path, 1 << 30)), HeldOut)
        except (ValueError, OSError) as error:
            raise InputError(f"{path}: cannot be read ({printable(error)}); choose another --out") from error
        if held_out.sha256 != sha256:
            raise InputError(f"{path}: holds other texts than the plan says; choose another --out")
        sets.append(held_out)
    return sets
