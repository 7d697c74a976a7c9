"""Which held-out documents a corpus trains on, wholly or in large parts: runs of 50 equal bytes, found by their hashes."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tokenizer.codec import Tokenizer
from tokenizer.shards import Shard

RUN_BYTES = 50
SAMPLED = 8
"""One run in eight is looked up, chosen by its hash, so that both sides choose the same."""
TABLE_BITS = 24
CLUSTER_RUNS = 8
_PRIME = np.uint64(0x100000001B3)
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
CHUNK_TOKENS = 1 << 20

Hashes = npt.NDArray[np.uint64]
Shares = npt.NDArray[np.float64]


def run_hashes(data: npt.NDArray[np.uint8]) -> Hashes:
    """The hash of every run of RUN_BYTES bytes, shape (bytes - 49,): equal runs have equal hashes wherever they stand."""
    if len(data) < RUN_BYTES:
        return np.empty(0, np.uint64)
    value = np.zeros(len(data) - RUN_BYTES + 1, np.uint64)
    # by doubling: the hash of 2n bytes is that of the first n times a power, plus that of the last n
    parts: dict[int, Hashes] = {1: data.astype(np.uint64) + np.uint64(1)}
    size = 1
    while 2 * size <= RUN_BYTES:
        half = parts[size]
        parts[2 * size] = half[:-size] * _power(size) + half[size:]
        size *= 2
    start = 0
    for width in sorted(parts, reverse=True):
        if RUN_BYTES & width:
            value = value * _power(width) + parts[width][start : start + len(value)]
            start += width
    value = (value ^ (value >> np.uint64(31))) * _SPREAD
    return np.asarray(value ^ (value >> np.uint64(29)))


def _power(exponent: int) -> np.uint64:
    return np.uint64(pow(int(_PRIME), exponent, 1 << 64))


def sampled(hashes: Hashes) -> Hashes:
    """The hashes that are looked up."""
    return np.asarray(hashes[hashes % np.uint64(SAMPLED) == 0])


def contained_shares(texts: Sequence[str], corpus: Iterator[npt.NDArray[np.uint8]]) -> Shares:
    """Share of each text's sampled runs that stand anywhere in the corpus, shape (texts,). A text without sampled runs has 0."""
    per_text = [np.unique(sampled(run_hashes(np.frombuffer(text.encode(errors="replace"), np.uint8)))) for text in texts]
    wanted = np.unique(np.concatenate(per_text)) if per_text else np.empty(0, np.uint64)
    found = np.zeros(len(wanted), bool)
    if len(wanted):
        table = np.zeros(1 << TABLE_BITS, bool)
        table[_slots(wanted)] = True
        for data in corpus:
            hashes = sampled(run_hashes(data))
            hashes = hashes[table[_slots(hashes)]]
            places = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
            found[places[wanted[places] == hashes]] = True
    return np.array([found[np.searchsorted(wanted, own)].mean() if len(own) else 0.0 for own in per_text])


def _slots(hashes: Hashes) -> Hashes:
    return np.asarray(hashes >> np.uint64(64 - TABLE_BITS))


def clusters(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """A number per text, shape (texts,): equal for texts that share one of their CLUSTER_RUNS runs with the smallest hashes.

    Near-duplicates, and pages of one site with the same furniture, are no independent documents: they count as one in a resample.
    """
    parent = list(range(len(texts)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[int, int] = {}
    for i, text in enumerate(texts):
        data = text.encode(errors="replace").ljust(RUN_BYTES, b"\0")
        for run in np.unique(run_hashes(np.frombuffer(data, np.uint8)))[:CLUSTER_RUNS].tolist():
            parent[root(i)] = root(first.setdefault(run, i))
    return np.unique([root(i) for i in range(len(texts))], return_inverse=True)[1].astype(np.int64)


def decoded(shards: Sequence[Shard], tokenizer: Tokenizer) -> Iterator[npt.NDArray[np.uint8]]:
    """The bytes of all documents of the shards in stretches of about CHUNK_TOKENS tokens that overlap by a run's length."""
    texts = list(tokenizer.token_bytes)
    texts[tokenizer.eot_id] = b"\n"
    table = np.frombuffer(b"".join(texts), np.uint8)
    lengths = np.array([len(text) for text in texts], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    for shard in shards:
        for batch in shard.batches:
            for start in range(0, len(batch.tokens), CHUNK_TOKENS):
                tokens = batch.tokens[max(0, start - RUN_BYTES) : start + CHUNK_TOKENS].astype(np.int64)
                counts = lengths[tokens]
                ends = np.cumsum(counts)
                yield table[np.arange(ends[-1]) + np.repeat(starts[tokens] - (ends - counts), counts)]
