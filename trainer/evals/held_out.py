"""The corpus's own held-out split: nats a token, perplexity, bits a byte, beside what counting tokens alone would score."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tokenizer.errors import FormatError
from tokenizer.shards import Manifest, Stream
from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result
from trainer.evals.scoring import Scorer
from trainer.evals.task import Task
from trainer.evals.windows import total

SPLIT = "validation"


@dataclass(frozen=True, slots=True)
class AfterEnd:
    """A stream with the end of text before its first token, so that this one is scored too. `length` counts both."""

    stream: Stream
    eot_id: int
    length: int

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, part: slice) -> Any:
        start, stop, _ = part.indices(self.length)
        ids = np.empty(stop - start, np.int64)
        lead = 1 if start == 0 else 0
        ids[:lead] = self.eot_id
        self.stream.read(start + lead - 1, ids[lead:])
        return ids


def run(candidate: Candidate, paths: list[Path]) -> list[Result]:
    """Examine on the validation split of a folder of token shards."""
    manifest = _manifest(paths[0], candidate)
    split = manifest.split(SPLIT)
    stream = Stream(manifest.open(SPLIT))
    length = min(len(stream), candidate.limit or len(stream))
    scorer = Scorer(candidate.model, candidate.batch_tokens)
    results = []
    for stride in candidate.strides or (candidate.window_tokens,):
        found = total(scorer, AfterEnd(stream, manifest.eot_id, length + 1), stride)
        text_bytes = round(split.text_bytes * length / split.tokens)
        values = {
            ("nats per token", "BPE tokens with the end of each text"): found.per(found.tokens),
            ("perplexity", "BPE tokens with the end of each text"): found.perplexity(found.tokens),
            ("bits per byte", "UTF-8 bytes of the texts"): found.bits(text_bytes),
        }
        for (metric, normaliser), (value, error) in values.items():
            results.append(_result(metric, value, error, found.windows, normaliser, candidate.window_tokens, stride))
    entropy = manifest.unigram_entropy_nats.get(SPLIT)
    if entropy is not None:
        results.append(_unigram(entropy, split.tokens))
    return results


def _manifest(folder: Path, candidate: Candidate) -> Manifest:
    try:
        manifest = Manifest.load(folder)
        kept = manifest.split(SPLIT)
    except FormatError as error:
        raise InputError(str(error)) from error
    if not kept.tokens:
        raise InputError(f"{folder}: its {SPLIT} split holds no tokens; make the corpus with a larger held-out share")
    own = getattr(candidate.tokenizer, "sha256", manifest.tokenizer_sha256)
    if own != manifest.tokenizer_sha256:
        raise InputError(f"{folder}: made with tokenizer {manifest.tokenizer_sha256[:12]}, the model was trained with {own[:12]}")
    return manifest


def _result(
    metric: str, value: float, error: float | None, windows: int, normaliser: str, window: int, stride: int
) -> Result:  # one line of the record each
    return Result(
        task="held_out",
        metric=metric,
        value=value,
        standard_error=error,
        examples=windows,
        protocol="the split as one stream of documents, read by sliding windows across their ends",
        normaliser=normaliser,
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


TASK = Task("held_out", "the corpus's own validation split", (), run, reads_tokens=True)
