"""Zero-shot tasks between the steps of a training run, on the network as it stands; every rank takes its share of the examples."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from torch.distributed.tensor import DTensor

from trainer.config import InputError, TrainConfig
from trainer.evals.candidate import Candidate, Codec, Network
from trainer.evals.registry import chosen
from trainer.evals.task import Task
from trainer.model import GPT

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class InTrainingEvaluator:
    """Tasks with the files that they read. `limit` is the most examples of each."""

    tasks: tuple[tuple[Task, tuple[Path, ...]], ...]
    tokenizer: Codec
    precision: str
    every_steps: int
    limit: int | None

    @classmethod
    def prepare(cls, names: Sequence[str], folders: Sequence[Path], tokenizer: Codec, config: TrainConfig) -> Self:
        """For the tasks that have their data among the folders; a line about each that has not. Raises InputError for an unknown name."""
        found = []
        for task in chosen(list(names)):
            paths = task.locate(list(folders), config.model.context)
            if isinstance(paths, str):
                log.info("%s: skipped: %s", task.name, paths)
            else:
                found.append((task, tuple(paths)))
        precision = "bf16" if config.precision == "bf16" else "fp32"
        return cls(tuple(found), tokenizer, precision, config.eval_every, config.eval_limit or None)

    def due(self, step: int, *, last: bool) -> bool:
        """Whether to examine after this step."""
        return bool(self.tasks) and (last or (self.every_steps > 0 and step % self.every_steps == 0))

    def evaluate(self, model: GPT) -> list[dict[str, Any]]:
        """Each result as a line of results.json has it; training goes on as if nothing had been asked. Every rank calls it."""
        was_training = model.training
        candidate = Candidate(Network(_whole(model), self.precision), self.tokenizer, limit=self.limit)
        lines: list[dict[str, Any]] = []
        for task, paths in self.tasks:
            try:
                lines += [result.to_json() for result in task.run(candidate, list(paths))]
            except InputError as error:
                log.warning("%s: skipped: %s", task.name, error)
        model.train(was_training)
        return lines


def _whole(model: GPT) -> GPT:
    """The network itself; of one that is split over ranks a copy in one piece."""
    parameters = list(model.parameters())
    if not isinstance(parameters[0], DTensor):
        return model
    copy = GPT(model.config).to(parameters[0].device, parameters[0].dtype)
    with torch.no_grad():
        for mine, theirs in zip(copy.parameters(), parameters, strict=True):
            mine.copy_(theirs.full_tensor() if isinstance(theirs, DTensor) else theirs)
    return copy
