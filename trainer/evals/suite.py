"""Runs tasks one after the other; a finished one is written down at once and not done again."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizer.shards import sha256_of
from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Provenance, TaskRecord
from trainer.evals.task import TOKENS_MANIFEST, Task

logger = logging.getLogger(__name__)

TASKS_FOLDER = "tasks"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of a whole run: the records of the tasks that were done, and why each of the others was not: without data, or with bad data."""

    provenance: Provenance
    records: tuple[TaskRecord, ...]
    skipped: dict[str, str]
    faults: dict[str, str] = field(default_factory=dict)

    def rows(self) -> list[dict[str, Any]]:
        """Each result with all that it depends on."""
        return [row for record in self.records for row in record.rows(self.provenance)]


def to_json(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """What results.json holds of one or several checkpoints."""
    return {
        "checkpoints": [outcome.provenance.to_json() for outcome in outcomes],
        "results": [row for outcome in outcomes for row in outcome.rows()],
        "skipped": {name: why for outcome in outcomes for name, why in outcome.skipped.items()},
        "faults": {name: why for outcome in outcomes for name, why in outcome.faults.items()},
    }


@dataclass(frozen=True, slots=True)
class Suite:
    """Tasks on a candidate. `folders` are searched for data; `out` keeps a record a task (None keeps none).

    Of several ranks all find kept records there, and only the one that `keeps` writes them.
    """

    candidate: Candidate
    provenance: Provenance
    folders: list[Path]
    out: Path | None = None
    keeps: bool = True

    def run(self, tasks: Sequence[Task]) -> Outcome:
        """Every task that has its data; a fault of one task's data does not keep the others from being run."""
        records, skipped, faults = [], {}, {}
        for task in tasks:
            paths = task.locate(self.folders, self.candidate.model.context_tokens)
            if isinstance(paths, str):
                skipped[task.name] = paths
                logger.info("%s: skipped: %s", task.name, paths)
                continue
            try:
                records.append(self._run_task(task, paths))
            except InputError as error:
                faults[task.name] = str(error)
                logger.warning("%s: failed: %s", task.name, error)
        return Outcome(self.provenance, tuple(records), skipped, faults)

    def _run_task(self, task: Task, paths: list[Path]) -> TaskRecord:
        files = tuple(_file(task, place, path) for place, path in enumerate(paths))
        fingerprint = self._fingerprint(task, files)
        kept = self._load(task, fingerprint)
        if kept is not None:
            logger.info("%s: kept from an earlier run", task.name)
            return kept
        started = time.monotonic()
        results = tuple(task.run(self.candidate, paths))
        record = TaskRecord(task.name, results, files, time.monotonic() - started, fingerprint)
        for result in results:
            logger.info("%s: %s %.4f", task.name, result.metric, result.value)
        if self.out is not None and self.keeps:
            publish(self._path(task), json.dumps(record.to_json(), indent=1))
        return record

    def _path(self, task: Task) -> Path:
        return Path(self.out or ".", TASKS_FOLDER, f"{task.name}.json")

    def _load(self, task: Task, fingerprint: str) -> TaskRecord | None:
        if self.out is None or not self._path(task).exists():
            return None
        try:
            record = TaskRecord.from_json(json.loads(self._path(task).read_text()))
        except (ValueError, KeyError, TypeError):
            return None
        return record if record.fingerprint == fingerprint else None

    def _fingerprint(self, task: Task, files: Sequence[dict[str, Any]]) -> str:
        """Of all that the numbers depend on."""
        candidate = self.candidate
        about = [task.name, [f["sha256"] for f in files], self.provenance.to_json(), candidate.strides, candidate.limit]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _file(task: Task, place: int, path: Path) -> dict[str, Any]:
    """Name, sha256, and whether that is the official one's (None where it is not known)."""
    if task.reads_tokens:
        return {"name": path.name, "sha256": sha256_of(path / TOKENS_MANIFEST), "official": None}
    found, official = sha256_of(path), task.sources[place].sha256
    return {"name": path.name, "sha256": found, "official": None if official is None else found == official}


def publish(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
