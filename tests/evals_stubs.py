"""Models whose scores are known by hand, and a tokenizer of bytes."""

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

SURE = 100.0


class Bytes:
    """A token a byte; 256 is the end of text."""

    eot_id = 256
    vocabulary = 257
    sha256 = "bytes"

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        return bytes(i for i in ids if i < 256).decode(errors="replace")


class Words:
    """A token a word with the space before it (or a single other character): near to what BPE does on words."""

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
class Stub:
    """A model told by `rule`: from the tokens seen so far to logits of the next, as {id: logit} over a floor of zero."""

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
        seen = list(prompt)
        while len(seen) < len(prompt) + new_tokens and (token := int(self._logits(tuple(seen)).argmax())) != stop_id:
            seen.append(token)
        return seen[len(prompt) :]

    def _logits(self, seen: tuple[int, ...]) -> Tensor:
        logits = torch.zeros(self.vocabulary)
        for token, value in self.rule(seen).items():
            logits[token] = value
        return logits


def uniform(vocabulary: int = 257, context_tokens: int = 1024) -> Stub:
    """Knows nothing: every token costs log(vocabulary)."""
    return Stub(lambda _seen: {}, vocabulary, context_tokens)


def knowing(texts: Sequence[Sequence[int]], memory: int = 12, sign: float = 1.0, least: int = 1, **shape: int) -> Stub:
    """Is sure of the next token of any of `texts` (token ids) after their last `memory` tokens; with sign -1, sure of any other.

    It goes by the longest ending that it knows, of at least `least` tokens or from a text's beginning.
    """
    following = {}
    for ids in texts:
        for i in range(1, len(ids)):
            for length in range(min(least, i), memory + 1):
                following.setdefault(tuple(ids[max(0, i - length) : i]), ids[i])
    return Stub(lambda seen: _known(following, seen, memory, sign), **shape)


def _known(following: dict[tuple[int, ...], int], seen: tuple[int, ...], memory: int, sign: float) -> dict[int, float]:
    for length in range(min(memory, len(seen)), 0, -1):
        if seen[-length:] in following:
            return {following[seen[-length:]]: sign * SURE}
    return {}


def write_tokens(folder: Path, texts: Sequence[str], codec: Any, vocabulary: int = 257, trained: Sequence[str] = ()) -> Path:
    """A folder of token shards: `validation` of the texts, and `train` of those that were trained on, where there are any."""
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
