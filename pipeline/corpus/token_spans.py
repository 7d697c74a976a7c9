"""Positions of documents in the token shards: ids and offsets are read, tokens are not."""

from collections.abc import Iterator, Set
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.corpus.folder import CorpusFolder
from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest as Dataset
from tokenizer.shards import TokenBatch


@dataclass(frozen=True, slots=True)
class TokenSpan:
    """A document's tokens, end of text included: `start` counts from the first token of the split."""

    split: str
    shard: str
    document_id: bytes
    start: int
    tokens: int


def open_dataset(corpus: CorpusFolder) -> Dataset:
    """The token dataset of the corpus. Raises InputError if there is none or its files are damaged."""
    if "tokens" not in corpus.folders:
        corpus_folder = next(iter(corpus.folders.values())).rpartition("/")[0]
        raise InputError(f"{corpus_folder}: no token shards yet; run the stage 'tokens' first")
    try:
        return Dataset.load(corpus.folders["tokens"])
    except FormatError as error:
        raise InputError(str(error)) from error


def spans_of_documents(corpus: CorpusFolder, ids: set[bytes]) -> list[TokenSpan]:
    """The spans of the documents with these ids; empty if the corpus has no token shards."""
    if not ids or "tokens" not in corpus.folders:
        return []
    return list(spans_in_dataset(open_dataset(corpus), ids))


def spans_in_dataset(dataset: Dataset, ids: Set[bytes]) -> Iterator[TokenSpan]:
    """The spans of the documents with these ids in token shards, which need not belong to a corpus folder."""
    id_values = pa.array(sorted(ids), pa.binary(16))
    for batch in _batches(dataset):
        raw = pa.py_buffer(np.ascontiguousarray(batch.tokens.document_ids))
        column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(16), len(batch.tokens), [None, raw])
        rows = np.flatnonzero(pc.is_in(column, value_set=id_values).to_numpy(zero_copy_only=False))
        yield from (batch.span(int(row)) for row in rows)


def spans_in_window(corpus: CorpusFolder, split: str, start: int, tokens: int) -> list[TokenSpan]:
    """The spans that overlap `tokens` tokens from `start` of a split, in order. Raises InputError beyond the split's end."""
    dataset = open_dataset(corpus)
    try:
        total = dataset.split(split).tokens
    except FormatError as error:
        raise InputError(str(error)) from error
    if start < 0 or tokens < 1 or start + tokens > total:
        raise InputError(f"--start {start} --tokens {tokens}: split '{split}' holds {total:,} tokens")
    spans = []
    for batch in _batches(dataset, split):
        offsets = batch.tokens.offsets + batch.first
        low, high = np.searchsorted(offsets, start, "right") - 1, np.searchsorted(offsets, start + tokens)
        spans += [batch.span(row) for row in range(max(0, int(low)), min(int(high), len(batch.tokens)))]
    return spans


@dataclass(frozen=True, slots=True)
class _SplitBatch:
    """A record batch of a shard; `first` is the position of its first token in the split."""

    split: str
    shard: str
    first: int
    tokens: TokenBatch

    def span(self, row: int) -> TokenSpan:
        start, stop = int(self.tokens.offsets[row]), int(self.tokens.offsets[row + 1])
        return TokenSpan(self.split, self.shard, self.tokens.document_ids[row].tobytes(), self.first + start, stop - start)


def _batches(dataset: Dataset, *splits: str) -> Iterator[_SplitBatch]:
    for split in splits or dataset.splits:
        first = 0
        for shard in dataset.open(split, verify=False):
            for batch in shard.batches:
                yield _SplitBatch(split, shard.header.name, first, batch)
                first += len(batch.tokens)
