"""Statistics of how well a tokenizer fits a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tokenizer.codec import Tokenizer

Labels = Mapping[str, Sequence[str | None]]
"""Labels of each text by kind, such as `{"language": ["en", None]}`."""


@dataclass(slots=True)
class Group:
    """Sums over the documents of one language or one domain."""

    documents: int = 0
    text_bytes: int = 0
    tokens: int = 0

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of text per token."""
        return self.text_bytes / max(1, self.tokens)


@dataclass(slots=True)
class Fit:
    """Sums over the texts added so far. `counts` are the occurrences of each id. Words are separated by white space.

    `groups` are by kind and label, such as `groups["language"]["en"]`.
    """

    tokenizer: Tokenizer
    documents: int = 0
    text_bytes: int = 0
    words: int = 0
    counts: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(1 << 16, np.int64))
    not_restored: int = 0
    groups: dict[str, dict[str, Group]] = field(default_factory=dict)

    def add(self, texts: pa.Array, labels: Labels | None = None) -> None:
        """Encode and decode each text, and add up the results, also by group: `labels` names each text's group of each kind."""
        ids, offsets = self.tokenizer.encode_arrow(texts, eot=False)
        self.counts += np.bincount(ids, minlength=1 << 16)
        for text, (start, stop) in zip(texts.to_pylist(), pairwise(offsets), strict=True):
            self.documents += 1
            self.words += len(text.split())
            self.not_restored += self.tokenizer.decode(ids[start:stop]) != text
        text_bytes = pc.binary_length(texts).to_pylist()
        self.text_bytes += sum(text_bytes)
        for kind, names in (labels or {}).items():
            for name, size, tokens in zip(names, text_bytes, np.diff(offsets).tolist(), strict=True):
                group = self.groups.setdefault(kind, {}).setdefault(name or "unknown", Group())
                group.documents += 1
                group.text_bytes += size
                group.tokens += tokens

    @property
    def tokens(self) -> int:
        """Number of tokens, without ends of text."""
        return int(self.counts.sum())

    @property
    def bytes_per_token(self) -> float:
        """UTF-8 bytes of text per token."""
        return self.text_bytes / max(1, self.tokens)

    @property
    def tokens_per_word(self) -> float:
        """Tokens per word of text, also called fertility."""
        return self.tokens / max(1, self.words)

    @property
    def unused(self) -> int:
        """Number of ids that never occurred, not counting the end of text."""
        return int(np.count_nonzero(self.counts[: self.tokenizer.eot_id] == 0))

    @property
    def unigram_bits_per_byte(self) -> float:
        """Bits per byte of text under a unigram model of the ids with their own frequencies."""
        shares = self.counts[self.counts > 0] / max(1, self.tokens)
        return float(-(shares * np.log2(shares)).sum() * self.tokens / max(1, self.text_bytes))


def never_final(tokenizer: Tokenizer) -> int:
    """Number of tokens that their own spelling does not encode to. Tokens that are not valid UTF-8 are not counted."""
    spellings = [(number, token) for number, token in enumerate(tokenizer.token_bytes[:-1]) if _is_text(token)]
    batch = tokenizer.encode_batch([token.decode() for _, token in spellings])
    return sum(ids.tolist() != [number] for (number, _), ids in zip(spellings, batch, strict=True))


def longest(tokenizer: Tokenizer, number: int = 10) -> list[bytes]:
    """The longest tokens by bytes, in order of id where they are equally long."""
    return sorted(tokenizer.token_bytes, key=len, reverse=True)[:number]


def _is_text(token: bytes) -> bool:
    try:
        token.decode()
    except UnicodeDecodeError:
        return False
    return True
