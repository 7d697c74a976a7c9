"""Reader of token shards: maps a file and gives views of its record batches.

Opening checks what a view relies on: no array reaches beyond its buffer, and documents begin in ascending order. The tokens
themselves are checked once, with the file's sha256 (`tokenizer.shards.Manifest.verify`).
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa

from tokenizer.errors import FormatError
from tokenizer.shard_format import MAGIC, Header, TokenBatch, checksum_text, is_compressed
from tokenizer.token_ids import TokenIds
from tokenizer.untrusted import check_file

CHECKED_TOKENS = 1 << 22
"""Tokens that are checked at a time: 8 MiB, so that a check needs little memory beside the mapped file."""


class Shard:
    """A mapped shard. `batches` are zero-copy views made once, at opening: reading them costs no call into Arrow.

    Raises FormatError for a file that is not a shard or does not match its own header.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._checksums: list[bytes | None] = []
        self.batches: list[TokenBatch] = []
        try:
            check_file(Path(path).parent, Path(path).name)
            self.header = self._map()
        except FormatError:
            raise
        except (pa.ArrowException, OSError, EOFError, TypeError, ValueError, OverflowError) as error:
            raise FormatError(f"{self.path}: cannot be mapped as a shard ({error}); write the shard again") from error
        documents, tokens = sum(len(b) for b in self.batches), sum(len(b.tokens) for b in self.batches)
        if (documents, tokens) != (self.header.documents, self.header.tokens):
            raise FormatError(
                f"{self.path}: holds {documents} documents and {tokens} tokens, but its header says {self.header.documents} "
                f"and {self.header.tokens}; write the shard again"
            )

    def __repr__(self) -> str:
        return f"<Shard {self.path}: {self.header.documents:,} documents, {self.header.tokens:,} tokens>"

    def _map(self) -> Header:
        """Make the views of all batches; returns the header. The messages are read in order: the file's index is not needed."""
        content = pa.memory_map(self.path).read_buffer()
        if content.slice(0, len(MAGIC)).to_pybytes() != MAGIC or not content.size > 2 * len(MAGIC):
            raise ValueError("it does not begin as an Arrow file")
        messages = pa.ipc.MessageReader.open_stream(pa.BufferReader(content.slice(len(MAGIC))))
        schema = pa.ipc.read_schema(messages.read_next_message())
        header = Header.of(schema, self.path)
        for position, message in enumerate(iter(messages)):
            if message.type != "record batch" or is_compressed(message.metadata.to_pybytes()):
                raise ValueError(f"message {position} is no uncompressed record batch")
            batch = pa.ipc.read_record_batch(message, schema)
            batch.validate()
            self.batches.append(TokenBatch.from_arrow(batch))
            self._check_offsets(position)
        return header

    def _check_offsets(self, position: int) -> None:
        offsets, tokens = self.batches[position].offsets, self.batches[position].tokens
        if offsets[0] != 0 or offsets[-1] != len(tokens) or (np.diff(offsets) <= 0).any():
            raise ValueError(
                f"the documents of record batch {position} do not follow each other from its first token to its last"
            )

    def verify_batches(self) -> None:
        """Check each record batch against its own checksum. Raises FormatError that names the first mismatch."""
        with pa.ipc.open_file(pa.memory_map(self.path)) as reader:
            if reader.num_record_batches != len(self.batches):
                raise FormatError(f"{self.path}: its index names {reader.num_record_batches} batches; write the shard again")
            for position, batch in enumerate(self.batches):
                metadata = reader.get_batch_with_custom_metadata(position).custom_metadata
                if metadata is None or metadata.get(b"crc32") != checksum_text(batch.checksum):
                    raise FormatError(f"{self.path}: record batch {position} does not match its checksum; write the shard again")

    def check_tokens(self) -> None:
        """Check every token: it is an id of the vocabulary, and each document ends with the end of text, its only one.

        Raises FormatError that names the first document that is not so.
        """
        first = 0
        for batch in self.batches:
            for start in range(0, len(batch.tokens), CHECKED_TOKENS):
                tokens = batch.tokens[start : start + CHECKED_TOKENS]
                if int(tokens.max()) >= self.header.vocab_size:
                    at = start + int(np.argmax(tokens >= self.header.vocab_size))
                    self._refuse(first, batch, at, f"token {int(batch.tokens[at])} is not below {self.header.vocab_size}")
                ends = np.flatnonzero(tokens == self.header.eot_id) + start + 1
                low, high = np.searchsorted(batch.offsets[1:], (start + 1, start + len(tokens) + 1))
                expected = batch.offsets[1 + low : 1 + high]
                if not np.array_equal(ends, expected):
                    least = int(np.setxor1d(ends, expected, assume_unique=False).min(initial=start + len(tokens)))
                    self._refuse(
                        first, batch, least - 1, f"the end of text {self.header.eot_id} is not at the documents' ends alone"
                    )
            first += len(batch)

    def _refuse(self, first: int, batch: TokenBatch, token: int, what: str) -> None:
        document = first + int(np.searchsorted(batch.offsets, token, "right")) - 1
        raise FormatError(f"{self.path}: document {document}: {what}; write the shard again")

    def documents(self) -> Iterator[tuple[bytes, TokenIds]]:
        """Id and tokens (with the end of text) of every document, in order."""
        for batch in self.batches:
            for i in range(len(batch)):
                yield batch.document_ids[i].tobytes(), batch.tokens[batch.offsets[i] : batch.offsets[i + 1]]
