"""Text to GPT-2's pieces, the words between which no merge reaches, and their counts."""

from collections import Counter
from collections.abc import Iterable

import pyarrow as pa
import regex

from tokenizer.bpe import count_table
from tokenizer.paper import PIECES

_PIECES = regex.compile(PIECES)


def count(texts: Iterable[str]) -> pa.Table:
    """Each distinct piece of the texts and how often it occurs, sorted by piece (tokenizer.bpe.COUNTS_SCHEMA)."""
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(_PIECES.findall(text))
    return count_table(counts)
