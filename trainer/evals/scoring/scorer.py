"""Log-probabilities of tokens after what stands before them, in batches of few shapes; logits are made only where they are asked for.

Measured in nats. A right-padded row is exact, since no token looks to its right.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.evals.candidate import LanguageModel, Prefix
from trainer.evals.scoring.sharding import Ranks

REQUESTS_AT_ONCE = 2048
LENGTH_MULTIPLE = 16
LOGITS_BYTES = 1 << 26
"""Logits at a time. Of one core's time, a product of 256 rows takes two thirds of what 64 rows at a time take (docs/log.md)."""

ROWS_IN_CACHE = 8
"""Of one core's time, the loss of 8 rows at a time takes a quarter of what 256 rows take (45 and 180 us a token of 50,257 classes)."""

Ids = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """Score `tokens[first:]`, each after all before it. At most one token more than the context; `first` is at least 1."""

    tokens: Sequence[int] | Ids
    first: int


@dataclass(frozen=True, slots=True, eq=False)
class Score:
    """Of a request's scored tokens: nats of each, the likeliest token in its place, and the likeliest that is not banned."""

    nats: Floats
    best: Ids
    allowed: Ids

    @property
    def total(self) -> float:
        """Nats of all."""
        return float(self.nats.sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """What a batch's requests ask: the features before each target, the targets, and how many each request has."""

    features_ND: Tensor
    targets: Ids
    lengths: list[int]


def cut(tokens: Sequence[int], first: int, context_tokens: int) -> Request:
    """A request that keeps the last tokens where there are more than the context holds."""
    over = max(0, len(tokens) - context_tokens - 1)
    return Request(tokens[over:], max(1, first - over))


@dataclass(frozen=True, slots=True)
class Scorer:
    """Scores requests in order. `banned` are ids that `Score.allowed` passes over; `batch_tokens` changes speed, not values.

    Without `guess` the likeliest tokens are not looked for: the scores hold -1 there.
    """

    model: LanguageModel
    batch_tokens: int = 8192
    banned: Sequence[int] = ()
    ranks: Ranks = field(default_factory=Ranks.current)
    guess: bool = True

    def score(self, requests: Iterable[Request]) -> Iterator[Score]:
        """A score a request, in their order; on every rank all of them."""
        source = iter(requests)
        while chunk := list(islice(source, REQUESTS_AT_ONCE)):
            yield from self.ranks.merge(self._score_all(self.ranks.mine(chunk)))

    def choices(self, examples: Iterable[tuple[Sequence[int], Sequence[Sequence[int]]]]) -> Iterator[list[Score]]:
        """For each (prefix, endings) the endings' scores; the prefix, of at least one token, is read once."""
        source = iter(examples)
        while chunk := list(islice(source, REQUESTS_AT_ONCE)):
            parts = (self._endings(*example) for example in self.ranks.mine(chunk))
            yield from self.ranks.merge(list(self._scored(parts)))

    def _endings(self, prefix: Sequence[int], endings: Sequence[Sequence[int]]) -> "_Part":
        over = max(0, len(prefix) + max(len(ending) for ending in endings) - self.model.context_tokens - 1)
        kept = list(prefix[over:])
        if len(kept) < 2:
            rows = [cut([*prefix, *ending], len(prefix), self.model.context_tokens) for ending in endings]
            return self._features(rows, self._padded_length(max(len(row.tokens) - 1 for row in rows)))
        rows = [Request([kept[-1], *ending], 1) for ending in endings]
        with torch.inference_mode():
            memory = self.model.read(torch.tensor(kept[:-1], device=self.model.device))
        return self._features(rows, max(len(row.tokens) - 1 for row in rows), memory)

    def _score_all(self, requests: Sequence[Request]) -> list[Score]:
        batches = list(self._batches(requests))
        lengths = [self._padded_length(max(len(requests[i].tokens) - 1 for i in places)) for places in batches]
        parts = (self._features([requests[i] for i in places], length) for places, length in zip(batches, lengths, strict=True))
        found = (score for scores in self._scored(parts) for score in scores)
        scores = dict(zip((place for places in batches for place in places), found, strict=True))
        return [scores[place] for place in range(len(requests))]

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Places of requests of like length, as many as fill a batch: none much shorter than its longest, which all are padded to."""
        order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].tokens), i))
        while order:
            longest = len(requests[order[0]].tokens)
            fitting = order[: max(1, self.batch_tokens // self._padded_length(longest - 1))]
            batch = [i for i in fitting if 4 * len(requests[i].tokens) >= 3 * longest]
            yield batch
            order = order[len(batch) :]

    def _padded_length(self, length: int) -> int:
        if length > self.model.context_tokens:
            raise ValueError(f"a request of {length} tokens: the context holds {self.model.context_tokens}")
        return min(self.model.context_tokens, -(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE)

    def _features(self, batch: Sequence[Request], length: int, memory: Prefix | None = None) -> "_Part":
        """What is asked of the batch, all of it read but nothing guessed yet."""
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
            features = self.model.features(torch.from_numpy(inputs).to(device), memory)
            wanted = features[
                torch.from_numpy(np.concatenate(rows)).to(device), torch.from_numpy(np.concatenate(columns)).to(device)
            ]
        return _Part(wanted, np.concatenate(targets), [len(t) for t in targets])

    def _scored(self, parts: Iterable["_Part"]) -> Iterator[list[Score]]:
        """The scores of each part, many parts read off together: the output layer's product wants many rows."""
        waiting: list[_Part] = []
        for part in parts:
            waiting.append(part)
            if sum(len(each.targets) for each in waiting) >= self._rows:
                yield from self._flush(waiting)
                waiting = []
        yield from self._flush(waiting)

    def _flush(self, parts: list["_Part"]) -> Iterator[list[Score]]:
        if not parts:
            return
        with torch.inference_mode():
            features = torch.cat([part.features_ND for part in parts])
            targets = torch.from_numpy(np.concatenate([part.targets for part in parts])).to(self.model.device)
            arrays = self._read_off(features, targets)
        ends = np.cumsum([length for part in parts for length in part.lengths])[:-1]
        scores = iter([Score(*each) for each in zip(*(np.split(array, ends) for array in arrays), strict=True)])
        for part in parts:
            yield list(islice(scores, len(part.lengths)))

    @property
    def _rows(self) -> int:
        """Of logits at a time."""
        return max(64, LOGITS_BYTES // (4 * self.model.vocabulary) // 64 * 64)

    def _read_off(self, features_ND: Tensor, targets_N: Tensor) -> tuple[Floats, Ids, Ids]:
        """Nats, best and best allowed of each target, a chunk of logits at a time."""
        banned = torch.tensor(list(self.banned), dtype=torch.long, device=self.model.device)
        rows = self._rows
        nats, best, allowed = [], [], []
        for start in range(0, len(targets_N), rows):
            targets_n = targets_N[start : start + rows]
            logits = self.model.logits(features_ND[start : start + rows])
            best.append(logits.argmax(dim=1) if self.guess else torch.full_like(targets_n, -1))
            allowed.append(_best_but(logits, banned) if self.guess and len(banned) else best[-1])
            nats.append(_nats(logits, targets_n))
        return tuple(torch.cat(part).cpu().numpy() for part in (nats, best, allowed))  # type: ignore[return-value]


def _best_but(logits: Tensor, banned: Tensor) -> Tensor:
    """The likeliest of the others; the logits are as before."""
    values = logits[:, banned]
    logits[:, banned] = -torch.inf
    best = logits.argmax(dim=1)
    logits[:, banned] = values
    return best


def _nats(logits: Tensor, targets_n: Tensor) -> Tensor:
    """What each target costs, a few rows at a time on a processor: all passes over them but the first then find them in its cache."""
    rows = ROWS_IN_CACHE if logits.device.type == "cpu" else len(logits)
    parts = [
        F.log_softmax(logits[start : start + rows], dim=1).gather(1, targets_n[start : start + rows, None])
        for start in range(0, len(logits), rows)
    ]
    return -torch.cat(parts)[:, 0].double()
