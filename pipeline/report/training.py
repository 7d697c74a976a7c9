"""Training runs and evaluations, read from the JSON files that the trainer writes."""

import math
from pathlib import Path
from typing import Any

import orjson

from pipeline.report.numbers import Curve, EvaluationFigure, TrainingRun
from tokenizer.errors import InputError

LOG = "log.jsonl"
RESULTS = "results.json"
CURVES = ("loss", "val_loss", "bits_per_byte", "lr", "grad_norm", "tokens_per_second")


def read_run(folder: str) -> TrainingRun:
    """The log of a training run's folder. Raises InputError, with file and line, if the log is missing or not JSON.

    A resumed run logs some steps again: the last entry of a step counts. A last line without newline, cut short by a kill, is ignored.
    """
    path = Path(folder, LOG)
    if not path.exists():
        raise InputError(f"{folder}: no {LOG} in this folder; --run takes the folder that `webtext-train train --out` filled")
    lines = path.read_bytes().split(b"\n")
    entries = [_entry(path, number, line) for number, line in enumerate(lines[:-1], start=1) if line.strip()]
    config: dict[str, Any] = next((e["config"] for e in entries if "config" in e), {})
    steps = [e for e in entries if isinstance(e.get("step"), int)]
    curves = tuple(curve for name in CURVES if (curve := _curve(name, steps)) is not None)
    return TrainingRun(Path(folder).resolve().name, config, curves, max((int(e.get("tokens", 0)) for e in steps), default=0))


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
        data = orjson.loads(path.read_bytes())
        results = data["results"] if isinstance(data, dict) else data
        return [_figure(Path(folder).resolve().name, result) for result in results]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not the results of an evaluation ({error!r}); run the evaluation again") from error


def _figure(source: str, result: dict[str, Any]) -> EvaluationFigure:
    return EvaluationFigure(
        source,
        str(result["task"]),
        str(result.get("metric", "")),
        str(result.get("protocol", "")),
        float(result["value"]),
        result.get("standard_error"),
        result.get("examples"),
        {str(k): float(v) for k, v in (result.get("paper") or {}).items() if v is not None},
    )
