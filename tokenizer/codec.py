"""A trained vocabulary: text to ids and back."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import tokenizers

from tokenizer import formats
from tokenizer.encoder import Encoder
from tokenizer.errors import FormatError
from tokenizer.formats import MergePair
from tokenizer.merges import MAX_IDS
from tokenizer.paper import PRE_TOKEN_PATTERN, byte_ids
from tokenizer.token_ids import DocumentOffsets, TokenIds

__all__ = ["COMPILED", "ENCODERS", "LIBRARY", "TIKTOKEN", "Tokenizer"]

COMPILED, LIBRARY, TIKTOKEN = "compiled", "tokenizers", "tiktoken"
ENCODERS = (COMPILED, LIBRARY, TIKTOKEN)
"""Our own; the tokenizers library, the oracle; tiktoken, where it is installed. All give the same ids."""


class Tokenizer:
    """GPT-2's byte-level BPE under some merges. Ids: 256 bytes, the merges in their order, the end of text.

    No text ever gives the end of text's id, whatever it spells: `encode` knows no special token, and callers append `eot_id` themselves.
    """

    def __init__(self, pairs: Sequence[MergePair]) -> None:
        self.pairs = tuple((int(left), int(right)) for left, right in pairs)
        if self.eot_id > MAX_IDS:
            raise FormatError(
                f"{len(self.pairs):,} merges: at most {MAX_IDS - 256:,} leave each id 16 bits; give a smaller vocabulary"
            )
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

    def encode_batch(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids of each text, without the end of text."""
        ids, offsets = self.encode_arrow(pa.array(texts, pa.large_string()), eot=False)
        return [ids[start:stop] for start, stop in pairwise(offsets)]

    def encode_arrow(self, texts: pa.Array, *, eot: bool = True, encoder: str = COMPILED) -> tuple[TokenIds, DocumentOffsets]:
        """Ids of all texts one after the other, the end of text after each, and where each begins; the last offset is the end.

        `encoder` is one of ENCODERS: all give the same ids, the compiled one without a Python object a token.
        """
        if encoder == COMPILED:
            return self._compiled.encode(texts, eot=eot)
        ending = np.array([self.eot_id] * eot, np.uint16)
        encoded = [np.concatenate([ids, ending]) for ids in self._foreign(texts.to_pylist(), encoder)]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in encoded], dtype=np.int64)])
        return np.concatenate([np.zeros(0, np.uint16), *encoded]), offsets

    def _foreign(self, texts: list[str], encoder: str) -> Iterator[TokenIds]:
        if encoder == LIBRARY:
            for encoding in self._library.encode_batch_fast(texts, add_special_tokens=False):
                yield np.asarray(encoding.ids, np.uint16)
        elif encoder == TIKTOKEN:
            for text in texts:
                yield self._tiktoken.encode_to_numpy(text, disallowed_special=()).astype(np.uint16)
        else:
            raise ValueError(f"encoder {encoder!r}: one of {', '.join(ENCODERS)}")

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> bytes:
        """The exact bytes that the ids spell."""
        return b"".join([self.token_bytes[i] for i in np.asarray(ids).tolist()])

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """Their text; half a character becomes U+FFFD, the end of text nothing."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    @cached_property
    def _compiled(self) -> Encoder:
        return Encoder(self.pairs)

    @cached_property
    def _tiktoken(self) -> Any:
        tiktoken = import_module("tiktoken")
        ranks = {token: rank for rank, token in enumerate(self.token_bytes[:-1])}
        return tiktoken.Encoding("webtext", pat_str=PRE_TOKEN_PATTERN, mergeable_ranks=ranks, special_tokens={})

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        return formats.library_tokenizer(self.pairs)

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[tuple[MergePair, ...]]]:
        return Tokenizer, (self.pairs,)
