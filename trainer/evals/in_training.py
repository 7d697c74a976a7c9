"""Evaluate the network between the steps of a training run; every rank evaluates its share of the examples."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch.distributed.tensor import DTensor

from tokenizer.errors import InputError
from tokenizer.shards import Manifest
from trainer.config import TrainConfig
from trainer.evals.candidate import Candidate, Codec, Network
from trainer.evals.registry import select
from trainer.evals.task import Task
from trainer.evals.tasks import held_out
from trainer.evals.text.files import check_file
from trainer.model import GPT

log = logging.getLogger(__name__)


def find_tasks(names: Sequence[str], folders: Sequence[Path], context_tokens: int) -> tuple[tuple[Task, tuple[Path, ...]], ...]:
    """The tasks whose files are in the folders, with the files; each other task is logged.

    Raises InputError for an unknown name, and for a file that cannot be parsed: not after hours of training.
    """
    tasks = []
    for task in select(list(names)):
        paths = task.locate(list(folders), context_tokens)
        if isinstance(paths, str):
            log.info("%s: skipped: %s", task.name, paths)
        else:
            for path in [] if task.reads_tokens else paths:
                check_file(path)
            tasks.append((task, tuple(paths)))
    return tuple(tasks)


@dataclass(frozen=True, slots=True)
class InTrainingEvaluator:
    """Tasks with the files that they read. `limit` is the most examples per task."""

    tasks: tuple[tuple[Task, tuple[Path, ...]], ...]
    tokenizer: Codec
    precision: str
    every_steps: int
    limit: int | None

    @classmethod
    def prepare(cls, names: Sequence[str], folders: Sequence[Path], tokenizer: Codec, config: TrainConfig) -> Self:
        """An evaluator of the tasks whose files are in the folders. Raises InputError as `find_tasks` does."""
        tasks = find_tasks(names, folders, config.model.context)
        precision = "bf16" if config.precision == "bf16" else "fp32"
        return cls(tasks, tokenizer, precision, config.eval_every, config.eval_limit or None)

    def due(self, step: int, *, last: bool) -> bool:
        """Whether to evaluate after this step."""
        return bool(self.tasks) and (last or (self.every_steps > 0 and step % self.every_steps == 0))

    def evaluate(self, model: GPT, stops: Callable[[], bool] = lambda: False) -> list[dict[str, Any]]:
        """Return the results as rows for log.jsonl; training continues as if there had been none. Every rank must call it.

        Where `stops` returns True, which it must on all ranks alike, the tasks that are left are not run.
        """
        was_training = model.training
        candidate = Candidate(Network(_gather(model), self.precision), self.tokenizer, limit=self.limit)
        rows: list[dict[str, Any]] = []
        try:
            for task, paths in self.tasks:
                if stops():
                    break
                rows += _run(task, candidate, list(paths))
        finally:
            model.train(was_training)
        return rows


def _run(task: Task, candidate: Candidate, paths: list[Path]) -> list[dict[str, Any]]:
    """The task's results as rows; none if it fails. Training goes on: a fault in a task must not cost the steps since the last save."""
    try:
        return [result.to_json() for result in task.run(candidate, paths)]
    except InputError as error:
        log.warning("%s: skipped: %s", task.name, error)
    except Exception:
        log.exception("%s: failed; training goes on", task.name)
    return []


def is_sharded(model: GPT) -> bool:
    """Whether each rank has a part of the parameters alone."""
    return isinstance(next(model.parameters()), DTensor)


def whole_split_loss(model: GPT, tokenizer: Codec, manifest: Manifest) -> dict[str, float]:
    """The task held_out's loss of the validation split, in nats per token and bits per byte, in fp32. Every rank must call it."""
    was_training = model.training
    try:
        results = held_out.run(Candidate(Network(model), tokenizer), [Path(manifest.folder)])
    finally:
        model.train(was_training)
    values = {result.metric: result.value for result in results}
    return {"val_loss": values["nats per token"], "bits_per_byte": values["bits per byte"]}


def _gather(model: GPT) -> GPT:
    """Return the network itself, or an unsharded copy if its parameters are sharded over ranks."""
    if not is_sharded(model):
        return model
    parameters = list(model.parameters())
    copy = GPT(model.config).to(parameters[0].device, parameters[0].dtype)
    with torch.no_grad():
        for target, source in zip(copy.parameters(), parameters, strict=True):
            target.copy_(source.full_tensor() if isinstance(source, DTensor) else source)
    return copy
