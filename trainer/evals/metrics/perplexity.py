"""What perplexity tasks share: a text as published and as it would be written, every stride, every normaliser."""

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.evals.candidate import Candidate
from trainer.evals.results import Result
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import Total, total
from trainer.evals.text.detokenizers import Detokeniser, Rules

BPE_TOKENS = "BPE token"
WORDS = "word of the original"
ORIGINAL_TOKENS = "word or line end of the original"


@dataclass(frozen=True, slots=True)
class Corpus:
    """A tokenised text file under test. `row` is the paper's, `row_normaliser` the reading that comes nearest to it."""

    task: str
    rules: Rules
    row: str
    row_normaliser: str


def examine(candidate: Candidate, corpus: Corpus, text: str) -> list[Result]:
    """Perplexity of the text, by {detokenised, as published} × strides × normalisers."""
    lines = text.split("\n")
    if candidate.limit and candidate.limit < len(lines):
        text = "".join(f"{line}\n" for line in lines[: candidate.limit])
    detokeniser = Detokeniser.of_text(corpus.rules, text)
    written = detokeniser.join_text(text)
    if detokeniser.split_text(written) != text:
        raise AssertionError(f"{corpus.task}: the detokeniser's inverse does not give the file back")
    results: list[Result] = []
    for name, body in ((detokeniser.name, written), ("none", text)):
        stream = candidate.stream(body)
        for stride in strides(candidate):
            found = total(Scorer(candidate.model, candidate.batch_tokens), stream, stride)
            results += _results(candidate, corpus, text, found, stride, name)
    return results


def strides(candidate: Candidate) -> tuple[int, ...]:
    """Those asked for; else the whole window, and half of it."""
    window = candidate.window_tokens
    return tuple(min(stride, window) for stride in candidate.strides) or (window, max(1, window // 2))


def original_tokens(text: str) -> dict[str, int]:
    """Words between white space, and those with one more a line end, as language models on words count them."""
    words = len(text.split())
    return {WORDS: words, ORIGINAL_TOKENS: words + text.count("\n")}


def _results(candidate: Candidate, corpus: Corpus, text: str, found: Total, stride: int, name: str) -> Iterator[Result]:
    smallest = min(strides(candidate))
    for normaliser, units in {BPE_TOKENS: found.tokens, **original_tokens(text)}.items():
        value, error = found.perplexity(units)
        nearest = normaliser == corpus.row_normaliser and stride == smallest and name != "none"
        yield Result(
            task=corpus.task,
            metric="perplexity",
            value=value,
            standard_error=error,
            examples=found.windows,
            protocol="one stream after an end of text; nats summed, divided by the normaliser's count, then exponentiated",
            normaliser=normaliser,
            detokeniser=name,
            window_tokens=candidate.window_tokens,
            stride_tokens=stride,
            row=corpus.row if nearest else None,
        )
