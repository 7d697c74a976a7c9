"""Run tasks in turn, and record each one as soon as it is finished: a second run skips it."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizer.errors import InputError
from tokenizer.shards import sha256_of
from tokenizer.untrusted import check_file, read_file
from trainer import finite_json
from trainer.evals.candidate import Candidate
from trainer.evals.results import Provenance, TaskRecord
from trainer.evals.task import TOKENS_MANIFEST, Task

logger = logging.getLogger(__name__)

TASKS_FOLDER = "tasks"


@dataclass(frozen=True, slots=True)
class CheckpointEvaluation:
    """Records of a checkpoint's finished tasks, and the reasons for the others: `skipped` (no data) and `faults`.

    `unexpected` are the tasks among the faults that failed for another reason than bad data.
    """

    provenance: Provenance
    records: tuple[TaskRecord, ...]
    skipped: dict[str, str]
    faults: dict[str, str] = field(default_factory=dict)
    unexpected: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One flat row per result, with everything that it depends on."""
        return [row for record in self.records for row in record.rows(self.provenance)]


def to_json(evaluations: Sequence[CheckpointEvaluation]) -> dict[str, Any]:
    """Contents of results.json for one or several checkpoints."""
    return {
        "checkpoints": [evaluation.provenance.to_json() for evaluation in evaluations],
        "results": [row for evaluation in evaluations for row in evaluation.rows()],
        "skipped": {name: reason for evaluation in evaluations for name, reason in evaluation.skipped.items()},
        "faults": {name: reason for evaluation in evaluations for name, reason in evaluation.faults.items()},
    }


@dataclass(frozen=True, slots=True)
class Suite:
    """Runs tasks on a candidate, with data from `folders` and one record per task in `out` (None: no records).

    Every rank reads earlier records; only the rank with `writes_records` writes them.
    """

    candidate: Candidate
    provenance: Provenance
    folders: list[Path]
    out: Path | None = None
    writes_records: bool = True

    def run(self, tasks: Sequence[Task]) -> CheckpointEvaluation:
        """Run every task that has its data. Bad data, or a fault in a task, fails that task only."""
        records: list[TaskRecord] = []
        skipped, faults, unexpected = dict[str, str](), dict[str, str](), list[str]()
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
            except Exception as error:  # a fault in one task must not cost the results of the others
                faults[task.name] = f"{type(error).__name__}: {error}"
                unexpected.append(task.name)
                logger.exception("%s: failed", task.name)
        return CheckpointEvaluation(self.provenance, tuple(records), skipped, faults, tuple(unexpected))

    def _run_task(self, task: Task, paths: list[Path]) -> TaskRecord:
        files = tuple(_file(task, index, path) for index, path in enumerate(paths))
        fingerprint = self._fingerprint(task, files)
        earlier = self._load(task, fingerprint)
        if earlier is not None:
            logger.info("%s: kept from an earlier run", task.name)
            return earlier
        start = time.monotonic()
        results = tuple(task.run(self.candidate, paths))
        record = TaskRecord(task.name, results, files, time.monotonic() - start, fingerprint)
        for result in results:
            logger.info("%s: %s %.4f", task.name, result.metric, result.value)
        if self.out is not None and self.writes_records:
            publish(self._path(task), finite_json.dumps(record.to_json(), indent=1))
        return record

    def _path(self, task: Task) -> Path:
        return Path(self.out or ".", TASKS_FOLDER, f"{task.name}.json")

    def _load(self, task: Task, fingerprint: str) -> TaskRecord | None:
        """The record of an earlier run; None where there is none, or where it is not the same task's under the same settings."""
        path = self._path(task)
        try:
            if self.out is None or check_file(path.parent, path.name) is None:
                return None
            data = read_file(path)
        except ValueError as error:
            raise InputError(f"{path}: not a record of an evaluation ({error}); remove it") from error
        try:
            record = TaskRecord.from_json(json.loads(data))
        except (ValueError, RecursionError) as error:
            logger.warning("%s: evaluated again: %s is not a record of it (%s)", task.name, path, error)
            return None
        return record if (record.task, record.fingerprint) == (task.name, fingerprint) else None

    def _fingerprint(self, task: Task, files: Sequence[dict[str, Any]]) -> str:
        """Hash of everything that the task's results depend on."""
        candidate = self.candidate
        about = [task.name, [f["sha256"] for f in files], self.provenance.to_json(), candidate.strides, candidate.limit]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def _file(task: Task, index: int, path: Path) -> dict[str, Any]:
    """Name and sha256 of a task's file, and whether the hash is the official one (None if that is not known)."""
    if task.reads_tokens:
        return {"name": path.name, "sha256": sha256_of(path / TOKENS_MANIFEST), "official": None}
    actual, official = sha256_of(path), task.files[index].sha256
    return {"name": path.name, "sha256": actual, "official": None if official is None else actual == official}


REPORT_FILES = ("results.json", "report.md", "report.html")


def check_output(out: Path) -> None:
    """Raise InputError where a folder holds files that an evaluation would replace and no evaluation wrote."""
    mine = [name for name in (*REPORT_FILES, TASKS_FOLDER) if (out / name).exists()]
    if (mine and not (out / TASKS_FOLDER).is_dir()) or (out.exists() and not out.is_dir()):
        what = f"{mine[0]} of something else" if mine else "a file"
        raise InputError(f"--out {out}: {'holds ' if mine else 'is '}{what}; choose another folder")


def publish(path: Path, text: str) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
