"""The bits that a network needs for each held-out document, and the evaluator that takes them between training steps."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tokenizer.codec import Tokenizer
from trainer.compare.held_out import HeldOut
from trainer.evals.candidate import Codec, LanguageModel, Network
from trainer.evals.scoring.scorer import Request, Scorer
from trainer.evals.scoring.windows import windows
from trainer.model import GPT

CURVE_SHARE = 0.5
"""The bytes that are scored for all points of the curves, over the tokens of the run: curves must cost little beside training."""


def document_bits(model: LanguageModel, tokenizer: Codec, texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """Bits of each text after an end of text, read in windows of the whole context, shape (texts,)."""
    lengths: list[int] = []

    def requests() -> Iterator[Request]:
        for text in texts:
            parts = list(windows([tokenizer.eot_id, *tokenizer.encode(text)], model.context_tokens, model.context_tokens))
            lengths.append(len(parts))
            yield from parts

    scores = np.array([score.total for score in Scorer(model, predict=False).score(requests())])
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    return np.asarray(np.add.reduceat(scores, first) / math.log(2))


def text_bytes(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    """UTF-8 bytes of each text."""
    return np.array([len(text.encode()) for text in texts], np.float64)


@dataclass(frozen=True, slots=True)
class HeldOutEvaluator:
    """Scores the first documents of each set at the given steps, for the curves. It has the face of InTrainingEvaluator.

    `most_bytes` bounds the text that is scored per set and step; at least one document is.
    """

    sets: tuple[HeldOut, ...]
    tokenizer: Tokenizer
    precision: str
    steps: frozenset[int]
    most_bytes: int

    def due(self, step: int, *, last: bool) -> bool:
        """Whether to score after this step; the last step is scored on all documents once training is over."""
        return step in self.steps and not last

    def evaluate(self, model: GPT, _stops: Callable[[], bool] | None = None) -> list[dict[str, Any]]:
        """A row for log.jsonl per set. All sets are scored, also after a signal: a point of the curve is brief, and whole."""
        was_training = model.training
        network = Network(model, self.precision)
        rows = []
        try:
            for each in self.sets:
                sizes = np.cumsum(text_bytes(each.texts))
                texts = each.texts[: max(1, int(np.searchsorted(sizes, self.most_bytes, "right")))]
                value = document_bits(network, self.tokenizer, texts).sum() / text_bytes(texts).sum()
                rows.append({"task": each.name, "metric": "bits per byte", "value": float(value), "row": None})
        finally:
            model.train(was_training)
        return rows
