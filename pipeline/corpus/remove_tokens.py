"""The next version of token shards without some documents."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import IO

import numpy as np
import numpy.typing as npt

from pipeline.corpus.next_folder import Gone, NextFolder
from pipeline.storage.manifest import Books, FileEntry, StageManifest
from pipeline.tokens.dataset import cross_entropy_nats
from tokenizer.shards import Manifest as Dataset
from tokenizer.shards import Shard, ShardEntry, ShardWriter, SplitEntry, TokenBatch

IDS = 1 << 16
CHUNK = 1 << 22


def next_tokens(folder: NextFolder, gone: Sequence[Gone], dedup: str) -> StageManifest:
    """The tokens stage without the kept ones among the removed; shards that hold none of them are carried over."""
    removed = {one.document_id: one.text_bytes for one in gone if one.kept}
    dataset = Dataset.load(folder.source)
    dataset.verify()
    counters = Counter(folder.manifest.counters)
    splits: dict[str, SplitEntry] = {}
    for name, split in dataset.splits.items():
        kept = [_next_shard(folder, shard, removed) for shard in dataset.open(name, verify=False)]
        lost = sum(text_bytes for _, text_bytes in kept)
        entries = tuple(entry for entry, _ in kept)
        documents, tokens = sum(e.documents for e in entries), sum(e.tokens for e in entries)
        splits[name] = SplitEntry(documents, tokens, split.text_bytes - lost, entries)
        counters.subtract({f"text_bytes_{name}": lost} if f"text_bytes_{name}" in counters else {})
    for entry in folder.manifest.files:
        if entry.kind == "drops" or entry.kind == "tokenizer":
            folder.carry(entry)
    after = replace(dataset, folder=folder.target, splits=splits, unigram_entropy_nats={})
    after = replace(after, unigram_entropy_nats=entropies(after))
    old = folder.manifest.books
    books = Books(old.items_in - len(removed), old.items_out - len(removed), old.dropped)
    return folder.close(books, counters, {"dedup": dedup}, after.section())


def _next_shard(folder: NextFolder, shard: Shard, removed: Mapping[bytes, int]) -> tuple[ShardEntry, int]:
    """The shard's next entry, and the bytes of text that it lost."""
    (entry,) = (e for e in folder.manifest.files if e.name == shard.header.name)
    stays = [_stays(batch, removed) for batch in shard.batches]
    lost = [
        batch.document_ids[i].tobytes() for batch, keep in zip(shard.batches, stays, strict=True) for i in np.flatnonzero(~keep)
    ]
    if not lost:
        folder.carry(entry)
        return ShardEntry(entry.name, shard.header.documents, shard.header.tokens, entry.bytes, entry.sha256), 0
    batches = [_filtered(batch, keep) for batch, keep in zip(shard.batches, stays, strict=True)]
    documents, tokens = sum(len(b) for b in batches), sum(len(b.tokens) for b in batches)
    header = replace(shard.header, documents=documents, tokens=tokens)

    def fill(file: IO[bytes]) -> None:
        writer = ShardWriter(file, header)
        for batch in batches:
            writer.write(batch)
        writer.close()

    written: FileEntry = folder.write(entry, documents, fill)
    return ShardEntry(written.name, documents, tokens, written.bytes, written.sha256), sum(removed[key] for key in lost)


def _stays(batch: TokenBatch, removed: Mapping[bytes, int]) -> npt.NDArray[np.bool_]:
    ids = np.ascontiguousarray(batch.document_ids).view("V16").ravel()
    gone = np.array(sorted(removed), "V16") if removed else np.array([], "V16")
    return ~np.isin(ids, gone)


def _filtered(batch: TokenBatch, stays: npt.NDArray[np.bool_]) -> TokenBatch:
    lengths = np.diff(batch.offsets)
    offsets = np.concatenate([[0], np.cumsum(lengths[stays])])
    return TokenBatch(batch.tokens[np.repeat(stays, lengths)], offsets, batch.document_ids[stays])


def entropies(dataset: Dataset) -> dict[str, float]:
    """As the tokens stage counts them: every split against the training split's frequencies."""
    counts = {name: np.zeros(IDS, np.int64) for name in dataset.splits}
    for name in dataset.splits:
        for shard in dataset.open(name, verify=False):
            for batch in shard.batches:
                for start in range(0, len(batch.tokens), CHUNK):
                    counts[name] += np.bincount(batch.tokens[start : start + CHUNK], minlength=IDS)
    training = counts["train"][: dataset.vocab_size]
    return {name: cross_entropy_nats(c[: dataset.vocab_size], training) for name, c in counts.items() if c.any()}
