"""The works that give the stage `vocabulary` its tokenizer: learn it from counts, from text, or read a ready one."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard
from pipeline.vocabulary.counts import read_sample
from pipeline.vocabulary.settings import VocabularySettings
from tokenizer import formats
from tokenizer.bpe import train, train_with_library
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError


@dataclass(frozen=True, slots=True)
class TrainFromCounts:
    """Learns the merges from tables of counts; the part's work is their paths."""

    settings: VocabularySettings

    def __call__(self, part: Part[Sequence[str]], writer: PartWriter) -> None:
        """Publish the tokenizer. Raises InputError where the text runs out of pairs before the vocabulary is full."""
        settings = self.settings
        tokenizer = train(
            pa.concat_tables(map(files.read_table, part.work)),
            settings.vocab_size,
            min_frequency=settings.min_frequency,
            max_token_length=settings.max_token_length,
        )
        _publish_trained(tokenizer, settings, writer)


@dataclass(frozen=True, slots=True)
class TrainFromText:
    """Learns the merges with the tokenizers library from the sample of some document shards: the part's work."""

    settings: VocabularySettings
    share: float

    def __call__(self, part: Part[Sequence[DocumentShard]], writer: PartWriter) -> None:
        """Publish the tokenizer. Raises InputError where the text runs out of pairs before the vocabulary is full."""
        settings = self.settings
        texts = (
            batch.to_pylist() for shard in part.work for batch in read_sample(shard, self.share, settings.sample_seed, writer)
        )
        tokenizer = train_with_library(
            texts, settings.vocab_size, min_frequency=settings.min_frequency, max_token_length=settings.max_token_length
        )
        _publish_trained(tokenizer, settings, writer)


@dataclass(frozen=True, slots=True)
class ReadTokenizer:
    """Reads the ready tokenizer at the settings' path and publishes it in every format."""

    settings: VocabularySettings

    def __call__(self, _part: Part[None], writer: PartWriter) -> None:
        """Raises InputError as `VocabularySettings.ready_tokenizer` does."""
        _publish(self.settings.ready_tokenizer(), writer)


def _publish_trained(tokenizer: Tokenizer, settings: VocabularySettings, writer: PartWriter) -> None:
    if tokenizer.vocab_size < settings.vocab_size and not settings.smaller_vocabulary:
        raise InputError(
            f"--vocab-size {settings.vocab_size}: the text runs out of pairs at {tokenizer.vocab_size:,} entries; "
            f"give more text, --vocab-size {tokenizer.vocab_size} or less, or --smaller-vocabulary"
        )
    _publish(tokenizer, writer)


def _publish(tokenizer: Tokenizer, writer: PartWriter) -> None:
    writer.counters["vocab_size"] = tokenizer.vocab_size
    for name, data in formats.all_files(tokenizer.pairs).items():
        writer.publish("tokenizer", tokenizer.vocab_size, lambda file, data=data: file.write(data), name)  # type: ignore[misc]
