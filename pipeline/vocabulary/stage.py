"""The stage `vocabulary`: unique documents to a tokenizer, trained on their pre-tokens or read from a ready one."""

from pathlib import Path

from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.storage.document_shards import DocumentShard, document_shards, text_bytes
from pipeline.storage.manifest import Books, Input, StageManifest, file_input
from pipeline.vocabulary.counts import CountShard, MergePartition
from pipeline.vocabulary.settings import VocabularySettings
from pipeline.vocabulary.train import ReadTokenizer, TrainFromCounts, TrainFromText
from tokenizer import formats
from tokenizer.codec import LIBRARY
from tokenizer.errors import FormatError, InputError

TEXT_BYTES_PER_PARTITION = 1 << 28
MAX_PARTITIONS = 256


def work(call: Call[VocabularySettings], phase: PhaseFolder) -> StageResult:
    """Train a tokenizer, or read a ready one."""
    settings = call.settings
    if settings.tokenizer != "train":
        return StageResult(call.engine.work(phase.sibling("take"), numbered([None]), ReadTokenizer(settings), light=True))
    if settings.trainer == LIBRARY:
        return _train_from_text(call, phase)
    return _train_from_counts(call, phase)


def _train_from_text(call: Call[VocabularySettings], phase: PhaseFolder) -> StageResult:
    shards = _documents(call)
    training = TrainFromText(call.settings, _sample_share(call))
    part = Part("all", shards, sum(shard.rows for shard in shards))
    return StageResult(call.engine.work(phase.sibling("learn"), [part], training, "documents"))


def _train_from_counts(call: Call[VocabularySettings], phase: PhaseFolder) -> StageResult:
    """Count each document shard, add up each partition, learn the merges."""
    partitions = _partitions(call)
    counted = _count(call, phase, partitions)
    tables = [[receipt.path(phase, f"words-{number}") for receipt in counted] for number in range(partitions)]
    merging = MergePartition(call.settings.keep_counts)
    merged = call.engine.work(phase.sibling("merge"), numbered(tables, len), merging, "tables")
    paths = [receipt.path(phase, "counts") for receipt in merged]
    trained = call.engine.work(phase.sibling("learn"), numbered([paths]), TrainFromCounts(call.settings))
    return StageResult([*counted, *merged, *trained], books=Books.total(receipt.books for receipt in counted))


def _count(call: Call[VocabularySettings], phase: PhaseFolder, partitions: int) -> list[Receipt]:
    parts = numbered(_documents(call), lambda shard: shard.rows)
    counting = CountShard(partitions, _sample_share(call), call.settings.sample_seed)
    return call.engine.work(phase.sibling("count"), parts, counting, "documents")


def _documents(call: Call[VocabularySettings]) -> list[DocumentShard]:
    shards = document_shards(call.inputs["dedup"])
    if not shards:
        raise InputError(f"{call.inputs['dedup']}: holds no documents to train a vocabulary on; give another --input")
    return shards


def _sample_share(call: Call[VocabularySettings]) -> float:
    """The share of documents that gives a sample of `sample_bytes`."""
    if call.settings.sample_bytes is None:
        return 1.0
    return call.settings.sample_bytes / max(1, text_bytes(StageManifest.load(call.inputs["dedup"])))


def _partitions(call: Call[VocabularySettings]) -> int:
    total = text_bytes(StageManifest.load(call.inputs["dedup"]))
    return min(MAX_PARTITIONS, total // TEXT_BYTES_PER_PARTITION + 1)


def ready_tokenizer(settings: VocabularySettings) -> dict[str, Input]:
    """The ready tokenizer's file, so that its content counts as an input."""
    if settings.tokenizer_path is None:
        return {}
    try:
        return {"tokenizer_path": file_input(str(formats.file_of(Path(settings.tokenizer_path))))}
    except FormatError as error:
        raise InputError(str(error)) from error


STAGE = Stage(
    name="vocabulary",
    settings=VocabularySettings,
    inputs=("dedup",),
    work=work,
    unit="documents",
    files=ready_tokenizer,
)
