"""Training of a vocabulary: from words and their counts to a Tokenizer."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.codec import Tokenizer
from tokenizer.merges import learn
from tokenizer.paper import VOCAB_SIZE, byte_ids

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
    text, offsets, times = _arrays(table)
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


def _arrays(table: pa.Table) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    pieces = table.column("piece").combine_chunks().cast(pa.large_binary())
    if isinstance(pieces, pa.ChunkedArray):
        pieces = pieces.chunk(0) if pieces.num_chunks else pa.array([], pa.large_binary())
    offsets = np.frombuffer(pieces.buffers()[1], np.int64, len(pieces) + 1, 8 * pieces.offset)
    data = pieces.buffers()[2]
    text = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    return text[offsets[0] : offsets[-1]], offsets - offsets[0], table.column("count").to_numpy()
