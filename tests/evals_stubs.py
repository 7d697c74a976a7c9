"""Stub models whose scores can be computed by hand, their tokenizers, and helpers that run a task on them."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenizer.shards import Header, Manifest, ShardEntry, ShardWriter, SplitEntry, TokenBatch, sha256_of
from trainer.config import ModelConfig
from trainer.evals.candidate import Candidate
from trainer.evals.registry import TASKS
from trainer.evals.results import Result
from trainer.model import GPT

SURE = 100.0
LONG_CONTEXT = 1 << 14


class ByteTokenizer:
    """One token per byte; 256 is the end of text."""

    eot_id = 256
    vocabulary = 257
    sha256 = "b" * 64

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


class WordTokenizer:
    """One token per word with the space before it, or per other character: close to BPE on words."""

    eot_id = 0

    def __init__(self) -> None:
        self.words = ["<eot>"]
        self.ids: dict[str, int] = {}

    def encode(self, text: str) -> list[int]:
        return [self._id(piece) for piece in re.findall(r" ?\w+|\s|[^\w\s]", text)]

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(self.words[i] for i in ids if i)

    def _id(self, word: str) -> int:
        if word not in self.ids:
            self.ids[word] = len(self.words)
            self.words.append(word)
        return self.ids[word]


@dataclass
class StubModel:
    """A model defined by `rule`: from the tokens so far to the next token's logits, as {id: logit}; other logits are zero."""

    rule: Callable[[tuple[int, ...]], dict[int, float]]
    vocabulary: int = 257
    context_tokens: int = 1024
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    def features(self, tokens_BT: Tensor, prefix: Any | None = None) -> Tensor:
        before = tuple(prefix or ())
        rows = [[self._logits((*before, *row[: i + 1])) for i in range(len(row))] for row in tokens_BT.tolist()]
        return torch.stack([torch.stack(row) for row in rows])

    def logits(self, features_ND: Tensor) -> Tensor:
        return features_ND.clone()

    def read(self, tokens_T: Tensor) -> Any:
        return tokens_T.tolist()

    def generate(
        self, prompts: list[list[int]], new_tokens: int, *, top_k: int | None, seed: int, stop_id: int
    ) -> list[list[int]]:
        return [self._continue(prompt, new_tokens, stop_id) for prompt in prompts]

    def _continue(self, prompt: list[int], new_tokens: int, stop_id: int) -> list[int]:
        context = list(prompt)
        while len(context) < len(prompt) + new_tokens and (token := int(self._logits(tuple(context)).argmax())) != stop_id:
            context.append(token)
        return context[len(prompt) :]

    def _logits(self, context: tuple[int, ...]) -> Tensor:
        logits = torch.zeros(self.vocabulary)
        for token, value in self.rule(context).items():
            logits[token] = value
        return logits


def uniform(vocabulary: int = 257, context_tokens: int = 1024) -> StubModel:
    """Model without knowledge: every token costs log(vocabulary)."""
    return StubModel(lambda _context: {}, vocabulary, context_tokens)


def memorizing(texts: Sequence[Sequence[int]], memory: int = 12, sign: float = 1.0, least: int = 1, **shape: int) -> StubModel:
    """Model that is sure of the next token of `texts` (token ids); with sign -1, that it is any other token.

    It matches the longest suffix of the context: at most `memory` tokens, and at least `least` unless a text begins there.
    """
    successors = {}
    for ids in texts:
        for i in range(1, len(ids)):
            for length in range(min(least, i), memory + 1):
                successors.setdefault(tuple(ids[max(0, i - length) : i]), ids[i])
    return StubModel(lambda context: _predict(successors, context, memory, sign), **shape)


def _predict(successors: dict[tuple[int, ...], int], context: tuple[int, ...], memory: int, sign: float) -> dict[int, float]:
    for length in range(min(memory, len(context)), 0, -1):
        if context[-length:] in successors:
            return {successors[context[-length:]]: sign * SURE}
    return {}


def write_tokens(folder: Path, texts: Sequence[str], codec: Any, vocabulary: int = 257, trained: Sequence[str] = ()) -> Path:
    """Write a folder of token shards: split `validation` of `texts`, and split `train` of `trained` if there are any."""
    folder.mkdir()
    splits = {
        name: _write_split(folder, name, own, codec, vocabulary)
        for name, own in (("validation", texts), ("train", trained))
        if own
    }
    manifest = Manifest(str(folder), codec.sha256, vocabulary, codec.eot_id, splits, {"validation": 4.5})
    (folder / "manifest.json").write_text(json.dumps({"dataset": manifest.section()}))
    return folder


def _write_split(folder: Path, name: str, texts: Sequence[str], codec: Any, vocabulary: int) -> SplitEntry:
    rows = [[*codec.encode(text), codec.eot_id] for text in texts]
    flat = np.concatenate([np.array(row, np.uint16) for row in rows])
    header = Header(name, 0, 1, len(rows), len(flat), codec.sha256, vocabulary, codec.eot_id)
    path = folder / header.name
    with path.open("wb") as file:
        writer = ShardWriter(file, header)
        writer.write(TokenBatch(flat, np.cumsum([0, *map(len, rows)]), np.zeros((len(rows), 16), np.uint8)))
        writer.close()
    entry = ShardEntry(header.name, len(rows), len(flat), path.stat().st_size, sha256_of(path))
    return SplitEntry(len(rows), len(flat), sum(len(text.encode()) for text in texts), (entry,))


def memorizing_texts(*texts: str, sign: float = 1.0, lead: bool = True, memory: int = 24, least: int = 1) -> StubModel:
    """Return `memorizing` of the bytes of texts, each followed by an end of text and, with `lead`, preceded by one."""
    rows = [[*([256] if lead else []), *text.encode(), 256] for text in texts]
    return memorizing(rows, memory=memory, sign=sign, least=least, context_tokens=LONG_CONTEXT)


def run_task(
    task: str, model: StubModel, *paths: Path, codec: ByteTokenizer | WordTokenizer | None = None, **options: object
) -> list[Result]:
    """Run a task on a stub model, by default with one token per byte. `options` are those of Candidate."""
    candidate = Candidate(model, codec or ByteTokenizer(), **options)  # type: ignore[arg-type]
    return TASKS[task].run(candidate, list(paths))


def headline(results: list[Result]) -> Result:
    """Return the one result that names a row of the paper."""
    (result,) = [result for result in results if result.row is not None]
    return result


def result_value(results: list[Result], protocol: str, metric: str = "accuracy, %") -> float:
    """Return the value of the one result with this metric whose protocol contains `protocol`."""
    (result,) = [result for result in results if protocol in result.protocol and result.metric == metric]
    return result.value


def write_records(path: Path, *records: object) -> Path:
    """Write JSON lines."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def small_gpt(seed: int = 3, context: int = 32) -> GPT:
    """Network of 257 classes with random weights, and biases other than zero."""
    gpt = GPT(ModelConfig(layers=2, heads=2, width=32, context=context, vocabulary=257))
    gpt.init_weights(seed)
    for parameter in gpt.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
    return gpt
