"""How many bands of how many rows: the S-curve, and parameters chosen by it."""

import math

import numpy as np

MOST_PERMUTATIONS = 256


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """The S-curve: the chance that two documents so similar agree in a band."""
    return float(1.0 - (1.0 - similarity**rows) ** bands)


def bands_for_recall(recall: float, similarity: float, rows: int) -> int:
    """The fewest bands that find the share `recall` of the pairs so similar."""
    return max(1, math.ceil(math.log(1.0 - recall) / math.log(1.0 - min(similarity, 0.999) ** rows)))


def cutting_for_recall(recall: float, threshold: float, rows: int) -> tuple[int, int]:
    """The fewest bands of so many rows that find the share `recall` of the pairs 0.1 above the threshold, at most half-way from it to 1.

    Of fewer rows where that would take more than MOST_PERMUTATIONS: `cutting_for_recall(0.96, 0.7, 8) == (18, 8)`.
    """
    similarity = min(threshold + 0.1, (threshold + 1) / 2)
    bands = bands_for_recall(recall, similarity, rows)
    if bands * rows > MOST_PERMUTATIONS and rows > 1:
        return cutting_for_recall(recall, threshold, rows - 1)
    return bands, rows


def optimal_bands(threshold: float, permutations: int) -> tuple[int, int]:
    """The bands and rows of at most so many permutations with the least area of false candidates below the threshold and missed above.

    The parameters that datasketch's MinHashLSH takes for a threshold, with its equal weights.
    """
    places, weights = np.polynomial.legendre.leggauss(48)
    below, above = threshold * (places + 1) / 2, threshold + (1 - threshold) * (places + 1) / 2
    best = (math.inf, 1, 1)
    for bands in range(1, permutations + 1):
        rows = np.arange(1, permutations // bands + 1)[:, None]
        false = (1 - (1 - below**rows) ** bands) @ weights * threshold / 2
        missed = (1 - above**rows) ** bands @ weights * (1 - threshold) / 2
        least = int(np.argmin(false + missed))
        best = min(best, (float(false[least] + missed[least]), bands, least + 1))
    return best[1:]


def s_curve(bands: int, rows: int) -> str:
    """The S-curve in one line."""
    shown = (0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    return ", ".join(f"{candidate_probability(s, bands, rows):.1%} at {s:.2f}" for s in shown)
