"""enwik8 and text8: bits per byte of the original, on the last 5 million of its 100 million bytes."""

from pathlib import Path

from tokenizer.errors import InputError
from trainer.evals.candidate import Candidate
from trainer.evals.metrics.perplexity import strides
from trainer.evals.results import Result
from trainer.evals.scoring.scorer import Scorer
from trainer.evals.scoring.windows import text_loss
from trainer.evals.task import PublishedFile, Task

WHOLE_BYTES = 100_000_000
ENWIK8_SHA256 = "2b49720ec4d78c3c9fabaee6e4179a5e997302b3a70029f30f2d582218c024a8"
TEXT8_SHA256 = "6e890197040d37d85beb962ae1f041ff1d9a9ca8d20c7d99c85027eebf51dca7"
ENWIK8_ZIP = "archive of 36,445,475 bytes, sha256 547994d9980ebed1288380d652999f38a14fe291a6247c157c3d33d4932534bc"
TEXT8_ZIP = "archive of 31,344,016 bytes, sha256 a6640522afe85d1963ad56c05b0ede0a0c000dddc9671758a6cc09b7a38e5232"
TEST_BYTES = 5_000_000
"""Size of the test split; the usual splits are 90, 5 and 5 million bytes."""


def test_split(data: bytes) -> bytes:
    """Return the last 5 million bytes of the whole file, from the first whole character; a smaller file is returned whole."""
    if len(data) < WHOLE_BYTES:
        return data
    part = data[WHOLE_BYTES - TEST_BYTES : WHOLE_BYTES]
    partial = next(i for i in range(4) if part[i] & 0xC0 != 0x80)
    return part[partial:]


def evaluate(candidate: Candidate, task: str, metric: str, path: Path) -> list[Result]:
    """Bits per byte for each stride."""
    data = test_split(path.read_bytes())
    data = data[: candidate.limit] if candidate.limit else data
    text = data.decode(errors="ignore")
    text_bytes = len(text.encode())
    if not text_bytes or len(data) - text_bytes > 3:
        raise InputError(f"{path}: not UTF-8 text; use the unpacked file as it is published")
    stream = candidate.stream(text)
    results = []
    for stride in strides(candidate):
        loss = text_loss(Scorer(candidate.model, candidate.batch_tokens), stream, stride)
        value, error = loss.bits_per(text_bytes)
        results.append(
            Result(
                task=task,
                metric=metric,
                value=value,
                standard_error=error,
                examples=loss.windows,
                protocol=f"the last {text_bytes:,} bytes as one stream after an end of text, markup and all",
                normaliser="byte of the original, times ln 2",
                window_tokens=candidate.window_tokens,
                stride_tokens=stride,
                row=task if stride == min(strides(candidate)) else None,
            )
        )
    return results


def _enwik8(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return evaluate(candidate, "enwik8", "bits per byte", paths[0])


def _text8(candidate: Candidate, paths: list[Path]) -> list[Result]:
    return evaluate(candidate, "text8", "bits per character", paths[0])


TASKS = (
    Task(
        "enwik8",
        "enwik8, bits per byte",
        (PublishedFile(("enwik8",), "http://mattmahoney.net/dc/enwik8.zip", WHOLE_BYTES, ENWIK8_SHA256, archive=ENWIK8_ZIP),),
        _enwik8,
    ),
    Task(
        "text8",
        "text8, bits per character",
        (PublishedFile(("text8",), "http://mattmahoney.net/dc/text8.zip", WHOLE_BYTES, TEXT8_SHA256, archive=TEXT8_ZIP),),
        _text8,
    ),
)
