"""Log-probabilities of tokens after what stands before them, in batches of few shapes; logits are made only where they are asked for.

Measured in nats. A right-padded row is exact, since no token looks to its right.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from trainer.evals.candidate import LanguageModel, Prefix
from trainer.evals.ranks import Ranks

REQUESTS_AT_ONCE = 2048
LENGTH_MULTIPLE = 16
LOGITS_BYTES = 1 << 26
"""Logits at a time. Of one core's time, a product of 256 rows takes two thirds of what 64 rows at a time take (docs/log.md)."""

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
        """For each (prefix, endings) the endings' scores, the prefix read once."""
        source = iter(examples)
        while chunk := list(islice(source, REQUESTS_AT_ONCE)):
            yield from self.ranks.merge([self.continuations(*example) for example in self.ranks.mine(chunk)])

    def continuations(self, prefix: Sequence[int], endings: Sequence[Sequence[int]]) -> list[Score]:
        """Score each of `endings` after the same prefix (at least one token), which is read once."""
        over = max(0, len(prefix) + max(len(ending) for ending in endings) - self.model.context_tokens - 1)
        kept = list(prefix[over:])
        if len(kept) < 2:
            return list(self._score_all([cut([*prefix, *e], len(prefix), self.model.context_tokens) for e in endings]))
        with torch.inference_mode():
            memory = self.model.read(torch.tensor(kept[:-1], device=self.model.device))
            rows = [Request([kept[-1], *ending], 1) for ending in endings]
            return self._score_batch(rows, max(len(row.tokens) - 1 for row in rows), memory)

    def _score_all(self, requests: Sequence[Request]) -> list[Score]:
        scores: list[Score | None] = [None] * len(requests)
        for places in self._batches(requests):
            batch = [requests[i] for i in places]
            with torch.inference_mode():
                found = self._score_batch(batch, self._padded_length(max(len(r.tokens) - 1 for r in batch)))
            for place, score in zip(places, found, strict=True):
                scores[place] = score
        return scores  # type: ignore[return-value]  # every place is filled

    def _batches(self, requests: Sequence[Request]) -> Iterator[list[int]]:
        """Places of requests of like length, as many as fill a batch."""
        order = sorted(range(len(requests)), key=lambda i: (-len(requests[i].tokens), i))
        while order:
            length = self._padded_length(len(requests[order[0]].tokens) - 1)
            rows = max(1, self.batch_tokens // length)
            yield order[:rows]
            order = order[rows:]

    def _padded_length(self, length: int) -> int:
        if length > self.model.context_tokens:
            raise ValueError(f"a request of {length} tokens: the context holds {self.model.context_tokens}")
        return min(self.model.context_tokens, -(-length // LENGTH_MULTIPLE) * LENGTH_MULTIPLE)

    def _score_batch(self, batch: Sequence[Request], length: int, memory: Prefix | None = None) -> list[Score]:
        inputs = np.zeros((len(batch), length), np.int64)
        rows, columns, targets = [], [], []
        for row, request in enumerate(batch):
            tokens = np.asarray(request.tokens, np.int64)
            inputs[row, : len(tokens) - 1] = tokens[:-1]
            rows.append(np.full(len(tokens) - request.first, row))
            columns.append(np.arange(request.first - 1, len(tokens) - 1))
            targets.append(tokens[request.first :])
        device = self.model.device
        features = self.model.features(torch.from_numpy(inputs).to(device), memory)
        wanted = features[torch.from_numpy(np.concatenate(rows)).to(device), torch.from_numpy(np.concatenate(columns)).to(device)]
        scored = self._read_off(wanted, torch.from_numpy(np.concatenate(targets)).to(device))
        ends = np.cumsum([len(t) for t in targets])[:-1]
        return [Score(*parts) for parts in zip(*(np.split(array, ends) for array in scored), strict=True)]

    def _read_off(self, features_ND: Tensor, targets_N: Tensor) -> tuple[Floats, Ids, Ids]:
        """Nats, best and best allowed of each target, a chunk of logits at a time."""
        banned = torch.tensor(list(self.banned), dtype=torch.long, device=self.model.device)
        rows = max(64, LOGITS_BYTES // (4 * self.model.vocabulary) // 64 * 64)
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
    """What each target costs. The logits are used up: every pass over them counts, and a second copy would cost more than all passes."""
    chosen = logits.gather(1, targets_n[:, None])
    peak = logits.amax(dim=1, keepdim=True)
    mass = logits.sub_(peak).exp_().sum(dim=1)
    return mass.double().log() + (peak - chosen)[:, 0].double()
