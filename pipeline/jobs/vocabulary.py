"""Unique documents to a tokenizer: GPT-2's byte-level BPE trained on their words, or a ready one taken as it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from pipeline import files
from pipeline.files import InputError
from pipeline.manifest import Books, Input, Manifest, file_input
from pipeline.parts import Part, PartWriter, Place, Receipt, RunParts, numbered
from pipeline.settings import setting
from pipeline.stage import Call, Outcome, Stage
from pipeline.views import DocumentShard, document_shards, text_bytes
from pipeline.vocabulary import CountWords, MergePartition, sampled_texts
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

    def __call__(self, part: Part, writer: PartWriter) -> None:
        """Raises InputError where the text runs out of pairs before the vocabulary is full."""
        paths: Sequence[str] = part.work
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

    def __call__(self, part: Part, writer: PartWriter) -> None:
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

    def __call__(self, _part: Part, writer: PartWriter) -> None:
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


def work(call: Call, place: Place) -> Outcome:
    """Count, merge the counts, learn."""
    settings: VocabularySettings = call.settings
    if settings.tokenizer != "train":
        taken = call.engine.run_parts(place.next("take"), numbered([None]), RunParts(place.next("take"), Take(settings)))
        return Outcome(taken)
    if settings.trainer == LIBRARY:
        shards = _documents(call)
        whole = [Part("all", shards, sum(shard.rows for shard in shards))]
        training = RunParts(place.next("learn"), TrainWithLibrary(settings, _share(call, settings)))
        return Outcome(call.engine.run_parts(place.next("learn"), whole, training, "documents"))
    counted = _count(call, place, settings)
    merging = place.next("merge")
    tables = [[receipt.path(place, f"words-{n}") for receipt in counted] for n in range(_partitions(call))]
    merged = call.engine.run_parts(
        merging, numbered(tables, len), RunParts(merging, MergePartition(settings.keep_counts)), "tables"
    )
    paths = [receipt.path(place, "counts") for receipt in merged]
    learning = place.next("learn")
    learnt = call.engine.run_parts(learning, numbered([paths]), RunParts(learning, Train(settings)))
    return Outcome([*counted, *merged, *learnt], books=Books.total(receipt.books for receipt in counted))


def _count(call: Call, place: Place, settings: VocabularySettings) -> list[Receipt]:
    counting = place.next("count")
    words = CountWords(counting, _partitions(call), _share(call, settings), settings.sample_seed)
    parts = numbered(_documents(call), lambda shard: shard.rows)
    return call.engine.run_parts(counting, parts, words, "documents")


def _documents(call: Call) -> list[DocumentShard]:
    shards = document_shards(call.inputs["dedup"])
    if not shards:
        raise InputError(f"{call.inputs['dedup']}: no documents there to train a vocabulary on")
    return shards


def _share(call: Call, settings: VocabularySettings) -> float:
    if settings.sample_bytes is None:
        return 1.0
    return settings.sample_bytes / max(1, text_bytes(Manifest.load(call.inputs["dedup"])))


def _partitions(call: Call) -> int:
    total = text_bytes(Manifest.load(call.inputs["dedup"]))
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
    out="documents counted",
    files=ready_file,
)
