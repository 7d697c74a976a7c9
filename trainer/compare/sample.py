"""The training documents of one run: drawn by a hash of seed and document id, written as a folder of token shards.

Corpora that have documents in common draw the same ones for the same seed, so that the difference between two corpora holds only
what differs. Where all corpora are corpus folders, the hash is that of the page's address: two extractors make different documents
of a page, and both are drawn.

A run draws at least a tenth of the corpus and at most half: of fewer documents, the noise would be that of the few; and how much
the draws of different seeds differ tells how much the corpus itself would differ if the recipe were run on other pages.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tokenizer.errors import InputError
from tokenizer.shard_format import BATCH_TOKENS
from tokenizer.shards import Header, Manifest, Shard, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of

SMALLEST_SHARE, LARGEST_SHARE = 0.1, 0.5
MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Drawn:
    """How much a run drew of its corpus: documents and tokens, and the share of the corpus' tokens."""

    documents: int
    tokens: int
    share: float


def draw_order(document_ids: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint64]:
    """A number per document id, shape (documents, 16): documents are drawn from the smallest up. Equal ids get equal numbers."""
    key = np.frombuffer(hashlib.blake2b(f"compare {seed}".encode(), digest_size=16).digest(), np.uint64)
    halves = np.ascontiguousarray(document_ids).view(np.uint64).reshape(-1, 2)
    mixed = halves[:, 0] ^ key[0]
    for other in (halves[:, 1] ^ key[1], np.uint64(seed)):
        mixed = (mixed ^ (mixed >> np.uint64(29))) * MULTIPLIER
        mixed = mixed ^ other
    mixed = (mixed ^ (mixed >> np.uint64(32))) * MULTIPLIER
    return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def draw(
    shards: list[Shard], seed: int, tokens: int, pages: Mapping[bytes, bytes] | None = None
) -> tuple[list[npt.NDArray[np.bool_]], Drawn]:
    """Which documents of each record batch to train on: as many as hold `tokens`, within the bounds of the share.

    `pages` maps document ids to those of their pages, by which to draw; a document without one is drawn by its own.
    """
    batches = [batch for shard in shards for batch in shard.batches]
    lengths = np.concatenate([np.diff(batch.offsets) for batch in batches])
    numbers = np.concatenate([draw_order(_page_ids(batch.document_ids, pages or {}), seed) for batch in batches])
    order = np.argsort(numbers, kind="stable")
    total = int(lengths.sum())
    sums = np.cumsum(lengths[order])
    wanted = share_of(tokens, total) * total
    count = min(len(order), int(np.searchsorted(sums, wanted)) + 1)
    chosen = np.zeros(len(order), bool)
    chosen[order[:count]] = True
    drawn = Drawn(count, int(sums[count - 1]), float(sums[count - 1]) / total)
    bounds = np.cumsum([len(batch) for batch in batches])[:-1]
    return np.split(chosen, bounds), drawn


def _page_ids(document_ids: npt.NDArray[np.uint8], pages: Mapping[bytes, bytes]) -> npt.NDArray[np.uint8]:
    if not pages:
        return document_ids
    own = (bytes(each) for each in document_ids)
    return np.frombuffer(b"".join(pages.get(each, each) for each in own), np.uint8).reshape(-1, 16)


def share_of(tokens: int, corpus_tokens: int) -> float:
    """The share of a corpus' tokens that a run on `tokens` draws."""
    return min(LARGEST_SHARE, max(SMALLEST_SHARE, tokens / corpus_tokens))


def write_sample(
    manifest: Manifest, shards: list[Shard], seed: int, tokens: int, folder: Path, pages: Mapping[bytes, bytes] | None = None
) -> Drawn:
    """Write the drawn documents as the training split of a new folder of token shards. The same arguments give the same bytes.

    `pages` are those of `draw`. Raises InputError where the corpus has no documents.
    """
    if not any(len(batch) for shard in shards for batch in shard.batches):
        raise InputError(f"{manifest.folder}: the training split has no documents; build the corpus from more links")
    chosen, drawn = draw(shards, seed, tokens, pages)
    folder.mkdir(parents=True, exist_ok=True)
    header = Header("train", 0, 1, drawn.documents, drawn.tokens, manifest.tokenizer_sha256, manifest.vocab_size, manifest.eot_id)
    aside = folder / f".{header.name}.aside"
    with aside.open("wb") as sink:
        writer = ShardWriter(sink, header)
        batches = [batch for shard in shards for batch in shard.batches]
        for batch, mask in zip(batches, chosen, strict=True):
            for part in _selected(batch, mask):
                writer.write(part)
        writer.close()
    path = aside.rename(folder / header.name)
    entry = ShardEntry(header.name, drawn.documents, drawn.tokens, path.stat().st_size, sha256_of(path))
    split = SplitEntry(drawn.documents, drawn.tokens, 0, (entry,))
    Manifest(str(folder), manifest.tokenizer_sha256, manifest.vocab_size, manifest.eot_id, {"train": split}).save()
    return drawn


def _selected(batch: TokenBatch, mask: npt.NDArray[np.bool_]) -> list[TokenBatch]:
    """The documents of a batch that the mask selects, in batches of bounded size."""
    lengths = np.diff(batch.offsets)
    parts, start = [], 0
    while start < len(batch):
        stop = int(np.searchsorted(batch.offsets, batch.offsets[start] + BATCH_TOKENS, "right")) - 1
        stop = min(len(batch), max(stop, start + 1))
        kept = mask[start:stop]
        inside = np.repeat(kept, lengths[start:stop])
        tokens = batch.tokens[batch.offsets[start] : batch.offsets[stop]][inside]
        offsets = np.concatenate([[0], np.cumsum(lengths[start:stop][kept])]).astype(np.int64)
        if len(offsets) > 1:
            parts.append(TokenBatch(tokens, offsets, batch.document_ids[start:stop][kept]))
        start = stop
    return parts
