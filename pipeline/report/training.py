"""Training runs and evaluations, read from the JSON files that the trainer writes."""

import math
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import orjson

from pipeline.report.numbers import Curve, EvaluationFigure, Sample, TrainingRun
from pipeline.storage.manifest import Text
from tokenizer.errors import InputError
from tokenizer.typed_json import Count, decode
from tokenizer.untrusted import check_file, check_size, read_file

LOG = "log.jsonl"
LONGEST_LINE_BYTES = 1 << 20
RESULTS = "results.json"
MOST_SAMPLE_BYTES = 20_000
CURVES = ("loss", "val_loss", "bits_per_byte", "lr", "grad_norm", "tokens_per_second")


def read_run(folder: str) -> TrainingRun:
    """The log of a training run's folder. Raises InputError, with file and line, if the log is missing or not JSON.

    A resumed run logs some steps again: the last entry of a step counts. A last line without newline, cut short by a kill, is ignored.
    """
    path = Path(folder, LOG)
    if not path.exists():
        raise InputError(f"{folder}: no {LOG} in this folder; --run takes the folder that `webtext-train train --out` filled")
    entries = [_entry(path, number, line) for number, line in _lines(path) if line.strip()]
    config: dict[str, Any] = next((e["config"] for e in entries if isinstance(e.get("config"), dict)), {})
    steps = [e for e in entries if isinstance(e.get("step"), int)]
    curves = tuple(curve for name in CURVES if (curve := _curve(name, steps)) is not None)
    tokens = max((e["tokens"] for e in steps if isinstance(e.get("tokens"), int)), default=0)
    return TrainingRun(Path(folder).resolve().name, config, curves, tokens)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Number and text of each complete line of a log. Raises InputError for what is no log: no file, or lines without end."""
    try:
        check_file(path.parent, path.name)
        with path.open("rb") as file:
            for number in count(1):
                line = file.readline(LONGEST_LINE_BYTES)
                if not line.endswith(b"\n"):
                    check_size(len(line), LONGEST_LINE_BYTES - 1)
                    return
                yield number, line
    except ValueError as error:
        raise InputError(f"{path}: not a training log ({error}); give another --run") from error


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: not JSON ({error}); correct or remove the line") from error
    if not isinstance(entry, dict):
        raise InputError(f"{path}:{number}: not a JSON object; correct or remove the line")
    return entry


def _curve(name: str, entries: list[dict[str, Any]]) -> Curve | None:
    by_step = {e["step"]: float(e[name]) for e in entries if isinstance(e.get(name), int | float) and math.isfinite(e[name])}
    if not by_step:
        return None
    steps = sorted(by_step)
    return Curve(name, tuple(steps), tuple(by_step[step] for step in steps))


def read_evaluation(folder: str) -> list[EvaluationFigure]:
    """The figures of an evaluation's results.json. Raises InputError if the file is missing or has another content."""
    path = Path(folder, RESULTS)
    if not path.exists():
        raise InputError(
            f"{folder}: no {RESULTS} in this folder; --evaluation takes the folder that `webtext-train eval --out` filled"
        )
    try:
        check_file(path.parent, path.name)
        data = read_file(path)
        results = decode(data, list[_Result]) if data.lstrip().startswith(b"[") else decode(data, _Results).results
        return [_figure(Path(folder).resolve().name, result) for result in results]
    except ValueError as error:
        raise InputError(f"{path}: not the results of an evaluation ({error}); run the evaluation again") from error


def read_sample(path: str) -> Sample:
    """The text of a file, its beginning where it is long. Raises InputError for a file that is missing or no text."""
    try:
        check_file(Path(path).parent, Path(path).name)
        with Path(path).open("rb") as file:
            text = file.read(MOST_SAMPLE_BYTES).decode("utf-8", "replace")
    except (ValueError, OSError) as error:
        raise InputError(f"--sample {path}: cannot be read ({error}); give a text file") from error
    if not text.strip() or "\0" in text:
        raise InputError(f"--sample {path}: {'no text' if text.strip() else 'empty'}; give the output of `webtext-train sample`")
    return Sample(Path(path).stem, text.strip())


class _Result(msgspec.Struct):
    """What is shown of a result. Other fields are not kept in memory."""

    task: Text
    value: float | None
    metric: Text = ""
    protocol: Text = ""
    standard_error: float | None = None
    examples: Count | None = None
    paper: dict[Text, float | None] | None = None


class _Results(msgspec.Struct):
    """The content of results.json; early versions held the list alone."""

    results: list[_Result]


def _figure(source: str, result: _Result) -> EvaluationFigure:
    return EvaluationFigure(
        source,
        result.task,
        result.metric,
        result.protocol,
        math.nan if result.value is None else result.value,  # null: not finite, as of a run that diverged
        result.standard_error,
        result.examples,
        {name: value for name, value in (result.paper or {}).items() if value is not None},
    )
