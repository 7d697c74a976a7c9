"""Perplexity of a long text by windows that slide over it: every token is scored once, after as many others as the window allows."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from trainer.evals.scoring.scorer import Request, Scorer


class Tokens(Protocol):
    """A sequence of ids that may be larger than memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


def windows(tokens: Tokens, window_tokens: int, stride_tokens: int) -> Iterator[Request]:
    """Requests that together score every token but the first.

    The first window scores all its `window_tokens`; each later one scores `stride_tokens` more, and reads `window_tokens` before its
    last. A stride as large as the window is lm-evaluation-harness's rolling likelihood.
    """
    if not 1 <= stride_tokens <= window_tokens:
        raise ValueError(f"stride of {stride_tokens} tokens: at least 1 and at most the window, {window_tokens}")
    scored = 1
    while scored < len(tokens):
        stop = min(scored + (window_tokens if scored == 1 else stride_tokens), len(tokens))
        start = max(0, stop - 1 - window_tokens)
        yield Request(tokens[start:stop], scored - start)
        scored = stop


@dataclass(frozen=True, slots=True)
class Total:
    """Nats of a whole text, and their standard error: windows are taken as the independent pieces, not tokens."""

    nats: float
    tokens: int
    windows: int
    nats_error: float | None

    def per(self, units: int) -> tuple[float, float | None]:
        """Nats a unit of the original text, and the standard error."""
        return self.nats / units, None if self.nats_error is None else self.nats_error / units

    def perplexity(self, units: int) -> tuple[float, float | None]:
        """exp(nats a unit): losses are summed and divided by the original's count before the exponent."""
        mean, error = self.per(units)
        value = math.exp(mean) if mean < 700 else math.inf
        return value, None if error is None else value * error

    def bits(self, units: int) -> tuple[float, float | None]:
        """Bits a unit."""
        mean, error = self.per(units)
        return mean / math.log(2), None if error is None else error / math.log(2)


def total(scorer: Scorer, tokens: Tokens, stride_tokens: int) -> Total:
    """Score all of `tokens` but the first."""
    scorer = replace(scorer, guess=False)
    pieces = np.array([(s.total, len(s.nats)) for s in scorer.score(windows(tokens, scorer.model.context_tokens, stride_tokens))])
    if not len(pieces):
        raise ValueError("nothing to score: the text holds no token")
    nats, counts = math.fsum(pieces[:, 0]), int(pieces[:, 1].sum())
    return Total(nats, counts, len(pieces), _error(pieces[:, 0], pieces[:, 1]))


def _error(nats: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> float | None:
    """Of the sum, by the ratio estimator over windows."""
    n = len(nats)
    if n < 2:
        return None
    residuals = nats - nats.sum() / counts.sum() * counts
    return math.sqrt(float((residuals**2).sum()) * n / (n - 1))
