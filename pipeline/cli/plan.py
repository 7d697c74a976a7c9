"""What a run would do, without doing it: the stages that are up to date, that would go on, start, or be refused, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import orjson

from pipeline.engine.settings import to_manifest
from pipeline.engine.stage import Call, Stage
from pipeline.engine.stage_folder import input_differences, present_request, setting_differences
from pipeline.storage import files
from pipeline.storage.chain import check_chain
from pipeline.storage.manifest import NAME, StageManifest
from pipeline.storage.next_version import aside_of
from pipeline.storage.places import naming
from tokenizer.errors import InputError

UP_TO_DATE = "up to date"
GOES_ON = "would go on where it stopped"
TAKEN_OVER = "would be taken over from"


def plan_lines(calls: Sequence[tuple[Stage[Any], Call[Any]]], reuse: str | None = None) -> Iterator[str]:
    """One line per stage: `dedup: would run (…)`. `reuse` is the corpus whose stages may be taken over.

    Reads manifests, and hashes the user's files that a run would hash; no data of a stage.
    """
    waiting: set[str] = set()
    for stage, call in calls:
        with naming(*call.inputs.values(), *stage.named_folders(call), call.output, *call.engine.also_read):
            verdict = _verdict_or_refusal(stage, call, waiting, reuse)
        if verdict != UP_TO_DATE and not verdict.startswith(TAKEN_OVER):
            waiting.add(stage.name)
            verdict += _items_text(stage, call)
        yield f"{stage.name + ':':<12} {verdict}"


def _verdict_or_refusal(stage: Stage[Any], call: Call[Any], waiting: set[str], reuse: str | None) -> str:
    try:
        for folder in stage.named_folders(call):
            check_chain(folder)
        return _taken_over(stage, call, waiting, reuse) or _verdict(stage, call, waiting)
    except InputError as error:
        return f"would be refused: {error}"


def _taken_over(stage: Stage[Any], call: Call[Any], waiting: set[str], reuse: str | None) -> str | None:
    """The verdict on a stage that is not there yet, but is in the corpus to reuse; None where there is nothing to take over."""
    source = files.join(reuse or "", stage.name)
    if reuse is None or _is_finished(call.output) or not _is_finished(source):
        return None
    if stage.name != "report" and not waiting.intersection(call.inputs):
        inputs = {name: folder if _is_finished(folder) else files.join(reuse, name) for name, folder in call.inputs.items()}
        if not _differences(stage, replace(call, inputs=inputs), source, waiting):
            return f"{TAKEN_OVER} {reuse}"
    return f"would ask only the links that {source} lacks" if stage.name == "pages" else None


def _verdict(stage: Stage[Any], call: Call[Any], waiting: set[str]) -> str:
    reasons, aside = _differences(stage, call, call.output, waiting), aside_of(call.output)
    if not reasons and not _is_finished(call.output):
        return "would run" if present_request(call.output) is None else GOES_ON
    if _is_finished(call.output):
        if present_request(aside) is not None and not _differences(stage, call, aside, waiting):
            return GOES_ON  # the version that replaces it is half made
        before = [name for name in call.inputs if name in waiting]
        reasons += [f"{', '.join(before)} would run"] if before else []
    if getattr(call.settings, "refetch", False):
        return "would ask everything anew (--refetch)"
    if not reasons:
        return _retry_verdict(stage, call, StageManifest.load(call.output))
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


def _differences(stage: Stage[Any], call: Call[Any], folder: str, waiting: set[str]) -> list[str]:
    """What was otherwise when the stage's present content in `folder` was made or begun; nothing for a new folder.

    Inputs that would be made anew are left out. Where links are to stay, their sources are not known.
    """
    present = present_request(folder)
    if present is None:
        return []
    request: dict[str, Any] = {"settings": _recorded(call), "inputs": {}}
    differences = setting_differences(present, request)
    if stage.name == "links" and not call.settings.names_source:
        return differences
    named = {name: entry.sha256 for name, entry in stage.read_named_inputs(call).items()}
    old = {name: sha256 for name, sha256 in present["inputs"].items() if name not in call.inputs}
    ready = [name for name in call.inputs if name in present["inputs"] and name not in waiting]
    changed = [f"'{name}' has changed" for name in ready if _sha256(call.inputs[name]) != present["inputs"][name]]
    return [*differences, *changed, *input_differences({"inputs": old}, {"inputs": named})]


def _sha256(folder: str) -> str | None:
    """The hash of a finished stage's manifest."""
    return StageManifest.load(folder).sha256 if _is_finished(folder) else None


def _is_finished(folder: str) -> bool:
    return files.exists(files.join(folder, NAME))


def _items_text(stage: Stage[Any], call: Call[Any]) -> str:
    """` (1,476 from links)`: what the first input holds, where that is finished."""
    if not stage.inputs or stage.name == "report":
        return ""
    first = stage.inputs[0]
    if not _is_finished(call.inputs[first]):
        return ""
    return f" ({StageManifest.load(call.inputs[first]).books.items_out:,} from {first})"
