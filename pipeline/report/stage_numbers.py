"""The manifest and the run record of every finished stage."""

from typing import Any

import orjson

from pipeline.corpus.folder import CorpusFolder
from pipeline.report.numbers import StageNumbers
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest


def stage_numbers(corpus: CorpusFolder) -> tuple[StageNumbers, ...]:
    """One record per finished stage, in the order of the data."""
    return tuple(_stage_numbers(name, corpus.folders[name], manifest) for name, manifest in corpus.manifests.items())


def _stage_numbers(name: str, folder: str, manifest: StageManifest) -> StageNumbers:
    return StageNumbers(
        name,
        manifest.books.items_in,
        manifest.books.items_out,
        dict(manifest.books.dropped),
        dict(manifest.counters),
        dict(manifest.settings),
        {key: entry.sha256 for key, entry in manifest.inputs.items()},
        manifest.sha256,
        len(manifest.files),
        sum(entry.bytes for entry in manifest.files),
        read_run_record(folder),
    )


def read_run_record(folder: str) -> dict[str, Any] | None:
    """A stage's run.json: seconds, workers, versions, timings. None if there is no such file."""
    path = files.join(folder, "run.json")
    return orjson.loads(files.read_bytes(path)) if files.exists(path) else None
