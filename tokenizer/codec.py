"""The Tokenizer: encodes text to token ids with a trained vocabulary, and decodes ids to text."""

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
from tokenizer.outputs import written_aside
from tokenizer.paper import SPLIT_PATTERN, byte_ids
from tokenizer.strings import string_array
from tokenizer.token_ids import DocumentOffsets, TokenIds

__all__ = ["COMPILED", "ENCODERS", "LIBRARY", "TIKTOKEN", "Tokenizer"]

COMPILED, LIBRARY, TIKTOKEN = "compiled", "tokenizers", "tiktoken"
ENCODERS = (COMPILED, LIBRARY, TIKTOKEN)
"""`compiled` is ours; `tokenizers` is that library, the tests' oracle; `tiktoken` is that package. All give the same ids."""


class Tokenizer:
    """GPT-2's byte-level BPE with given merges. Ids are, in order: 256 bytes, the merges, the end of text.

    No text encodes to the end of text's id, whatever it spells: `encode` knows no special tokens. Callers append `eot_id`
    themselves.
    """

    def __init__(self, pairs: Sequence[MergePair]) -> None:
        self.pairs = tuple((int(left), int(right)) for left, right in pairs)
        if self.eot_id > MAX_IDS:
            raise FormatError(
                f"{len(self.pairs):,} merges: at most {MAX_IDS - 256:,} fit into 16-bit ids; give a smaller vocabulary"
            )
        for new, pair in enumerate(self.pairs, 256):
            if max(pair) >= new or min(pair) < 0:
                raise FormatError(f"merge {new - 256} joins {pair}, but one of these ids does not exist before it")

    @classmethod
    def of_pairs(cls, pairs: npt.NDArray[np.uint16]) -> Self:
        """The tokenizer of an array of merges, one row (left id, right id) each."""
        return cls(pairs.tolist())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The tokenizer in a folder or file: tokenizer.json, merges.txt, vocab.bpe or a tiktoken rank file.

        Raises FormatError for anything else, and for a tokenizer that is not byte-level BPE with GPT-2's ids.
        """
        return cls(formats.read_pairs(Path(path)))

    @classmethod
    def parse(cls, name: str, data: bytes) -> Self:
        """The tokenizer in a file's content; the name's ending tells the format. Raises FormatError like `load`."""
        return cls(formats.parse_pairs(name, data))

    def save(self, folder: str | Path, context_tokens: int = formats.CONTEXT_TOKENS) -> list[Path]:
        """Write every format into the folder, for a network of this context; returns the paths of the files."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        paths = []
        for name, data in formats.all_files(self.pairs, context_tokens).items():
            paths.append(Path(folder, name))
            with written_aside(paths[-1]) as aside:
                aside.write_bytes(data)
        return paths

    @property
    def vocab_size(self) -> int:
        """Number of entries, including the end of text."""
        return len(self.pairs) + 257

    @property
    def eot_id(self) -> int:
        """Id of the end of text, which is the last id."""
        return len(self.pairs) + 256

    @cached_property
    def token_bytes(self) -> tuple[bytes, ...]:
        """The bytes that each id spells; the end of text spells none."""
        spellings: list[bytes] = [b""] * 256
        for byte, number in enumerate(byte_ids()):
            spellings[number] = bytes([byte])
        for left, right in self.pairs:
            spellings.append(spellings[left] + spellings[right])
        return (*spellings, b"")

    @cached_property
    def sha256(self) -> str:
        """sha256 (hex) of merges.txt, the canonical form: it does not depend on which file a tokenizer was loaded from."""
        return hashlib.sha256(formats.merges_text(self.pairs)).hexdigest()

    def encode(self, text: str) -> list[int]:
        """Ids of the text, without the end of text. Raises ValueError for lone surrogates, which UTF-8 cannot encode."""
        if not isinstance(text, str):
            raise TypeError(f"text: a {type(text).__name__}; give a str, or several to encode_batch")
        return self.encode_batch([text])[0].tolist()  # type: ignore[no-any-return]

    def encode_batch(self, texts: Sequence[str]) -> list[TokenIds]:
        """Ids of each text (uint16), without the end of text."""
        ids, offsets = self.encode_arrow(string_array(texts), eot=False)
        return [ids[start:stop] for start, stop in pairwise(offsets)]

    def encode_arrow(self, texts: pa.Array, *, eot: bool = True, encoder: str = COMPILED) -> tuple[TokenIds, DocumentOffsets]:
        """The concatenated ids of all texts, and where each text's ids begin; the last offset is the end. `eot` ends each text.

        `encoder` is one of ENCODERS. All give the same ids; the compiled one makes no Python object per token.
        """
        if encoder == COMPILED:
            return self._compiled.encode(texts, eot=eot)
        ending = np.array([self.eot_id] * eot, np.uint16)
        parts = [np.concatenate([ids, ending]) for ids in self._encode_with(encoder, texts.to_pylist())]
        offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in parts], dtype=np.int64)])
        return np.concatenate([np.zeros(0, np.uint16), *parts]), offsets

    def _encode_with(self, encoder: str, texts: list[str]) -> Iterator[TokenIds]:
        if encoder == LIBRARY:
            for encoding in self._library.encode_batch_fast(texts, add_special_tokens=False):
                yield np.asarray(encoding.ids, np.uint16)
        elif encoder == TIKTOKEN:
            for text in texts:
                yield self._tiktoken.encode_to_numpy(text, disallowed_special=()).astype(np.uint16)
        else:
            raise ValueError(f"encoder {encoder!r}: must be one of {', '.join(ENCODERS)}")

    def decode_bytes(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> bytes:
        """The exact bytes that the ids spell."""
        return b"".join([self.token_bytes[i] for i in np.asarray(ids).tolist()])

    def decode(self, ids: Sequence[int] | npt.NDArray[np.integer]) -> str:
        """The text that the ids spell. Incomplete characters become U+FFFD; the end of text becomes nothing."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    @cached_property
    def _compiled(self) -> Encoder:
        return Encoder(self.pairs)

    @cached_property
    def _tiktoken(self) -> Any:
        tiktoken = import_module("tiktoken")
        ranks = {token: rank for rank, token in enumerate(self.token_bytes[:-1])}
        return tiktoken.Encoding("webtext", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens={})

    @cached_property
    def _library(self) -> tokenizers.Tokenizer:
        return formats.library_tokenizer(self.pairs)

    def __repr__(self) -> str:
        return f"<Tokenizer of {self.vocab_size:,} entries, sha256 {self.sha256[:12]}>"

    def __reduce__(self) -> tuple[type["Tokenizer"], tuple[tuple[MergePair, ...]]]:
        return Tokenizer, (self.pairs,)
