"""The corpus's own held-out split: nats a token, perplexity, bits a byte, beside what counting tokens alone would score; and as much of
the split that was trained on, since only the two together show whether a network has learnt or learnt by heart (Figure 4)."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tokenizer.errors import FormatError
from tokenizer.shards import Manifest
from tokenizer.stream import Stream
from trainer.config import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.results import Result
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import total
from trainer.evals.task import Task

HELD_OUT, TRAINED_ON = "validation", "train"


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


def run(candidate: Candidate, paths: list[Path], name: str = HELD_OUT) -> list[Result]:
    """Examine on a split of a folder of token shards: the validation split whole, of the training split as many tokens."""
    manifest = _manifest(paths[0], candidate, name)
    split = manifest.split(name)
    stream = Stream(manifest.open(name))
    length = min(len(stream), manifest.split(HELD_OUT).tokens, candidate.limit or len(stream))
    scorer = Scorer(candidate.model, candidate.batch_tokens)
    results = []
    for stride in candidate.strides or (candidate.window_tokens,):
        found = total(scorer, AfterEnd(stream, manifest.eot_id, length + 1), stride)
        values = {
            ("nats per token", "BPE tokens with the end of each text"): found.per(found.tokens),
            ("perplexity", "BPE tokens with the end of each text"): found.perplexity(found.tokens),
        }
        if length == len(stream):  # of a part the bytes are not known
            values["bits per byte", "UTF-8 bytes of the texts"] = found.bits(split.text_bytes)
        for (metric, normaliser), (value, error) in values.items():
            results.append(_result(name, metric, value, error, found.windows, normaliser, candidate.window_tokens, stride))
    entropy = manifest.unigram_entropy_nats.get(name)
    if entropy is not None and name == HELD_OUT:
        results.append(_unigram(entropy, split.tokens))
    return results


def _manifest(folder: Path, candidate: Candidate, name: str) -> Manifest:
    try:
        manifest = Manifest.load(folder)
        manifest.split(name)
        kept = manifest.split(HELD_OUT)
    except FormatError as error:
        raise InputError(str(error)) from error
    if not kept.tokens:
        raise InputError(f"{folder}: its {HELD_OUT} split holds no tokens; make the corpus with a larger held-out share")
    own = getattr(candidate.tokenizer, "sha256", manifest.tokenizer_sha256)
    if own != manifest.tokenizer_sha256:
        raise InputError(f"{folder}: made with tokenizer {manifest.tokenizer_sha256[:12]}, the model was trained with {own[:12]}")
    return manifest


def _result(
    split: str, metric: str, value: float, error: float | None, windows: int, normaliser: str, window: int, stride: int
) -> Result:  # one line of the record each
    return Result(
        task="held_out" if split == HELD_OUT else "trained_on",
        metric=metric,
        value=value,
        standard_error=error,
        examples=windows,
        protocol=f"the {split} split as one stream of documents, read by sliding windows across their ends",
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


TASKS = (
    Task("held_out", "the corpus's own validation split", (), run, reads_tokens=True),
    Task("trained_on", "as many tokens of its training split", (), partial(run, name=TRAINED_ON), reads_tokens=True),
)
