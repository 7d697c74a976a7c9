"""Unique documents to a tokenizer: GPT-2's byte-level BPE trained on their words, or a ready one taken as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.engine.parts import Part, PhaseFolder, Receipt, numbered
from pipeline.engine.settings import setting
from pipeline.engine.stage import Call, Stage, StageResult
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard, document_shards, text_bytes
from pipeline.storage.files import InputError
from pipeline.storage.manifest import Books, Input, StageManifest, file_input
from pipeline.vocabulary.counts import CountShard, MergePartition, sampled_texts
from tokenizer import formats
from tokenizer.bpe import COUNTS, TRAINERS, train, train_with_library
from tokenizer.codec import LIBRARY, Tokenizer
from tokenizer.errors import FormatError
from tokenizer.paper import VOCAB_SIZE

TEXT_BYTES_A_PARTITION = 1 << 28
MOST_PARTITIONS = 256


@dataclass(frozen=True, slots=True)
class VocabularySettings:
    """What vocabulary to make."""

    tokenizer: str = setting("train", "train one, or take the ready one of --tokenizer_path", choices=("train", "gpt2", "given"))
    tokenizer_path: str | None = setting(None, "folder or file of the ready tokenizer", recorded=False, metavar="PATH")
    trainer: str = setting(COUNTS, "ours from counts of words, or the library's from the text, in one process", choices=TRAINERS)
    vocab_size: int = setting(VOCAB_SIZE, "entries: 256 bytes, merges, end of text", metavar="N")
    min_frequency: int = setting(0, "merge no pair that occurs less often; the vocabulary may end smaller", metavar="N")
    max_token_length: int | None = setting(None, "longest token in bytes (GPT-2 has no limit; its longest is 128)", metavar="N")
    smaller_vocabulary: bool = setting(False, "accept fewer entries where the text runs out of pairs")
    sample_bytes: int | None = setting(None, "train on a seeded sample of about so much text", metavar="N")
    sample_seed: int = setting(0, "seed of that sample", metavar="N")
    keep_counts: bool = setting(False, "keep the tables of words and counts")

    def __post_init__(self) -> None:
        if not 257 <= self.vocab_size <= 1 << 16:
            raise ValueError(f"--vocab_size {self.vocab_size}: from 257 (bytes and end of text) to 65,536 (16-bit ids)")
        if self.max_token_length is not None and self.max_token_length < 2:
            raise ValueError(f"--max_token_length {self.max_token_length}: at least 2 bytes, the shortest merge")
        if (self.tokenizer == "train") != (self.tokenizer_path is None):
            raise ValueError("--tokenizer_path goes with --tokenizer gpt2 or given, and they with it")
        if self.sample_bytes is not None and self.sample_bytes < 1:
            raise ValueError(f"--sample_bytes {self.sample_bytes}: at least 1; leave it out to train on all text")


@dataclass(frozen=True, slots=True)
class Train:
    """Learns the merges from the tables that the part names."""

    settings: VocabularySettings

    def __call__(self, part: Part[Sequence[str]], writer: PartWriter) -> None:
        """Raises InputError where the text runs out of pairs before the vocabulary is full."""
        paths = part.work
        settings = self.settings
        tokenizer = train(
            pa.concat_tables(map(files.read_table, paths)),
            settings.vocab_size,
            min_frequency=settings.min_frequency,
            max_token_length=settings.max_token_length,
        )
        _publish_learnt(tokenizer, settings, writer)


@dataclass(frozen=True, slots=True)
class TrainWithLibrary:
    """Lets the tokenizers library train on the sampled texts of the document shards that the part names."""

    settings: VocabularySettings
    share: float

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """Raises InputError where the text runs out of pairs before the vocabulary is full."""
        settings, shards = self.settings, part.work
        texts = (
            batch.to_pylist() for shard in shards for batch in sampled_texts(shard, self.share, settings.sample_seed, writer)
        )
        tokenizer = train_with_library(
            texts, settings.vocab_size, min_frequency=settings.min_frequency, max_token_length=settings.max_token_length
        )
        _publish_learnt(tokenizer, settings, writer)


@dataclass(frozen=True, slots=True)
class Take:
    """Publishes the ready tokenizer of the settings."""

    settings: VocabularySettings

    def __call__(self, _part: Part[Any], writer: PartWriter) -> None:
        """Raises InputError where it is no GPT-2 tokenizer, or not the one that is claimed."""
        try:
            tokenizer = Tokenizer.load(str(self.settings.tokenizer_path))
        except FormatError as error:
            raise InputError(str(error)) from error
        if self.settings.tokenizer == "gpt2" and tokenizer.sha256 != formats.GPT2_MERGES_SHA256:
            raise InputError(
                f"{self.settings.tokenizer_path}: not GPT-2's own merges (sha256 {tokenizer.sha256}); use --tokenizer given"
            )
        _publish(tokenizer, writer)


def _publish_learnt(tokenizer: Tokenizer, settings: VocabularySettings, writer: PartWriter) -> None:
    if tokenizer.vocab_size < settings.vocab_size and not settings.smaller_vocabulary:
        raise InputError(
            f"--vocab_size {settings.vocab_size}: the text runs out of pairs at {tokenizer.vocab_size:,} entries; "
            f"give more text, --vocab_size {tokenizer.vocab_size} or less, or --smaller_vocabulary"
        )
    _publish(tokenizer, writer)


def _publish(tokenizer: Tokenizer, writer: PartWriter) -> None:
    writer.counters["vocab_size"] = tokenizer.vocab_size
    for name, data in formats.all_files(tokenizer.pairs).items():
        writer.publish("tokenizer", tokenizer.vocab_size, lambda file, data=data: file.write(data), name)  # type: ignore[misc]


def work(call: Call[VocabularySettings], place: PhaseFolder) -> StageResult:
    """Count, merge the counts, learn."""
    settings = call.settings
    if settings.tokenizer != "train":
        return StageResult(call.engine.work(place.sibling("take"), numbered([None]), Take(settings), light=True))
    if settings.trainer == LIBRARY:
        shards = _documents(call)
        whole = [Part("all", shards, sum(shard.rows for shard in shards))]
        training = TrainWithLibrary(settings, _share(call, settings))
        return StageResult(call.engine.work(place.sibling("learn"), whole, training, "documents"))
    counted = _count(call, place, settings)
    merging = place.sibling("merge")
    tables = [[receipt.path(place, f"words-{n}") for receipt in counted] for n in range(_partitions(call))]
    merged = call.engine.work(merging, numbered(tables, len), MergePartition(settings.keep_counts), "tables")
    paths = [receipt.path(place, "counts") for receipt in merged]
    learnt = call.engine.work(place.sibling("learn"), numbered([paths]), Train(settings))
    return StageResult([*counted, *merged, *learnt], books=Books.total(receipt.books for receipt in counted))


def _count(call: Call[VocabularySettings], place: PhaseFolder, settings: VocabularySettings) -> list[Receipt]:
    counting = place.sibling("count")
    count = CountShard(_partitions(call), _share(call, settings), settings.sample_seed)
    parts = numbered(_documents(call), lambda shard: shard.rows)
    return call.engine.work(counting, parts, count, "documents")


def _documents(call: Call[VocabularySettings]) -> list[DocumentShard]:
    shards = document_shards(call.inputs["dedup"])
    if not shards:
        raise InputError(f"{call.inputs['dedup']}: no documents there to train a vocabulary on")
    return shards


def _share(call: Call[VocabularySettings], settings: VocabularySettings) -> float:
    if settings.sample_bytes is None:
        return 1.0
    return settings.sample_bytes / max(1, text_bytes(StageManifest.load(call.inputs["dedup"])))


def _partitions(call: Call[VocabularySettings]) -> int:
    total = text_bytes(StageManifest.load(call.inputs["dedup"]))
    return min(MOST_PARTITIONS, total // TEXT_BYTES_A_PARTITION + 1)


def ready_file(settings: VocabularySettings) -> dict[str, Input]:
    """The ready tokenizer, so that its content counts as an input."""
    if settings.tokenizer_path is None:
        return {}
    try:
        return {"tokenizer_path": file_input(str(formats.file_of(Path(settings.tokenizer_path))))}
    except FormatError as error:
        raise InputError(str(error)) from error


STAGE = Stage(
    name="vocabulary",
    text="unique documents to a byte-level BPE vocabulary of 50,257 entries",
    settings=VocabularySettings,
    inputs=("dedup",),
    work=work,
    unit="documents",
    files=ready_file,
)
