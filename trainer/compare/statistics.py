"""Differences between corpora with confidence intervals, and how many seeds it takes to see one.

A score is bits per byte: the bits of all documents of a held-out set over their bytes. It varies with the seed (weights, order,
and which training documents are drawn) and with the documents of the held-out set. Seeds and documents are crossed: every network
reads the same documents. So the two variances are estimated apart and added: documents by the bootstrap, with weights that all
networks share; seeds by Student's t over the paired differences, because resampling three or five seeds gives intervals that are
far too short (docs/experiments.md has the simulation).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit  # type: ignore[import-untyped]  # scipy has no types

FloatArray = npt.NDArray[np.float64]

BOOTSTRAP_SAMPLES = 2_000
QUADRATURE_NODES = 400
BISECTIONS = 45


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Bits of each document, shape (corpora, seeds, documents), and each document's bytes, shape (documents,).

    A document stands for a cluster of near-duplicates. Scores of several sets number them alike, so that a document of two sets
    gets one weight in a resample; bits and bytes of those that are not in a set are 0.
    """

    bits: FloatArray
    bytes: FloatArray

    @property
    def means(self) -> FloatArray:
        """Bits per byte, shape (corpora, seeds)."""
        return np.asarray(self.bits.sum(axis=2) / self.bytes.sum())

    @property
    def effective_documents(self) -> float:
        """Number of documents of equal size with the same information, by Kish: long documents weigh more than short ones."""
        return float(self.bytes.sum() ** 2 / (self.bytes**2).sum())

    def resampled(self, samples: int = BOOTSTRAP_SAMPLES, seed: int = 1) -> FloatArray:
        """Bits per byte of each corpus, mean over seeds, under resampled documents: shape (samples, corpora)."""
        documents = len(self.bytes)
        random = np.random.default_rng(seed)
        per_document = np.concatenate([self.bits.mean(axis=1), self.bytes[None]]).T
        rows = []
        for start in range(0, samples, 200):
            weights = random.multinomial(documents, np.full(documents, 1 / documents), min(200, samples - start))
            rows.append(weights @ per_document)
        sums = np.concatenate(rows)
        return np.asarray(sums[:, :-1] / sums[:, -1:])


@dataclass(frozen=True, slots=True)
class Difference:
    """Score of one corpus minus another's, in bits per byte: below 0 the first is better.

    `error` is its standard error, of which `seed_error` and `document_error` are the parts; `low` and `high` bound the confidence
    interval, `p` is the two-sided p-value. With a single seed, nothing is known of the noise and all but `value` are NaN.
    """

    value: float
    error: float
    low: float
    high: float
    p: float
    seed_error: float
    document_error: float


def seed_variance(differences: FloatArray, share: float) -> float:
    """Variance of the mean of paired differences over K seeds, shape (K,), as a statement about the recipe behind the corpora.

    Each seed trains on a share f of its corpus' documents. The seeds' variance s² holds the noise of training and of drawing
    documents. But all draws are from one corpus, which is itself a draw: its own variance is f times that of a seed's draw, which
    is at most s²/(1 - f). The sum is s²(1/K + f/(1 - f)). With a share of 0 it is s²/K, a statement about these very corpora.
    """
    seeds = len(differences)
    if seeds < 2:
        return math.nan
    return float(differences.var(ddof=1)) * (1 / seeds + share / (1 - share))


def difference(
    scores: Mapping[str, Scores], first: int, second: int, *, share: float, level: float, resampled: Mapping[str, FloatArray]
) -> Difference:
    """The difference of two corpora, mean over the held-out sets. `resampled` holds `Scores.resampled` by set."""
    value, errors = value_and_errors(scores, first, second, share=share, resampled=resampled)
    return errors.difference(value, level)


def value_and_errors(
    scores: Mapping[str, Scores], first: int, second: int, *, share: float, resampled: Mapping[str, FloatArray]
) -> "tuple[float, Errors]":
    """The difference of two corpora, mean over the held-out sets, and its errors."""
    per_seed = np.mean([each.means[first] - each.means[second] for each in scores.values()], axis=0)
    draws = np.mean([resampled[name][:, first] - resampled[name][:, second] for name in scores], axis=0)
    errors = Errors(
        seed=math.sqrt(seed_variance(per_seed, share)),
        seed_freedom=len(per_seed) - 1,
        document=float(draws.std(ddof=1)),
        document_freedom=max(1.0, min(each.effective_documents for each in scores.values()) - 1),
    )
    return float(per_seed.mean()), errors


@dataclass(frozen=True, slots=True)
class Errors:
    """The two standard errors of a difference with their degrees of freedom.

    Their sum has the distribution of Behrens and Fisher: a t variable for the seeds plus one for the documents. Welch's
    approximation by a single t covers too little where the seeds' few degrees of freedom meet a small estimate.
    """

    seed: float
    seed_freedom: float
    document: float = 0.0
    document_freedom: float = 1.0

    def difference(self, value: float, level: float) -> Difference:
        """The difference with its interval and p-value."""
        if math.isnan(self.seed):
            return Difference(value, math.nan, math.nan, math.nan, math.nan, math.nan, self.document)
        reach = self.reach(level)
        return Difference(
            value, math.hypot(self.seed, self.document), value - reach, value + reach, self.p(value), self.seed, self.document
        )

    def p(self, value: float) -> float:
        """Probability that the noise alone makes a difference of at least this size, in either direction."""
        if not self.seed and not self.document:
            return 1.0 if value == 0 else 0.0
        if not self.seed:
            return float(2 * stdtr(self.document_freedom, -abs(value) / self.document))
        middles = (np.arange(QUADRATURE_NODES) + 0.5) / QUADRATURE_NODES
        documents = self.document * stdtrit(self.document_freedom, middles)
        return float(np.mean(2 * stdtr(self.seed_freedom, (documents - abs(value)) / self.seed)))

    def reach(self, level: float) -> float:
        """Half the width of the confidence interval: the difference whose p-value is `level`."""
        low, high = 0.0, 1.0
        if not self.seed and not self.document:
            return 0.0
        while self.p(high) > level:
            high *= 2
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (middle, high) if self.p(middle) > level else (low, middle)
        return high


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number by Holm's method: reject where they are at most the level. NaN stays.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    known = sorted((p, i) for i, p in enumerate(p_values) if p == p)
    corrected, largest = [math.nan] * len(p_values), 0.0
    for rank, (p, i) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        corrected[i] = largest
    return corrected


@dataclass(frozen=True, slots=True)
class Noise:
    """What a pilot says of the noise: standard deviation of a paired difference over seeds, and the documents' standard error.

    Both are in bits per byte, the root mean square over all pairs of corpora. `share` is that of `seed_variance`. `pairs` is the
    number of pairs, for which the verdict is corrected.
    """

    seed_deviation: float
    document_error: float
    share: float
    pilot_seeds: int
    pairs: int = 1

    def detectable(self, seeds: int, level: float, power: float) -> float:
        """Smallest true difference that K seeds find significant at `level` with a probability of `power`, nearly.

        Holm's method asks a p-value of `level` over the number of pairs from the first pair that it tells apart.
        """
        if seeds < 2:
            return math.inf
        freedom, level = seeds - 1, level / self.pairs
        error = math.hypot(self.seed_deviation * math.sqrt(1 / seeds + self.share / (1 - self.share)), self.document_error)
        return float(stdtrit(freedom, 1 - level / 2) + stdtrit(freedom, power)) * error

    def seeds_needed(self, size: float, level: float, power: float, most: int) -> int | None:
        """Fewest seeds, from 2 to `most`, that find a difference of `size`; None if `most` are too few."""
        return next((seeds for seeds in range(2, most + 1) if self.detectable(seeds, level, power) <= size), None)


def noise_of(scores: Mapping[str, Scores], share: float) -> Noise:
    """The noise between all pairs of corpora. Raises ValueError with fewer than two seeds."""
    means = np.mean([each.means for each in scores.values()], axis=0)
    corpora, seeds = means.shape
    if seeds < 2:
        raise ValueError(f"{seeds} seed: the noise needs at least 2")
    resampled = {name: each.resampled() for name, each in scores.items()}
    seed_variances, document_variances = [], []
    for first in range(corpora):
        for second in range(first):
            seed_variances.append((means[first] - means[second]).var(ddof=1))
            draws = np.mean([each[:, first] - each[:, second] for each in resampled.values()], axis=0)
            document_variances.append(draws.var(ddof=1))
    return Noise(math.sqrt(np.mean(seed_variances)), math.sqrt(np.mean(document_variances)), share, seeds, len(seed_variances))
