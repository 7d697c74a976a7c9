"""Training runs and evaluations, read from the files that the trainer leaves: JSON, never code."""

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson

from pipeline.report.numbers import Curve, Evaluation, Run
from pipeline.storage.files import InputError

LOG = "log.jsonl"
RESULTS = "results.json"
CURVES = ("loss", "val_loss", "bits_per_byte", "lr", "grad_norm", "tokens_per_second")
POINTS = 1000


def read_run(folder: str) -> Run:
    """The log of a run's folder. Raises InputError naming file and line where it is not one.

    A resumed run logs some steps again; the last word on a step counts. A last line cut short by a kill is left out.
    """
    path = Path(folder, LOG)
    if not path.exists():
        raise InputError(f"{folder}: no {LOG} there; --run takes the folder that `webtext-train train --out` filled")
    lines = path.read_bytes().split(b"\n")
    entries = [_entry(path, number, line) for number, line in enumerate(lines[:-1], start=1) if line.strip()]
    config: dict[str, Any] = next((e["config"] for e in entries if "config" in e), {})
    steps = [e for e in entries if isinstance(e.get("step"), int)]
    curves = tuple(curve for name in CURVES if (curve := _curve(name, steps)) is not None)
    return Run(Path(folder).resolve().name, config, curves, max((int(e.get("tokens", 0)) for e in steps), default=0))


def _entry(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise InputError(f"{path}:{number}: not JSON ({error}); mend or remove the line") from error
    if not isinstance(entry, dict):
        raise InputError(f"{path}:{number}: not a JSON object; mend or remove the line")
    return entry


def _curve(name: str, entries: list[dict[str, Any]]) -> Curve | None:
    by_step = {e["step"]: float(e[name]) for e in entries if isinstance(e.get(name), int | float) and math.isfinite(e[name])}
    if not by_step:
        return None
    steps = sorted(by_step)
    return Curve(name, tuple(steps), tuple(by_step[step] for step in steps))


def thinned(curve: Curve, points: int = POINTS) -> Curve:
    """The curve as means of equal stretches of its points, at most `points` of them: what a screen can show."""
    size = len(curve.steps)
    if size <= points:
        return curve
    cuts = [i * size // points for i in range(points + 1)]
    stretches = list(pairwise(cuts))
    steps = tuple(curve.steps[high - 1] for _, high in stretches)
    return Curve(curve.name, steps, tuple(math.fsum(curve.values[low:high]) / (high - low) for low, high in stretches))


def read_evaluations(folder: str) -> list[Evaluation]:
    """The figures of an evaluation's results.json. Raises InputError where it is missing or not one."""
    path = Path(folder, RESULTS)
    if not path.exists():
        raise InputError(f"{folder}: no {RESULTS} there; --evaluation takes the folder that `webtext-train eval --out` filled")
    try:
        data = orjson.loads(path.read_bytes())
        results = data["results"] if isinstance(data, dict) else data
        return [_evaluation(Path(folder).resolve().name, result) for result in results]
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not the results of an evaluation ({error!r}); evaluate again") from error


def _evaluation(source: str, result: dict[str, Any]) -> Evaluation:
    return Evaluation(
        source,
        str(result["task"]),
        str(result.get("metric", "")),
        str(result.get("protocol", "")),
        float(result["value"]),
        result.get("standard_error"),
        result.get("examples"),
        {str(k): float(v) for k, v in (result.get("paper") or {}).items() if v is not None},
    )
