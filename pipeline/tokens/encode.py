"""Documents to token ids: document shards are encoded in batches into sorted runs, and a sample of each is checked by another encoder."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import DocumentShard
from pipeline.tokens.groups import DocumentNumbers
from pipeline.tokens.sorted_runs import DocumentSizes, SortedRunWriter
from pipeline.tokens.splits import Splitting
from tokenizer.codec import COMPILED, LIBRARY, Tokenizer
from tokenizer.formats import TOKENIZER_JSON
from tokenizer.token_ids import DocumentOffsets, TokenIds

BATCH_DOCUMENTS = 1024
ORACLE_BYTES = 1 << 13
"""Limit of the text that the oracle encodes too, per document shard: it takes twenty times as long."""


class TokensDrop(StrEnum):
    """Why a document gave no tokens."""

    NO_TEXT = "no_text"


@dataclass(frozen=True, slots=True)
class ShardToEncode:
    """A document shard; where it repeats texts, `copies` is a file of `groups.COPIES`."""

    documents: DocumentShard
    copies: str | None = None

    def copy_numbers(self) -> DocumentNumbers:
        """For each selected row, how many documents of the same text come before it."""
        numbers = np.zeros(self.documents.rows, np.int64)
        if self.copies:
            repeated = arrays.load(self.copies)
            numbers[repeated["row"]] = repeated["number"]
        return numbers


@dataclass(frozen=True, slots=True)
class EncodeShard:
    """Encodes one ShardToEncode into sorted runs. `tokenizer` is the path of a tokenizer.json, `encoder` one of ENCODERS."""

    tokenizer: str
    splitting: Splitting
    encoder: str

    def __call__(self, part: Part[ShardToEncode], writer: PartWriter) -> None:
        """Spill the runs; drop documents without text."""
        encoder = CheckedEncoder(load_tokenizer(self.tokenizer), self.encoder)
        runs = SortedRunWriter(writer, self.splitting)
        copies, row = part.work.copy_numbers(), 0
        for batch in part.work.documents.batches(["document_id", "text"], BATCH_DOCUMENTS):
            writer.items_in += batch.num_rows
            full, text_bytes, own_copies = _drop_empty(batch, copies[row : row + batch.num_rows], writer)
            row += batch.num_rows
            writer.items_out += full.num_rows
            ids = full.column("document_id")
            tokens, offsets = encoder.encode(full.column("text"), lambda row, ids=ids: ids[row].as_py().hex())  # type: ignore[misc]
            runs.add(ids, tokens, offsets, text_bytes, own_copies)
            writer.advance(batch.num_rows)
        runs.close()


def _drop_empty(
    batch: pa.RecordBatch, copies: DocumentNumbers, writer: PartWriter
) -> tuple[pa.RecordBatch, DocumentSizes, DocumentNumbers]:
    """The documents with text, the bytes of each one's text, and their numbers of `copies`."""
    text_bytes = pc.binary_length(batch.column("text")).to_numpy().astype(np.int64)
    for row in np.flatnonzero(text_bytes == 0):
        writer.drop(Drop("tokens", batch.column("document_id")[row].as_py().hex(), TokensDrop.NO_TEXT))
    if text_bytes.all():
        return batch, text_bytes, copies
    full = text_bytes > 0
    return batch.filter(pa.array(full)), text_bytes[full], copies[full]


def load_tokenizer(path: str) -> Tokenizer:
    """The tokenizer in a file, or in a folder's tokenizer.json, on any file system; a worker process parses it once."""
    file = files.join(path, TOKENIZER_JSON)
    path = file if files.exists(file) else path
    return _parse(files.base_name(path), files.read_bytes(path))


@lru_cache(maxsize=2)
def _parse(name: str, data: bytes) -> Tokenizer:
    return Tokenizer.parse(name, data)


@dataclass(slots=True)
class CheckedEncoder:
    """Encodes batches of texts, and compares the first one that has a text below ORACLE_BYTES with the oracle's ids."""

    tokenizer: Tokenizer
    encoder: str = COMPILED
    checked: bool = field(default=False, init=False)

    def encode(self, texts: pa.Array, name: Callable[[int], str]) -> tuple[TokenIds, DocumentOffsets]:
        """The concatenated ids of all texts, each ending in the end of text, and where each text's ids begin.

        Raises RuntimeError with the `name` of a row where the ids differ from the oracle's.
        """
        tokens, offsets = self.tokenizer.encode_arrow(texts, encoder=self.encoder)
        self.checked = self.checked or compare_with_oracle(self.tokenizer, texts, tokens, offsets, name) > 0
        return tokens, offsets


def compare_with_oracle(
    tokenizer: Tokenizer, texts: pa.Array, tokens: TokenIds, offsets: DocumentOffsets, name: Callable[[int], str]
) -> int:
    """Encode a batch's first texts, at most ORACLE_BYTES, with the tokenizers library too. Returns how many were compared.

    Raises RuntimeError with the name of the document where the ids differ.
    """
    sizes = pc.binary_length(texts).to_numpy()
    small = np.flatnonzero(sizes <= ORACLE_BYTES)
    rows = small[np.cumsum(sizes[small], dtype=np.int64) <= ORACLE_BYTES]
    for row, text in zip(rows.tolist(), texts.take(pa.array(rows)).to_pylist(), strict=True):
        expected, _ = tokenizer.encode_arrow(pa.array([text], pa.large_string()), encoder=LIBRARY)
        if not np.array_equal(expected, tokens[offsets[row] : offsets[row + 1]]):
            raise RuntimeError(
                f"document {name(row)}: this encoder's ids differ from those of tokenizers; use --encoder {LIBRARY}"
            )
    return len(rows)
