"""The corpus's validation split and an equal part of its training split: nats per token, perplexity and bits per byte.

The difference between the two splits shows how far the network memorizes its training text (Figure 4). The entropy of
token frequencies is the baseline without a model.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tokenizer.errors import FormatError, InputError
from tokenizer.shards import Manifest
from tokenizer.stream import Stream
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import text_loss
from trainer.evals.task import Task

HELD_OUT, TRAINED_ON = "validation", "train"


@dataclass(frozen=True, slots=True)
class EotPrefixedStream:
    """A stream with an end of text before its first token, so that this token is scored too. `length` includes both."""

    stream: Stream
    eot_id: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> Any:
        start, stop, _ = part.indices(self.length)
        ids = np.empty(stop - start, np.int64)
        lead_tokens = 1 if start == 0 else 0
        ids[:lead_tokens] = self.eot_id
        self.stream.read(start + lead_tokens - 1, ids[lead_tokens:])
        return ids


def run(candidate: Candidate, paths: list[Path], name: str = HELD_OUT) -> list[Result]:
    """Score a split of a folder of token shards: all of validation, or an equal number of tokens of the training split."""
    manifest = _manifest(paths[0], candidate, name)
    split = manifest.split(name)
    stream = Stream(manifest.open(name))
    length = min(len(stream), manifest.split(HELD_OUT).tokens, candidate.limit or len(stream))
    scorer = Scorer(candidate.model, candidate.batch_tokens)
    results = []
    for stride in candidate.at_most_window(candidate.strides) or (candidate.window_tokens,):
        loss = text_loss(scorer, EotPrefixedStream(stream, manifest.eot_id, length + 1), stride)
        values = {
            ("nats per token", "BPE tokens with the end of each text"): loss.nats_per(loss.tokens),
            ("perplexity", "BPE tokens with the end of each text"): loss.perplexity(loss.tokens),
        }
        if length == len(stream):  # the byte count is known for the whole split only
            values["bits per byte", "UTF-8 bytes of the texts"] = loss.bits_per(split.text_bytes)
        for (metric, normalizer), (value, error) in values.items():
            results.append(_result(name, metric, value, error, loss.windows, normalizer, candidate.window_tokens, stride))
    entropy = manifest.unigram_entropy_nats.get(name)
    if entropy is not None and name == HELD_OUT:
        results.append(_unigram(entropy, split.tokens))
    return results


def _manifest(folder: Path, candidate: Candidate, name: str) -> Manifest:
    try:
        manifest = Manifest.load(folder)
        manifest.split(name)
        held_out = manifest.split(HELD_OUT)
    except FormatError as error:
        raise InputError(str(error)) from error
    if not held_out.tokens:
        raise InputError(
            f"{folder}: its {HELD_OUT} split holds no tokens; run the stage 'tokens' with a larger --validation-share"
        )
    own = getattr(candidate.tokenizer, "sha256", manifest.tokenizer_sha256)
    if own != manifest.tokenizer_sha256:
        raise InputError(
            f"{folder}: written with tokenizer {manifest.tokenizer_sha256[:12]}, the model was trained with {own[:12]}"
        )
    return manifest


def _result(
    split: str, metric: str, value: float, error: float | None, windows: int, normalizer: str, window: int, stride: int
) -> Result:
    return Result(
        task="held_out" if split == HELD_OUT else "trained_on",
        metric=metric,
        value=value,
        standard_error=error,
        examples=windows,
        protocol=f"the {split} split as one stream of documents, read by sliding windows across their ends",
        normaliser=normalizer,
        window_tokens=window,
        stride_tokens=stride,
    )


def _unigram(entropy: float, tokens: int) -> Result:
    return Result(
        task="held_out",
        metric="unigram entropy, nats per token",
        value=entropy,
        standard_error=None,
        examples=tokens,
        protocol="no model: what the training split's token frequencies alone score on the split",
        normaliser="BPE tokens with the end of each text",
    )


TASKS = (
    Task("held_out", "the corpus's validation split", (), run, reads_tokens=True),
    Task(
        "trained_on",
        "an equal number of tokens of the corpus's training split",
        (),
        partial(run, name=TRAINED_ON),
        reads_tokens=True,
    ),
)
