"""The number of bands and of rows per band: the S-curve of locality-sensitive hashing, and parameters chosen by it."""

import math

MAX_PERMUTATIONS = 256
NEVER_ENOUGH = 1 << 30


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """The S-curve: the probability that two documents of this Jaccard similarity agree in a band."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def bands_for_recall(recall: float, similarity: float, rows: int) -> int:
    """The fewest bands that find the share `recall` of the pairs of this similarity."""
    missed = 1.0 - min(similarity, 0.999) ** rows
    return max(1, math.ceil(math.log(1.0 - recall) / math.log(missed))) if missed < 1.0 else NEVER_ENOUGH


def parameters_for_recall(recall: float, threshold: float, rows: int) -> tuple[int, int]:
    """The fewest bands, and their rows, that find the share `recall` of the pairs 0.1 above the threshold.

    Above 0.8 it is of the pairs half-way from the threshold to 1. Bands get fewer rows where that would take more than
    MAX_PERMUTATIONS.

    >>> parameters_for_recall(0.96, 0.7, 8)
    (18, 8)
    """
    similarity = min(threshold + 0.1, (threshold + 1) / 2)
    bands = bands_for_recall(recall, similarity, rows)
    if bands * rows > MAX_PERMUTATIONS and rows > 1:
        return parameters_for_recall(recall, threshold, rows - 1)
    return bands, rows


def s_curve(bands: int, rows: int) -> str:
    """The S-curve in one line, for the log."""
    shown = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    return ", ".join(f"{candidate_probability(s, bands, rows):.1%} at {s:.2f}" for s in shown)
