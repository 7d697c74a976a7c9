"""One run of a comparison: draws its documents, trains, scores the held-out sets, and keeps the numbers.

As a program (`python -m trainer.compare.run OUT`) it takes runs as lines of JSON from its standard input, one at a time, and
answers each with a line: `done`, or `failed` and why.
"""

import json
import logging
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tokenizer.codec import Tokenizer
from tokenizer.errors import FormatError, InputError
from tokenizer.outputs import written_aside
from tokenizer.shards import Manifest
from tokenizer.terminal import error_line
from tokenizer.untrusted import read_file
from trainer import finite_json
from trainer.checkpoint.folders import CHECKPOINTS, checkpoints, set_aside, sweep
from trainer.checkpoint.metadata import DamagedCheckpointError, read_metadata
from trainer.compare.held_out import HeldOut
from trainer.compare.origins import page_ids
from trainer.compare.plan import Plan, TrialRun, load_sets
from trainer.compare.sample import Drawn, write_sample
from trainer.compare.score import CURVE_SHARE, HeldOutEvaluator, document_bits
from trainer.data import TokenDataset
from trainer.distributed import environment, process_group
from trainer.evals.candidate import Candidate, Network
from trainer.evals.registry import select
from trainer.evals.results import Provenance
from trainer.evals.suite import Suite
from trainer.evals.task import check_folders
from trainer.loop import Trainer
from trainer.metrics import LOG, read_lines
from trainer.state import StopReason
from trainer.train import resolve_precision

RUN, SCORES, DATA = "run.json", "scores.npz", "data"
CURVE_POINTS = 8


class FailedRunError(RuntimeError):
    """A run diverged or was stopped."""


def finished(folder: Path) -> dict[str, Any] | None:
    """What a finished run recorded, or None."""
    try:
        body: dict[str, Any] = json.loads(read_file(folder / RUN))
    except (OSError, ValueError, RecursionError):
        return None
    return body if (folder / SCORES).exists() else None


def scores(folder: Path) -> dict[str, np.ndarray[Any, np.dtype[np.float64]]]:
    """Bits of each document of a finished run, by held-out set."""
    with np.load(folder / SCORES, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def perform(plan: Plan, sets: list[HeldOut], run: TrialRun, out: Path) -> None:
    """Do a run, or go on with it where it was killed; it does nothing if the run is finished.

    Raises FailedRunError if it diverges or a signal stops it, and InputError for a damaged corpus.
    """
    folder = run.folder(plan, out)
    if finished(folder) is not None:
        return
    began = time.monotonic()
    corpus = plan.corpora[run.corpus]
    tokens = plan.pilot_tokens if run.pilot else plan.tokens
    folder.mkdir(parents=True, exist_ok=True)
    try:
        manifest = Manifest.load(corpus.tokens)
        if manifest.sha256 != corpus.sha256:
            raise InputError(f"{corpus.tokens}: is another corpus than when the comparison began; choose another --out")
        if plan.about_recipe:
            data = folder / DATA
            pages = page_ids(corpus) if plan.by_page else None
            drawn = write_sample(manifest, manifest.open("train"), run.seed, tokens, data, pages)
        else:
            data, drawn = Path(corpus.tokens), Drawn(corpus.train_documents, corpus.train_tokens, 1.0)
    except FormatError as error:
        raise InputError(str(error)) from error
    tokenizer = Tokenizer.load(plan.tokenizer(run.corpus, out))
    trainer = _trainer(plan, sets, run, tokenizer, folder, data, tokens)
    with process_group(trainer.world):
        reason = trainer.train()
        if reason is not StopReason.FINISHED:
            raise FailedRunError(f"{folder}: {'diverged' if reason is StopReason.DIVERGED else 'stopped by a signal'}")
        network = Network(trainer.model, "bf16" if trainer.config.precision == "bf16" else "fp32")
        bits = {each.name: document_bits(network, tokenizer, each.texts) for each in sets}
        results = [] if run.pilot else _tasks(plan, network, tokenizer, trainer, folder)
    with written_aside(folder / SCORES) as aside, aside.open("wb") as sink:
        np.savez(sink, **bits)  # type: ignore[arg-type]  # numpy's stub takes the names for `allow_pickle`
    body = {
        "run": run.to_json(),
        "drawn": asdict(drawn),
        "tokens": trainer.config.steps * trainer.config.batch_tokens,
        "parameters": trainer.config.model.parameters,
        "device": trainer.world.device_description,
        "seconds": round(time.monotonic() - began, 3),
        "curve": _curve(folder, trainer.config.batch_tokens),
        "tasks": results,
    }
    with written_aside(folder / RUN) as aside:
        aside.write_text(finite_json.dumps(body, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder / DATA, ignore_errors=True)
    shutil.rmtree(folder / CHECKPOINTS)


def _trainer(
    plan: Plan, sets: list[HeldOut], run: TrialRun, tokenizer: Tokenizer, folder: Path, data: Path, tokens: int
) -> Trainer:
    """A trainer at the run's newest checkpoint, or at its beginning."""
    world = environment(plan.device)
    config = resolve_precision(plan.train_config(run.corpus, run.seed, tokens), world)
    points = np.unique(np.geomspace(max(1, config.steps // 32), config.steps, CURVE_POINTS).round().astype(int))
    precision = "bf16" if config.precision == "bf16" else "fp32"
    most_bytes = int(CURVE_SHARE * tokens / len(points) / len(sets))
    evaluator = HeldOutEvaluator(tuple(sets), tokenizer, precision, frozenset(points.tolist()), most_bytes)
    dataset = TokenDataset.open(data, verify=False)
    sweep(folder)
    trainer = Trainer(config, dataset, tokenizer, folder, world, evaluator)  # type: ignore[arg-type]  # the same face
    for path in reversed(checkpoints(folder)):
        try:
            metadata = read_metadata(path)
        except DamagedCheckpointError:
            set_aside(path)
            continue
        trainer.resume(path, metadata)
        break
    return trainer


def _tasks(plan: Plan, network: Network, tokenizer: Tokenizer, trainer: Trainer, folder: Path) -> list[dict[str, Any]]:
    """The headline of each zero-shot task that has its data."""
    if not plan.tasks:
        return []
    provenance = Provenance(
        folder.name, "", trainer.config.model.parameters, trainer.config.steps, tokenizer.sha256, "fp32", network.device.type, ""
    )
    candidate = Candidate(network, tokenizer, limit=trainer.config.eval_limit or None)
    evaluation = Suite(candidate, provenance, check_folders(plan.eval_data)).run(select(list(plan.tasks)))
    rows = []
    for record in evaluation.records:
        headline = next((result for result in record.results if result.row), record.results[0])
        rows.append({"task": record.task, "metric": headline.metric, "value": headline.value})
    return rows


def _curve(folder: Path, batch_tokens: int) -> dict[str, list[list[float]]]:
    """Points (tokens, bits per byte) by held-out set, from the log."""
    curve: dict[str, list[list[float]]] = {}
    for line in read_lines(folder / LOG):
        for row in line.get("evaluation", []):
            curve.setdefault(row["task"], []).append([line["step"] * batch_tokens, row["value"]])
    return curve


def main(words: list[str]) -> int:
    """Serve runs from the standard input until it ends."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    out = Path(words[0])
    plan = Plan.load(out)
    sets = load_sets(out, plan)
    torch.set_num_threads(plan.threads)
    for line in sys.stdin:
        try:
            perform(plan, sets, TrialRun.from_json(line), out)
            answer = "done"
        except (FailedRunError, InputError, OSError, torch.OutOfMemoryError) as error:
            answer = f"failed {error_line(error)}"
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
