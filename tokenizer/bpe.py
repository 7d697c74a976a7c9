"""Training of a vocabulary: from words and their counts to a Tokenizer."""

import json
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import tokenizers

from tokenizer.codec import LIBRARY, Tokenizer
from tokenizer.formats import merges_of
from tokenizer.merges import learn
from tokenizer.paper import VOCAB_SIZE
from tokenizer.strings import utf8

__all__ = ["COUNTS", "COUNTS_SCHEMA", "TRAINERS", "count_table", "train", "train_with_library"]

COUNTS = "counts"
TRAINERS = (COUNTS, LIBRARY)
"""Ours, from counts of words; the tokenizers library's, from the text. Both learn the same merges up to the library's 32-bit counts."""

COUNTS_SCHEMA = pa.schema([pa.field("piece", pa.large_binary(), nullable=False), pa.field("count", pa.int64(), nullable=False)])
"""A table of counts: each distinct piece of the text (UTF-8 bytes) once."""


def train(
    counts: pa.Table | Mapping[str, int] | Mapping[bytes, int],
    vocab_size: int = VOCAB_SIZE,
    min_frequency: int = 0,
    max_token_length: int | None = None,
) -> Tokenizer:
    """Learn GPT-2's byte-level BPE from distinct pieces and their counts: 256 bytes, merges, and the end of text as the last id.

    The merges are those of tokenizers' BpeTrainer on the same text. Fewer than `vocab_size` entries come out where the pairs run out.
    """
    _check(vocab_size, max_token_length)
    table = counts if isinstance(counts, pa.Table) else count_table(counts)
    text, offsets = utf8(table.column("piece"))
    times = table.column("count").to_numpy()
    times.flags.writeable = False  # as it is where it is a view of the table, so that compiled code meets one type
    if len(times) and times.min() < 1:
        worst = int(times.argmin())
        raise ValueError(f"a count of {times[worst]} for {table.column('piece')[worst].as_py()!r}: at least 1")
    del counts, table  # unless the caller keeps it, learning has its memory
    pairs = learn(
        text,
        offsets,
        times,
        vocab_size - 257,
        min_frequency=min_frequency,
        max_token_length=max_token_length,
    )
    return Tokenizer.of_pairs(pairs)


def train_with_library(
    texts: Iterable[Sequence[str]], vocab_size: int = VOCAB_SIZE, min_frequency: int = 0, max_token_length: int | None = None
) -> Tokenizer:
    """The same by tokenizers' BpeTrainer, from batches of texts, in one process and with all distinct words in memory.

    Its pair counts are 32 bits wide: beyond some 115 GB of English it silently loses the commonest pairs.
    """
    _check(vocab_size, max_token_length)
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=min_frequency,
        max_token_length=max_token_length and max_token_length + 1,  # its tokens are shorter than it is told
        special_tokens=[],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return Tokenizer(merges_of(json.loads(library.to_str())))


def _check(vocab_size: int, max_token_length: int | None) -> None:
    if vocab_size < 257:
        raise ValueError(f"vocab_size {vocab_size}: at least 257, the 256 bytes and the end of text")
    if max_token_length is not None and max_token_length < 2:
        raise ValueError(f"max_token_length {max_token_length}: at least 2 bytes, the shortest merge")


def count_table(counts: Mapping[str, int] | Mapping[bytes, int]) -> pa.Table:
    """The counts as a table, sorted by piece."""
    pieces = sorted((piece.encode() if isinstance(piece, str) else piece, count) for piece, count in counts.items())
    return pa.table([[p for p, _ in pieces], [c for _, c in pieces]], schema=COUNTS_SCHEMA)
