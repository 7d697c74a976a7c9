"""Documents to token shards: each document shard is encoded into sorted runs, then each shard is merged from its ranges of all runs.

Neighbours in a shard come from all over the corpus, and growing the corpus moves no document between splits
(`pipeline.tokens.sorted_runs`). Memory holds one run or one record batch, however large the corpus is.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop
from pipeline.storage import files
from pipeline.storage.document_shards import DocumentShard
from pipeline.tokens.sorted_runs import Runs, Splitting, Tokens
from tokenizer.codec import LIBRARY, Tokenizer

BATCH_DOCUMENTS = 1024
ORACLE_BYTES = 1 << 13
"""Of each document shard's text, at most, are encoded by the oracle too, which takes twenty times as long."""


class TokensDrop(StrEnum):
    """Why a document gave no tokens."""

    NO_TEXT = "no_text"


@dataclass(frozen=True, slots=True)
class EncodeShard:
    """Encodes one document shard into runs: tokens in the order of split, order hash and id, and their index."""

    tokenizer: str
    splitting: Splitting
    encoder: str

    def __call__(self, part: Part[DocumentShard], writer: PartWriter) -> None:
        """A batch of documents at a time."""
        tokenizer = load_tokenizer(self.tokenizer)
        checked = 0
        shard = part.work
        runs = Runs(writer, self.splitting)
        for batch in shard.batches(["document_id", "text"], BATCH_DOCUMENTS):
            writer.items_in += batch.num_rows
            texts = batch.column("text")
            lengths = pc.binary_length(texts).to_numpy().astype(np.int64)
            for row in np.flatnonzero(lengths == 0):
                writer.drop(Drop("tokens", batch.column("document_id")[row].as_py().hex(), TokensDrop.NO_TEXT))
            if not lengths.all():
                batch = batch.filter(pa.array(lengths > 0))
            writer.items_out += batch.num_rows
            tokens, offsets = tokenizer.encode_arrow(batch.column("text"), encoder=self.encoder)
            checked = checked or compare_with_oracle(tokenizer, batch, tokens, offsets)
            runs.add(batch.column("document_id"), tokens, offsets, lengths[lengths > 0])
            writer.advance(batch.num_rows)
        runs.close()


def load_tokenizer(path: str) -> Tokenizer:
    """A tokenizer.json on any file system; a worker process parses it once."""
    return _parsed(files.base_name(path), files.read_bytes(path))


@lru_cache(maxsize=2)
def _parsed(name: str, data: bytes) -> Tokenizer:
    return Tokenizer.parse(name, data)


def compare_with_oracle(tokenizer: Tokenizer, batch: pa.RecordBatch, tokens: Tokens, offsets: npt.NDArray[np.int64]) -> int:
    """Encode a batch's first documents with the tokenizers library too, as many as ORACLE_BYTES hold; how many were compared.

    Raises RuntimeError naming the document where the ids differ.
    """
    sizes = pc.binary_length(batch.column("text")).to_numpy()
    small = np.flatnonzero(sizes <= ORACLE_BYTES)
    rows = small[np.cumsum(sizes[small], dtype=np.int64) <= ORACLE_BYTES]
    for row, text in zip(rows, batch.column("text").take(pa.array(rows)).to_pylist(), strict=True):
        expected, _ = tokenizer.encode_arrow(pa.array([text], pa.large_string()), encoder=LIBRARY)
        if not np.array_equal(expected, tokens[offsets[row] : offsets[row + 1]]):
            name = batch.column("document_id")[int(row)].as_py().hex()
            raise RuntimeError(f"document {name}: this encoder's ids differ from those of tokenizers; use --encoder {LIBRARY}")
    return len(rows)
