"""Writer of token shards: equal batches give equal bytes, and token buffers are aligned to 64 bytes."""

from typing import IO

import numpy as np
import pyarrow as pa

from tokenizer.shard_format import Header, TokenBatch, checksum_text
from tokenizer.token_ids import TokenIds

ALIGNMENT_BYTES = 64


class ShardWriter:
    """Writes one shard into `sink`, one batch of whole documents at a time; equal batches give equal bytes.

    `write` raises ValueError for a document that does not end with the end of text, holds it elsewhere, or holds an id beyond the
    vocabulary. `close` raises ValueError where the batches do not add up to the header's counts.
    """

    def __init__(self, sink: IO[bytes], header: Header) -> None:
        if header.vocab_size > 1 << 16:
            raise ValueError(f"vocab_size {header.vocab_size}: ids are 16 bits wide, at most 65,536 fit")
        self.header = header
        self._schema = header.schema()
        self._sink = sink
        self._first_body, self._message_bytes = _body_places(self._schema)
        self._writer = pa.ipc.new_file(sink, self._schema)
        self._documents = 0
        self._tokens = 0

    def write(self, batch: TokenBatch) -> None:
        """Append a record batch whose token buffer begins at a multiple of 64 bytes in the file."""
        if not len(batch):
            return
        self._check(batch)
        body = self._sink.tell() + self._message_bytes if self._documents else self._first_body
        gap = -(body + batch.offsets.nbytes) % ALIGNMENT_BYTES
        self._writer.write_batch(batch.to_arrow(self._schema), _batch_metadata(batch.checksum, gap))
        self._documents += len(batch)
        self._tokens += len(batch.tokens)

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()
        counts = (self._documents, self._tokens)
        if counts != (self.header.documents, self.header.tokens):
            promise = f"{self.header.documents} documents and {self.header.tokens} tokens"
            raise ValueError(f"{self.header.name}: its header promises {promise}, its batches hold {counts[0]} and {counts[1]}")

    def _check(self, batch: TokenBatch) -> None:
        eot, ends = self.header.eot_id, batch.offsets[1:] - 1
        good = (
            batch.offsets[0] == 0
            and batch.offsets[-1] == len(batch.tokens)
            and bool(np.all(np.diff(batch.offsets) > 0))
            and bool(np.all(batch.tokens[ends] == eot))
            and _count(batch.tokens, eot) == len(ends)
            and int(batch.tokens.max()) < self.header.vocab_size
        )
        if not good:
            raise ValueError(
                f"{self.header.name}: a document must hold ids below {self.header.vocab_size} and {eot} once, at its end"
            )


def _count(tokens: TokenIds, token: int, size: int = 1 << 18) -> int:
    """Occurrences of a token, counted in stretches that fit into the processor's cache."""
    return sum(int(np.count_nonzero(tokens[i : i + size] == token)) for i in range(0, len(tokens), size))


def _batch_metadata(checksum: int, gap: int) -> dict[bytes, bytes]:
    return {b"crc32": checksum_text(checksum), b"pad": b" " * gap}


def _body_places(schema: pa.Schema) -> tuple[int, int]:
    """Where the first batch's buffers begin in a file of this schema, and the bytes of a batch's message before its buffers."""
    one = TokenBatch(np.zeros(4, np.uint16), np.array([0, 4]), np.zeros((1, 16), np.uint8)).to_arrow(schema)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, schema) as writer:
        writer.write_batch(one, _batch_metadata(0, 0))
        writer.write_batch(one, _batch_metadata(0, 0))
    buffer = sink.getvalue()
    reader = pa.ipc.open_file(buffer)
    first, second = (reader.get_batch(i).column(0).buffers()[1].address - buffer.address for i in range(2))
    body_bytes = 16 + 8 + 16
    return first, second - first - body_bytes
