"""The manifest and the run record of every finished stage."""

from typing import Annotated, Any

import msgspec

from pipeline.corpus.folder import CorpusFolder
from pipeline.report.numbers import StageNumbers
from pipeline.storage import files
from pipeline.storage.manifest import StageManifest, Text
from tokenizer.errors import InputError
from tokenizer.typed_json import Count, decode
from tokenizer.untrusted import MAX_JSON_BYTES, check_file


class RunRecord(msgspec.Struct):
    """The content of run.json, which `pipeline.engine.stage_folder.record_run` writes."""

    seconds: Annotated[float, msgspec.Meta(ge=0, le=1e10)]
    workers: Count
    python: Text
    versions: dict[Text, Text]
    finished_at: Text = ""
    timings: dict[Text, Count] = {}
    beam_flags: list[Text] = []


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
    """A stage's run.json: seconds, workers, versions, timings. None if there is no such file; InputError for another content."""
    path = files.join(folder, "run.json")
    if not files.exists(path):
        return None
    try:
        if files.is_local(folder):
            check_file(folder, "run.json")
        return msgspec.structs.asdict(decode(files.read_bytes(path, MAX_JSON_BYTES), RunRecord))
    except ValueError as error:
        raise InputError(f"{path}: not the record of a run ({error}); remove the file") from error
