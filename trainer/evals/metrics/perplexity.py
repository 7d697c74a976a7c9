"""Perplexity of a tokenized text file: detokenized and as published, for each stride and each normalizer."""

from collections.abc import Iterator
from dataclasses import dataclass

from trainer.evals.candidate import Candidate
from trainer.evals.results import Result
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import TextLoss, text_loss
from trainer.evals.text.detokenizers import Detokenizer, DetokenizerRules

PER_BPE = "BPE token"
PER_WORD = "word of the original"
PER_WORD_OR_LINE_END = "word or line end of the original"


@dataclass(frozen=True, slots=True)
class TokenizedText:
    """A tokenized text file under test. `row` is the paper's row; the reading by `row_normalizer` comes nearest to it."""

    task: str
    rules: DetokenizerRules
    row: str
    row_normalizer: str


def evaluate(candidate: Candidate, source: TokenizedText, text: str) -> list[Result]:
    """Perplexities of the text: {detokenized, as published} x strides x normalizers."""
    lines = text.split("\n")
    if candidate.limit and candidate.limit < len(lines):
        text = "".join(f"{line}\n" for line in lines[: candidate.limit])
    detokenizer = Detokenizer.of_text(source.rules, text)
    plain = detokenizer.join_text(text)
    if detokenizer.split_text(plain) != text:
        raise AssertionError(f"{source.task}: the detokenizer's inverse does not restore the file")
    results: list[Result] = []
    for name, body in ((detokenizer.name, plain), ("none", text)):
        stream = candidate.stream(body)
        for stride in strides(candidate):
            loss = text_loss(Scorer(candidate.model, candidate.batch_tokens), stream, stride)
            results += _results(candidate, source, text, loss, stride, name)
    return results


def strides(candidate: Candidate) -> tuple[int, ...]:
    """The candidate's strides, at most a window each; by default the whole window and half of it."""
    window = candidate.window_tokens
    return candidate.at_most_window(candidate.strides) or (window, max(1, window // 2))


def count_units(text: str) -> dict[str, int]:
    """Units of a tokenized text by normalizer: its words, and its words and line ends, as word-level models count them."""
    words = len(text.split())
    return {PER_WORD: words, PER_WORD_OR_LINE_END: words + text.count("\n")}


def _results(candidate: Candidate, source: TokenizedText, text: str, loss: TextLoss, stride: int, name: str) -> Iterator[Result]:
    smallest = min(strides(candidate))
    for normalizer, units in {PER_BPE: loss.tokens, **count_units(text)}.items():
        value, error = loss.perplexity(units)
        nearest = normalizer == source.row_normalizer and stride == smallest and name != "none"
        yield Result(
            task=source.task,
            metric="perplexity",
            value=value,
            standard_error=error,
            examples=loss.windows,
            protocol="one stream after an end of text; nats summed, divided by the normaliser's count, then exponentiated",
            normaliser=normalizer,
            detokeniser=name,
            window_tokens=candidate.window_tokens,
            stride_tokens=stride,
            row=source.row if nearest else None,
        )
