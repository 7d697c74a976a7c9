"""A trained vocabulary: text to ids and back."""

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tokenizers

from tokenizer import formats
from tokenizer.errors import FormatError
from tokenizer.formats import Pair
from tokenizer.paper import byte_ids


class Tokenizer:
    """GPT-2's byte-level BPE under some merges. Ids: 256 bytes, the merges in their order, the end of text.

    No text ever gives the end of text's id, whatever it spells: `encode` knows no special token, and callers append `eot_id` themselves.
    """

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self.pairs = tuple((int(left), int(right)) for left, right in pairs)
        for new, pair in enumerate(self.pairs, 256):
            if max(pair) >= new or min(pair) < 0:
                raise FormatError(f"merge {new - 256} joins {pair}, of which one is not made before it")

    @classmethod
    def of_pairs(cls, pairs: npt.NDArray[np.uint16]) -> Self:
        """From merges as rows of (left, right)."""
        return cls(pairs.tolist())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """From a folder that holds a tokenizer, or one file of it: tokenizer.json, merges.txt, vocab.bpe or a tiktoken rank file.

        Raises FormatError for anything else, and for a tokenizer that is not GPT-2's kind.
        """
        return cls(formats.read_pairs(Path(path)))

    @classmethod
    def parse(cls, name: str, data: bytes) -> Self:
        """The same from a file's name and content."""
        return cls(formats.parse_pairs(name, data))

    def save(self, folder: str | Path) -> list[Path]:
        """Write every format into the folder; returns the files."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for name, data in formats.all_files(self.pairs).items():
            paths.append(Path(folder, name))
            paths[-1].write_bytes(data)
        return paths

    @property
    def vocab_size(self) -> int:
        """All entries, the end of text included."""
        return len(self.pairs) + 257

    @property
    def eot_id(self) -> int:
        """The end of text, the last id."""
        return len(self.pairs) + 256

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """What each id spells; the end of text spells nothing."""
        spelt: list[bytes] = [b""] * 256
        for byte, number in enumerate(byte_ids()):
            spelt[number] = bytes([byte])
        for left, right in self.pairs:
            spelt.append(spelt[left] + spelt[right])
        return (*spelt, b"")

    @cached_property
    def sha256(self) -> str:
        """Of the canonical merges text (merges.txt): the same tokenizer has the same hash whatever file it came from."""
        return hashlib.sha256(formats.merges_text(self.pairs)).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of the text, without the end of text. Raises ValueError for lone surrogates, which no UTF-8 spells."""
        return self.encode_batch([text])[0].tolist()  # type: ignore[no-any-return]

    def encode_batch(self, texts: Sequence[str]) -> list[npt.NDArray[np.uint16]]:
        """Ids of each text, without the end of text."""
        encodings = self._library.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.asarray(encoding.ids, np.uint16) for encoding in encodings]

    def encode_arrow(self, texts: pa.Array) -> tuple[npt.NDArray[np.uint16], npt.NDArray[np.int64]]:
        """Ids of all texts one after the other, the end of text after each, and where each begins; the last offset is the end."""
        parts, offsets = [], [0]
        for ids in self.encode_batch(texts.to_pylist()):
            parts += [ids, np.array([self.eot_id], np.uint16)]
            offsets.append(offsets[-1] + len(ids) + 1)
        return np.concatenate(parts) if parts else np.zeros(0, np.uint16), np.array(offsets, np.int64)

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> bytes:
        """The exact bytes that the ids spell."""
        return b"".join([self.token_bytes[i] for i in np.asarray(ids).tolist()])

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """Their text; half a character becomes U+FFFD, the end of text nothing."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        return formats.library_tokenizer(self.pairs)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[tuple[Pair, ...]]]:
        return Tokenizer, (self.pairs,)
