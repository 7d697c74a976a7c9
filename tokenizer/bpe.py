"""Trains a vocabulary: from pre-tokens and their counts, or from text, to a Tokenizer."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa
import tokenizers

from tokenizer.codec import LIBRARY, Tokenizer
from tokenizer.formats import merges_of
from tokenizer.merges import learn
from tokenizer.paper import VOCAB_SIZE
from tokenizer.pre_tokens import pre_tokenize
from tokenizer.strings import string_array, utf8

__all__ = ["COUNTS", "COUNTS_SCHEMA", "TRAINERS", "count_table", "train", "train_with_library"]

COUNTS = "counts"
TRAINERS = (COUNTS, LIBRARY)
"""`counts` is ours and reads counts of pre-tokens; `tokenizers` is that library's and reads the text.

Both learn the same merges as long as the library's 32-bit counts suffice.
"""

COUNTS_SCHEMA = pa.schema([pa.field("piece", pa.large_binary(), nullable=False), pa.field("count", pa.int64(), nullable=False)])
"""Schema of a table of counts: one row per distinct pre-token of the text (UTF-8 bytes)."""


def train(
    counts: pa.Table | Mapping[str, int] | Mapping[bytes, int] | Iterable[str],
    vocab_size: int = VOCAB_SIZE,
    min_frequency: int = 0,
    max_token_length: int | None = None,
) -> Tokenizer:
    """GPT-2's byte-level BPE, learned from distinct pre-tokens and their counts, or from texts (in memory, for small ones).

    Ids: 256 bytes, the merges, the end of text.

    The merges equal those of tokenizers' BpeTrainer on the same text. The result has fewer than `vocab_size` entries where the
    pairs run out. Raises ValueError for a count below 1 or limits that leave no merge, TypeError for what is no text.
    """
    _check(vocab_size, max_token_length)
    table = counts if isinstance(counts, pa.Table) else count_table(_counts(counts))
    text, offsets = utf8(table.column("piece"))
    times = table.column("count").to_numpy()
    times.flags.writeable = False  # as in a view of the table, so that compiled code sees one type
    if len(times) and times.min() < 1:
        worst = int(times.argmin())
        raise ValueError(f"a count of {times[worst]} for {table.column('piece')[worst].as_py()!r}: counts must be at least 1")
    del counts, table  # frees their memory for learning, unless the caller keeps them
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
    """GPT-2's byte-level BPE, learned by tokenizers' BpeTrainer from batches of texts.

    It runs in one process and keeps all distinct words in memory. The library's pair counts have 32 bits: beyond about 115 GB of
    English it silently loses the most common pairs.
    """
    _check(vocab_size, max_token_length)
    library = tokenizers.Tokenizer(tokenizers.models.BPE())
    library.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=min_frequency,
        max_token_length=max_token_length and max_token_length + 1,  # the library's limit is exclusive
        special_tokens=[],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    library.train_from_iterator(texts, trainer)
    return Tokenizer(merges_of(json.loads(library.to_str())))


def _counts(counts: Mapping[str, int] | Mapping[bytes, int] | Iterable[str]) -> Mapping[str, int] | Mapping[bytes, int]:
    if isinstance(counts, Mapping):
        return counts
    texts = string_array(counts, "counts").drop_null()
    return Counter(piece for text in texts.to_pylist() for piece in pre_tokenize(text))


def _check(vocab_size: int, max_token_length: int | None) -> None:
    if vocab_size < 257:
        raise ValueError(f"vocab_size {vocab_size}: must be at least 257, for the 256 bytes and the end of text")
    if max_token_length is not None and max_token_length < 2:
        raise ValueError(f"max_token_length {max_token_length}: must be at least 2 bytes, the shortest merge")


def count_table(counts: Mapping[str, int] | Mapping[bytes, int]) -> pa.Table:
    """The counts as a table of COUNTS_SCHEMA, sorted by pre-token."""
    rows = sorted((key.encode() if isinstance(key, str) else key, count) for key, count in counts.items())
    return pa.table([[key for key, _ in rows], [count for _, count in rows]], schema=COUNTS_SCHEMA)
