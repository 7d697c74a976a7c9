"""Reader of token shards: maps a file and gives views of its record batches.

Verify a file's sha256 before you map it (`tokenizer.shards.Manifest.open` does): a flipped bit in an unverified file can end the
process.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from tokenizer.errors import FormatError
from tokenizer.shard_format import Header, TokenBatch, checksum_text
from tokenizer.token_ids import TokenIds


class Shard:
    """A mapped shard. `batches` are zero-copy views made once, at opening: reading them costs no call into Arrow.

    Raises FormatError for a file that is not a shard or does not match its own header.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        try:
            self._reader = pa.ipc.open_file(pa.memory_map(self.path))
            self.header = Header.of(self._reader.schema, self.path)
            self.batches = [TokenBatch.from_arrow(self._reader.get_batch(i)) for i in range(self._reader.num_record_batches)]
        except FormatError:
            raise
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            raise FormatError(f"{self.path}: cannot be mapped as a shard ({error}); write the shard again") from error
        documents, tokens = sum(len(b) for b in self.batches), sum(len(b.tokens) for b in self.batches)
        if (documents, tokens) != (self.header.documents, self.header.tokens):
            raise FormatError(
                f"{self.path}: holds {documents} documents and {tokens} tokens, but its header says {self.header.documents} "
                f"and {self.header.tokens}; write the shard again"
            )

    def verify_batches(self) -> None:
        """Check each record batch against its own checksum. Raises FormatError that names the first mismatch."""
        for position, batch in enumerate(self.batches):
            metadata = self._reader.get_batch_with_custom_metadata(position).custom_metadata
            if metadata is None or metadata.get(b"crc32") != checksum_text(batch.checksum):
                raise FormatError(f"{self.path}: record batch {position} does not match its checksum; write the shard again")

    def documents(self) -> Iterator[tuple[bytes, TokenIds]]:
        """Id and tokens (with the end of text) of every document, in order."""
        for batch in self.batches:
            for i in range(len(batch)):
                yield batch.document_ids[i].tobytes(), batch.tokens[batch.offsets[i] : batch.offsets[i + 1]]
