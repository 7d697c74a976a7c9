"""The stage `overlap`: how much of evaluation sets the corpus holds; with a flag, a corpus without the documents that hold it."""

from pipeline.engine.parts import PhaseFolder, numbered
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.overlap.evaluation_files import read_examples
from pipeline.overlap.find import FindNgrams
from pipeline.overlap.measure import IndexedSet, MeasureOverlap
from pipeline.overlap.ngrams import build_index
from pipeline.overlap.settings import OverlapSettings
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Input, check_room, file_input
from tokenizer.errors import InputError


def work(call: Call[OverlapSettings], phase: PhaseFolder) -> StageResult:
    """Index the sets, search every shard once, measure."""
    settings = call.settings
    folder = files.join(phase.sibling("index").work_folder, "index")
    sets = _index(folder, settings.sets(), settings.ngram_words)
    parts = numbered(document_shards(call.inputs["dedup"]), lambda shard: shard.rows)
    check_room(phase.folder, len(parts), 3)  # keep list, drops, overlapping documents
    searched = call.engine.work(phase.sibling("look"), parts, FindNgrams(folder, settings), "documents")
    measuring = MeasureOverlap(tuple(receipt.path(phase, "found") for receipt in searched))
    measured = call.engine.work(phase.sibling("measure"), numbered([sets]), measuring, "reports", light=True)
    return StageResult([*searched, *measured])


def _index(folder: str, sets: dict[str, str], size: int) -> list[IndexedSet]:
    """Write the index and each set's occurrences for the workers; after a crash they are written again, with equal content."""
    index, occurrences = build_index([read_examples(path) for path in sets.values()], size)
    index.save(folder)
    indexed = []
    for number, ((name, path), own) in enumerate(zip(sets.items(), occurrences, strict=True)):
        indexed.append(IndexedSet(name, path, files.join(folder, f"set-{number:05d}")))
        indexed[-1].save(own)
        if not len(own.grams):
            raise InputError(
                f"--evaluation-sets {name}={path}: holds no {size} words in a row; give another file or a smaller --ngram-words"
            )
    return indexed


def set_files(settings: OverlapSettings) -> dict[str, Input]:
    """The evaluation files, so that their content counts as an input."""
    return {f"evaluation_{name}": file_input(path) for name, path in settings.sets().items()}


STAGE = Stage(
    name="overlap",
    settings=OverlapSettings,
    inputs=("dedup",),
    work=work,
    unit="documents",
    files=set_files,
)
