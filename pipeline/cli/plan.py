"""What a run would do, without doing it: the stages that are up to date, that would go on, start, or be refused, and why."""

from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from pipeline.engine.parts import WORK_FOLDER
from pipeline.engine.settings import to_manifest
from pipeline.engine.stage import Call, Stage
from pipeline.storage import files
from pipeline.storage.manifest import NAME, StageManifest

UP_TO_DATE = "up to date"
TAKEN_OVER = "would be taken over from"


def plan_lines(calls: Sequence[tuple[Stage[Any], Call[Any]]], reuse: str | None = None) -> Iterator[str]:
    """One line per stage: `dedup: would run (…)`. Reads manifests alone. `reuse` is the corpus whose stages may be taken over."""
    waiting: set[str] = set()
    for stage, call in calls:
        verdict = _taken_over(stage, call, waiting, reuse) or _verdict(stage, call, waiting)
        if verdict != UP_TO_DATE and not verdict.startswith(TAKEN_OVER):
            waiting.add(stage.name)
            verdict += _items_text(stage, call)
        yield f"{stage.name + ':':<12} {verdict}"


def _taken_over(stage: Stage[Any], call: Call[Any], waiting: set[str], reuse: str | None) -> str | None:
    """The verdict on a stage that is not there yet, but is in the corpus to reuse; None where there is nothing to take over."""
    source = files.join(reuse or "", stage.name)
    if reuse is None or files.exists(files.join(call.output, NAME)) or not files.exists(files.join(source, NAME)):
        return None
    if stage.name != "report" and not waiting.intersection(call.inputs):
        changed = _setting_differences(StageManifest.load(source).settings, _recorded(call))
        if not changed:
            return f"{TAKEN_OVER} {reuse}"
    return f"would ask only the links that {source} lacks" if stage.name == "pages" else None


def _verdict(stage: Stage[Any], call: Call[Any], waiting: set[str]) -> str:
    before = [name for name in call.inputs if name in waiting]
    if not files.exists(files.join(call.output, NAME)):
        started = files.is_local(call.output) and files.exists(files.join(call.output, WORK_FOLDER))
        return "would go on where it stopped" if started else "would run"
    manifest = StageManifest.load(call.output)
    reasons = _setting_differences(manifest.settings, _recorded(call))
    reasons += [f"'{name}' has changed" for name in call.inputs if name not in waiting and _has_changed(manifest, name, call)]
    reasons += [f"{', '.join(before)} would run"] if before else []
    if getattr(call.settings, "refetch", False):
        return "would ask everything anew (--refetch)"
    if not reasons:
        return _retry_verdict(stage, call, manifest)
    verb = "would run again" if call.engine.replace or stage.name == "report" else "would be refused without --replace"
    return f"{verb}: {'; '.join(reasons)}"


def _recorded(call: Call[Any]) -> dict[str, Any]:
    """The call's settings as its manifest would give them back."""
    settings: dict[str, Any] = orjson.loads(orjson.dumps(to_manifest(call.settings)))
    return settings


def _retry_verdict(stage: Stage[Any], call: Call[Any], manifest: StageManifest) -> str:
    """What a stage that is up to date does with the drops that may pass."""
    passing = sum(items for reason, items in manifest.books.dropped.items() if reason in stage.may_pass)
    if passing and getattr(call.settings, "retry_failed", False):
        return f"would ask {passing:,} failures that may pass again"
    return UP_TO_DATE


def _setting_differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return [
        f"{name} was {old.get(name)!r}, now {new.get(name)!r}" for name in sorted(old | new) if old.get(name) != new.get(name)
    ]


def _has_changed(manifest: StageManifest, name: str, call: Call[Any]) -> bool:
    if name not in manifest.inputs or not files.exists(files.join(call.inputs[name], NAME)):
        return name in manifest.inputs
    return StageManifest.load(call.inputs[name]).sha256 != manifest.inputs[name].sha256


def _items_text(stage: Stage[Any], call: Call[Any]) -> str:
    """` (1,476 from links)`: what the first input holds, where that is finished."""
    if not stage.inputs or stage.name == "report":
        return ""
    first = stage.inputs[0]
    if not files.exists(files.join(call.inputs[first], NAME)):
        return ""
    return f" ({StageManifest.load(call.inputs[first]).books.items_out:,} from {first})"
