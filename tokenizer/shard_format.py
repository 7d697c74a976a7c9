"""Layout of a token shard: schema, header and record batches (docs/formats.md).

A shard is an uncompressed Arrow IPC file with one row per document: its tokens, which end with the end of text, and its id.
Record batches have a bounded size and each carries a checksum. The schema's metadata names the tokenizer that made the shard.
"""

import struct
import zlib
from dataclasses import asdict, dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tokenizer.errors import FormatError
from tokenizer.token_ids import DocumentOffsets, TokenIds

MAGIC = b"ARROW1\0\0"
SHARD_FORMAT = "webtext-tokens"
SHARD_VERSION = 1
BATCH_TOKENS = 1 << 25
"""Default tokens per record batch, approximately: 64 MiB."""

TOKENS_TYPE = pa.large_list(pa.field("item", pa.uint16(), nullable=False))
SHARD_COLUMNS = (pa.field("tokens", TOKENS_TYPE, nullable=False), pa.field("document_id", pa.binary(16), nullable=False))


@dataclass(frozen=True, slots=True)
class Header:
    """Description of a shard, stored in its schema's metadata."""

    split: str
    shard: int
    shards: int
    documents: int
    tokens: int
    tokenizer_sha256: str
    vocab_size: int
    eot_id: int
    format: str = SHARD_FORMAT
    version: int = SHARD_VERSION

    def schema(self) -> pa.Schema:
        """The shard's Arrow schema."""
        return pa.schema(SHARD_COLUMNS, metadata={name: str(value) for name, value in asdict(self).items()})

    @classmethod
    def of(cls, schema: pa.Schema, path: str) -> Self:
        """The header in a schema. Raises FormatError where the schema has none, or one of another version."""
        metadata = {name.decode(): value.decode() for name, value in (schema.metadata or {}).items()}
        if metadata.get("format") != SHARD_FORMAT or metadata.get("version") != str(SHARD_VERSION):
            raise FormatError(f"{path}: not a {SHARD_FORMAT} file of version {SHARD_VERSION} (its metadata: {metadata})")
        if tuple(schema) != SHARD_COLUMNS:
            raise FormatError(f"{path}: its columns are {schema.names}, not tokens and document_id")
        kinds = cls.__annotations__
        header = cls(**{name: kinds[name](value) for name, value in metadata.items() if name in kinds})
        if not 0 <= header.eot_id < header.vocab_size <= 1 << 16:
            raise FormatError(f"{path}: its header's eot_id {header.eot_id} and vocab_size {header.vocab_size} are out of range")
        return header

    @property
    def name(self) -> str:
        """The shard's file name, such as `tokens-train-00000-of-00003.arrow`."""
        return f"tokens-{self.split}-{self.shard:05d}-of-{self.shards:05d}.arrow"


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """Whole documents as one flat stream of tokens. Document i is `tokens[offsets[i]:offsets[i + 1]]`, with its end of text.

    `document_ids` is uint8 of shape (documents, 16). Arrays of a mapped shard are read-only views of the file: copy them to
    change them.
    """

    tokens: TokenIds
    offsets: DocumentOffsets
    document_ids: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def checksum(self) -> int:
        """CRC-32 of tokens, offsets and document ids in this order, each little-endian."""
        crc = 0
        for array in (self.tokens, self.offsets, self.document_ids):
            crc = zlib.crc32(np.ascontiguousarray(array).data, crc)
        return crc

    def to_arrow(self, schema: pa.Schema) -> pa.RecordBatch:
        """The batch as an Arrow record batch, without a copy of the tokens."""
        values = pa.array(np.ascontiguousarray(self.tokens, np.uint16))
        offsets = pa.array(np.ascontiguousarray(self.offsets, np.int64))
        tokens = pa.LargeListArray.from_arrays(offsets, values, type=TOKENS_TYPE)
        raw = pa.py_buffer(np.ascontiguousarray(self.document_ids))
        ids = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(self), [None, raw])
        return pa.record_batch([tokens, ids], schema=schema)

    @classmethod
    def from_arrow(cls, batch: pa.RecordBatch) -> Self:
        """A batch whose arrays are views of the record batch's buffers."""
        tokens, ids = batch.column(0), batch.column(1)
        raw = np.frombuffer(ids.buffers()[1], np.uint8, 16 * len(ids), 16 * ids.offset)
        return cls(tokens.values.to_numpy(), tokens.offsets.to_numpy(), raw.reshape(-1, 16))


def is_compressed(message: bytes) -> bool:
    """Whether a record batch's message (Arrow's Message.fbs, a flatbuffer) asks for decompression: a few bytes may become gigabytes.

    Raises ValueError for a message that is cut short.
    """
    try:
        header = _table_field(message, struct.unpack_from("<I", message)[0], 2)
        return header != 0 and _table_field(message, header + struct.unpack_from("<I", message, header)[0], 3) != 0
    except struct.error as error:
        raise ValueError(f"a message is cut short ({error})") from error


def _table_field(data: bytes, table: int, field: int) -> int:
    """Position of a field of a flatbuffer's table; 0 where the table lacks it."""
    entries = table - struct.unpack_from("<i", data, table)[0]
    if entries < 0:
        raise ValueError("a message points before its beginning")
    if 4 + 2 * field >= struct.unpack_from("<H", data, entries)[0]:
        return 0
    offset: int = struct.unpack_from("<H", data, entries + 4 + 2 * field)[0]
    return table + offset if offset else 0


def checksum_text(checksum: int) -> bytes:
    """A batch's checksum as its record batch's metadata spells it: eight hexadecimal digits."""
    return b"%08x" % checksum
