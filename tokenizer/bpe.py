"""Training of a vocabulary: from words and their counts to a Tokenizer."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from tokenizer.codec import Tokenizer
from tokenizer.merges import learn
from tokenizer.paper import VOCAB_SIZE, byte_ids
from tokenizer.strings import utf8

COUNTS_SCHEMA = pa.schema([pa.field("piece", pa.large_binary(), nullable=False), pa.field("count", pa.int64(), nullable=False)])
"""A table of counts: each distinct piece of the text (UTF-8 bytes) once."""


def train(
    counts: pa.Table | Mapping[str, int] | Mapping[bytes, int],
    vocab_size: int = VOCAB_SIZE,
    *,
    min_frequency: int = 0,
    max_token_length: int | None = None,
) -> Tokenizer:
    """Learn GPT-2's byte-level BPE from distinct pieces and their counts: 256 bytes, merges, and the end of text as the last id.

    The merges are those of tokenizers' BpeTrainer on the same text. Fewer than `vocab_size` entries come out where the pairs run out.
    """
    if vocab_size < 257:
        raise ValueError(f"vocab_size {vocab_size}: at least 257, the 256 bytes and the end of text")
    table = counts if isinstance(counts, pa.Table) else count_table(counts)
    text, offsets = utf8(table.column("piece"))
    times = table.column("count").to_numpy()
    if len(times) and times.min() < 1:
        worst = int(times.argmin())
        raise ValueError(f"a count of {times[worst]} for {table.column('piece')[worst].as_py()!r}: at least 1")
    pairs = learn(
        np.asarray(byte_ids(), np.uint8)[text],
        offsets,
        times,
        vocab_size - 257,
        min_frequency=min_frequency,
        max_token_length=max_token_length,
    )
    return Tokenizer.of_pairs(pairs)


def count_table(counts: Mapping[str, int] | Mapping[bytes, int]) -> pa.Table:
    """The counts as a table, sorted by piece."""
    pieces = sorted((piece.encode() if isinstance(piece, str) else piece, count) for piece, count in counts.items())
    return pa.table([[p for p, _ in pieces], [c for _, c in pieces]], schema=COUNTS_SCHEMA)
