"""The quality of a list of removed documents, judged by the exact Jaccard similarity of all pairs of documents."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from benchmarks.dedup_peers import THRESHOLD, string_shingles

ShingleRanks = npt.NDArray[np.int64]
ExactPairs = dict[tuple[int, int], float]
"""Similarity by the numbers of two documents, the smaller first."""


def exact_pairs(texts: list[str]) -> ExactPairs:
    """Find all pairs with a similarity of THRESHOLD or more, exactly: such a pair shares one of its rarest shingles (prefix filtering)."""
    sets = [hash_shingles(text) for text in texts]
    values, where, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    rank = np.empty(len(values), np.int64)
    rank[np.argsort(counts, kind="stable")] = np.arange(len(values))
    ranked = np.split(rank[where], np.cumsum([len(s) for s in sets])[:-1])
    ranked = [np.sort(ranks) for ranks in ranked]
    pairs: ExactPairs = {}
    for a, b in candidates(ranked):
        both = len(np.intersect1d(ranked[a], ranked[b], assume_unique=True))
        similarity = both / (len(ranked[a]) + len(ranked[b]) - both)
        if similarity >= THRESHOLD:
            pairs[a, b] = similarity
    return pairs


def hash_shingles(text: str) -> npt.NDArray[np.uint64]:
    """Return 64 bits of SHA-1 for each distinct shingle."""
    digests = b"".join(hashlib.sha1(s.encode()).digest()[:8] for s in string_shingles(text))
    return np.frombuffer(digests, np.uint64)


def candidates(ranked: list[ShingleRanks]) -> Iterator[tuple[int, int]]:
    """Yield pairs that share a shingle of their prefixes and whose sizes allow the threshold."""
    seen: dict[int, list[int]] = defaultdict(list)
    for b, ranks in enumerate(ranked):
        met: set[int] = set()
        for rank in ranks[: len(ranks) - int(np.ceil(THRESHOLD * len(ranks))) + 1].tolist():
            met.update(seen[rank])
            seen[rank].append(b)
        size = len(ranks)
        yield from ((a, b) for a in met if THRESHOLD * size <= len(ranked[a]) <= size / THRESHOLD)


def judge(removed: list[int], pairs: ExactPairs, documents: int) -> dict[str, float]:
    """Return the figures of the table in docs/measurements.md."""
    gone = set(removed)
    neighbours: dict[int, dict[int, float]] = defaultdict(dict)
    for (a, b), similarity in pairs.items():
        neighbours[a][b] = neighbours[b][a] = similarity
    alone = [pair for pair in pairs if len(neighbours[pair[0]]) == len(neighbours[pair[1]]) == 1]
    left = {a for (a, b), similarity in pairs.items() if similarity >= 0.9 and not {a, b} & gone}
    emptied = sum(set(neighbours[a]) | {a} <= gone for a in gone if a in neighbours)
    answer = {
        "removed": len(gone),
        "no_neighbour": sum(a not in neighbours for a in gone) / max(1, len(gone)),
        "no_kept_neighbour": sum(not set(neighbours[a]) - gone for a in gone) / max(1, len(gone)),
        "left_at_0.9": len(left) / (documents - len(gone)),
        "emptied": emptied,
    }
    for low, high in ((0.7, 0.8), (0.8, 0.85), (0.85, 1.01)):
        chosen = [pair for pair in alone if low <= pairs[pair] < high]
        answer[f"recall_{low}"] = sum(bool(gone & set(pair)) for pair in chosen) / max(1, len(chosen))
        answer[f"pairs_{low}"] = len(chosen)
    return answer
