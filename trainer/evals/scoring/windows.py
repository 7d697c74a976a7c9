"""Loss of a long text by sliding windows: every token is scored once, after as many tokens as its window holds before it."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tokenizer.errors import InputError
from trainer.evals.scoring.scorer import Request, Scorer


class TokenSequence(Protocol):
    """A sequence of ids that may be larger than memory."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Any: ...


def windows(tokens: TokenSequence, window_tokens: int, stride_tokens: int) -> Iterator[Request]:
    """Yield requests that together score every token but the first.

    The first window scores all its `window_tokens`; each later one scores the next `stride_tokens` and reads the
    `window_tokens` before its last. A stride as large as the window is the rolling likelihood of lm-evaluation-harness.
    """
    if not 1 <= stride_tokens <= window_tokens:
        raise ValueError(f"stride of {stride_tokens} tokens: must be from 1 to the window, {window_tokens}")
    next_token = 1
    while next_token < len(tokens):
        stop = min(next_token + (window_tokens if next_token == 1 else stride_tokens), len(tokens))
        start = max(0, stop - 1 - window_tokens)
        yield Request(tokens[start:stop], next_token - start)
        next_token = stop


@dataclass(frozen=True, slots=True)
class TextLoss:
    """Summed nats of a text and their standard error, with windows (not tokens) as the independent samples."""

    nats: float
    tokens: int
    windows: int
    nats_error: float | None

    def nats_per(self, units: int) -> tuple[float, float | None]:
        """Nats per unit of the original text, and the standard error. Raises InputError for a text without units."""
        if not units:
            raise InputError("the text holds no word to divide by; raise --limit, or use the file as it is published")
        return self.nats / units, None if self.nats_error is None else self.nats_error / units

    def perplexity(self, units: int) -> tuple[float, float | None]:
        """Perplexity exp(nats / units) and its standard error. `units` count the original text, whatever its tokens."""
        mean, error = self.nats_per(units)
        value = math.exp(mean) if mean < 700 else math.inf
        return value, None if error is None else value * error

    def bits_per(self, units: int) -> tuple[float, float | None]:
        """Bits per unit of the original text, and the standard error."""
        mean, error = self.nats_per(units)
        return mean / math.log(2), None if error is None else error / math.log(2)


def text_loss(scorer: Scorer, tokens: TokenSequence, stride_tokens: int) -> TextLoss:
    """Score every token but the first. Raises InputError if there is none."""
    scorer = replace(scorer, predict=False)
    scores = scorer.score(windows(tokens, scorer.model.context_tokens, stride_tokens))
    sums = np.array([(score.total, len(score.nats)) for score in scores])
    if not len(sums):
        raise InputError("nothing to score: the text holds no token; use the file as it is published")
    nats, counts = math.fsum(sums[:, 0]), int(sums[:, 1].sum())
    return TextLoss(nats, counts, len(sums), _error(sums[:, 0], sums[:, 1]))


def _error(nats: npt.NDArray[np.float64], counts: npt.NDArray[np.float64]) -> float | None:
    """Standard error of the sum, by the ratio estimator over windows."""
    n = len(nats)
    if n < 2:
        return None
    residuals = nats - nats.sum() / counts.sum() * counts
    return math.sqrt(float((residuals**2).sum()) * n / (n - 1))
