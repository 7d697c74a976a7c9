"""Log-probabilities of tokens given the tokens before them, in nats, in batches of few shapes.

Logits are computed only for scored tokens. Rows are padded on the right, which changes no value: no token attends to its right.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from tokenizer.errors import InputError
from trainer.evals.candidate import LanguageModel, Prefix
from trainer.evals.scoring.sharding import ExampleSharding
from trainer.loss import token_nats

REQUESTS_PER_CHUNK = 2048
LENGTH_MULTIPLE = 16
LOGITS_BYTES = 1 << 26
"""Logits per product. On one core, a product of 256 rows takes two thirds of the time of four of 64 rows (docs/log.md)."""

Int64Tokens = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Score each token of `tokens[first:]` given all tokens before it. At most context + 1 tokens; `first` is at least 1.

    Raises InputError where no token is scored, or none is before it: the example has no text there.
    """

    tokens: Sequence[int] | Int64Tokens
    first: int

    def __post_init__(self) -> None:
        if not 1 <= self.first < len(self.tokens):
            raise InputError(
                f"an example of {len(self.tokens)} tokens has no token to score from token {self.first} on; "
                "use the file as it is published"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """For each scored token of a request: its nats, the most likely token there, and the most likely token that is not banned."""

    nats: Floats
    best: Int64Tokens
    best_allowed: Int64Tokens

    @property
    def total(self) -> float:
        """Sum of the nats."""
        return float(self.nats.sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Targets:
    """A batch's targets, the features that predict each target, and the number of targets per request."""

    features_ND: Tensor
    ids: Int64Tokens
    lengths: list[int]


def truncate_left(tokens: Sequence[int], first: int, context_tokens: int) -> Request:
    """Request that keeps the last tokens if there are more than the context holds."""
    excess = max(0, len(tokens) - context_tokens - 1)
    return Request(tokens[excess:], max(1, first - excess))


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores requests in order. `batch_tokens` changes speed, not values. `banned` are ids that `Score.best_allowed` excludes.

    With `predict` false the most likely tokens are not computed: the scores hold -1 in their place.
    """

    model: LanguageModel
    batch_tokens: int = 8192
    banned: Sequence[int] = ()
    sharding: ExampleSharding = field(default_factory=ExampleSharding.current)
    predict: bool = True

    def score(self, requests: Iterable[Request]) -> Iterator[Score]:
        """Yield one score per request, in order; every rank receives all scores."""
        source = iter(requests)
        while chunk := list(islice(source, REQUESTS_PER_CHUNK)):
            yield from self.sharding.gather(partial(self._score_all, self.sharding.shard(chunk)))

    def score_endings(self, examples: Iterable[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Iterator[list[Score]]:
        """Yield the scores of the endings of each (prefix, endings); the model reads the prefix (at least one token) once."""
        source = iter(examples)
        while chunk := list(islice(source, REQUESTS_PER_CHUNK)):
            batches = (self._ending_targets(*example) for example in self.sharding.shard(chunk))
            yield from self.sharding.gather(partial(self._score_targets, batches))

    def _ending_targets(self, prefix: Sequence[int], endings: Sequence[Sequence[int]]) -> _Targets:
        excess = max(0, len(prefix) + max(len(ending) for ending in endings) - self.model.context_tokens - 1)
        tail = list(prefix[excess:])
        if len(tail) < 2:
            rows = [truncate_left([*prefix, *ending], len(prefix), self.model.context_tokens) for ending in endings]
            return self._targets(rows, self._padded_length(max(len(row.tokens) - 1 for row in rows)))
        rows = [Request([tail[-1], *ending], 1) for ending in endings]
        with torch.inference_mode():
            cache = self.model.read(torch.tensor(tail[:-1], device=self.model.device))
        return self._targets(rows, max(len(row.tokens) - 1 for row in rows), cache)

    def _score_all(self, requests: Sequence[Request]) -> list[Score]:
        batches = list(self._batches(requests))
        lengths = [self._padded_length(max(len(requests[i].tokens) - 1 for i in batch)) for batch in batches]
        targets = (self._targets([requests[i] for i in batch], length) for batch, length in zip(batches, lengths, strict=True))
        in_batch_order = (score for scores in self._score_targets(targets) for score in scores)
        scores = dict(zip((i for batch in batches for i in batch), in_batch_order, strict=True))
        return [scores[i] for i in range(len(requests))]

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Group indices of requests of similar length. All rows are padded to the longest, so none is shorter than 3/4 of it."""
        order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].tokens), i))
        while order:
            longest = len(requests[order[0]].tokens)
            fitting = order[: max(1, self.batch_tokens // self._padded_length(longest - 1))]
            batch = [i for i in fitting if 4 * len(requests[i].tokens) >= 3 * longest]
            yield batch
            order = order[len(batch) :]

    def _padded_length(self, length: int) -> int:
        if length > self.model.context_tokens:
            raise InputError(f"an example of {length} tokens: the network's context holds {self.model.context_tokens}")
        return min(self.model.context_tokens, -(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE)

    def _targets(self, batch: Sequence[Request], length: int, prefix: Prefix | None = None) -> _Targets:
        """Run the model on the batch, up to the features of the scored tokens; compute no logits."""
        inputs = np.zeros((len(batch), length), np.int64)
        rows, columns, targets = [], [], []
        for row, request in enumerate(batch):
            tokens = np.asarray(request.tokens, np.int64)
            inputs[row, : len(tokens) - 1] = tokens[:-1]
            rows.append(np.full(len(tokens) - request.first, row))
            columns.append(np.arange(request.first - 1, len(tokens) - 1))
            targets.append(tokens[request.first :])
        device = self.model.device
        with torch.inference_mode():
            features = self.model.features(torch.from_numpy(inputs).to(device), prefix)
            features_ND = features[
                torch.from_numpy(np.concatenate(rows)).to(device), torch.from_numpy(np.concatenate(columns)).to(device)
            ]
        return _Targets(features_ND, np.concatenate(targets), [len(t) for t in targets])

    def _score_targets(self, batches: Iterable[_Targets]) -> Iterator[list[Score]]:
        """Yield the scores of each batch. Several batches share one product of the output layer: many rows are faster."""
        waiting: list[_Targets] = []
        for batch in batches:
            waiting.append(batch)
            if sum(len(each.ids) for each in waiting) >= self._logits_rows:
                yield from self._flush(waiting)
                waiting = []
        yield from self._flush(waiting)

    def _flush(self, batches: list[_Targets]) -> Iterator[list[Score]]:
        if not batches:
            return
        with torch.inference_mode():
            features = torch.cat([batch.features_ND for batch in batches])
            targets = torch.from_numpy(np.concatenate([batch.ids for batch in batches])).to(self.model.device)
            arrays = self._score_features(features, targets)
        ends = np.cumsum([length for batch in batches for length in batch.lengths])[:-1]
        scores = iter([Score(*each) for each in zip(*(np.split(array, ends) for array in arrays), strict=True)])
        for batch in batches:
            yield list(islice(scores, len(batch.lengths)))

    @property
    def _logits_rows(self) -> int:
        """Rows of logits per product."""
        return max(64, LOGITS_BYTES // (4 * self.model.vocabulary) // 64 * 64)

    def _score_features(self, features_ND: Tensor, targets_N: Tensor) -> tuple[Floats, Int64Tokens, Int64Tokens]:
        """Return the nats, the best token and the best allowed token of each target, one chunk of logits at a time."""
        banned = torch.tensor(list(self.banned), dtype=torch.long, device=self.model.device)
        rows = self._logits_rows
        nats, best, best_allowed = [], [], []
        for start in range(0, len(targets_N), rows):
            targets_n = targets_N[start : start + rows]
            logits = self.model.logits(features_ND[start : start + rows])
            best.append(logits.argmax(dim=1) if self.predict else torch.full_like(targets_n, -1))
            best_allowed.append(_best_without(logits, banned) if self.predict and len(banned) else best[-1])
            nats.append(token_nats(logits, targets_n).double())
        return tuple(torch.cat(chunks).cpu().numpy() for chunks in (nats, best, best_allowed))  # type: ignore[return-value]


def _best_without(logits: Tensor, banned: Tensor) -> Tensor:
    """Most likely token of each row that is not banned; `logits` are restored."""
    values = logits[:, banned]
    logits[:, banned] = -torch.inf
    best = logits.argmax(dim=1)
    logits[:, banned] = values
    return best
