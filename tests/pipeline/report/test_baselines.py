"""Bits per byte without a network, and the samples, in the report's numbers and page."""

import gzip
import json
import math
from collections import Counter
from pathlib import Path
from pydoc_data.topics import topics

import pytest
from token_shards import write_token_shards

from pipeline.report import baselines, training, training_html
from pipeline.report.numbers import Baseline, EvaluationFigure, ReportNumbers, Sample, SplitNumbers, TokenNumbers
from pipeline.report.page_html import render
from tokenizer.errors import InputError
from tokenizer.shards import Manifest

HELD_OUT = [topics["while"], topics["if"], "Un été à la mer. " * 40]


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("baselines") / "tokens"
    write_token_shards(folder, {"train": [topics["for"]], "validation": HELD_OUT})
    return folder


def split_of(manifest: Manifest) -> SplitNumbers:
    """The validation split, with the unigram entropy of its own frequencies."""
    split = manifest.split("validation")
    counts = Counter(int(i) for shard in manifest.open("validation") for _, ids in shard.documents() for i in ids)
    entropy = -sum(n * math.log(n / split.tokens) for n in counts.values()) / split.tokens
    return SplitNumbers(split.documents, split.tokens, split.text_bytes, 0, entropy)


def test_baselines_are_measured_on_the_text_of_the_split(tokens: Path) -> None:
    manifest = Manifest.load(tokens)
    found = {b.method: b for b in baselines.baselines(manifest, "validation", split_of(manifest))}
    text = "\n".join(HELD_OUT).encode()
    assert list(found) == ["unigram", "gzip -9", "zstd -19"]
    assert found["gzip -9"].bits_per_byte == 8 * len(gzip.compress(text, 9, mtime=0)) / len(text)
    assert found["gzip -9"].text_bytes == found["zstd -19"].text_bytes == len(text)
    split = split_of(manifest)
    assert split.unigram_entropy is not None
    assert found["unigram"].bits_per_byte == pytest.approx(split.unigram_entropy * split.tokens / split.text_bytes / math.log(2))


def test_a_large_split_is_compressed_up_to_a_limit(tokens: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(baselines, "MOST_BYTES", 500)
    manifest = Manifest.load(tokens)
    _, found, _ = baselines.baselines(manifest, "validation", split_of(manifest))
    assert found.text_bytes == 500
    assert found.about.startswith("the beginning of the split")


def test_without_a_tokenizer_only_the_unigram_model_is_there(tokens: Path, tmp_path: Path) -> None:
    for path in tokens.iterdir():
        if path.suffix == ".arrow" or path.name == "manifest.json":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    manifest = Manifest.load(tmp_path)
    assert [b.method for b in baselines.baselines(manifest, "validation", split_of(manifest))] == ["unigram"]


def test_the_page_compares_the_network_with_them(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_text(json.dumps({"step": 3, "tokens": 9, "loss": 4.0, "bits_per_byte": 1.75}) + "\n")
    run = training.read_run(str(tmp_path))
    split = SplitNumbers(2, 10, 40, 0, 5.0)
    rows = (Baseline("unigram", "counts", 2.5, 40), Baseline("gzip -9", "one file", 2.25, 40))
    numbers = ReportNumbers(
        "t", (), (), (), None, (), TokenNumbers({"validation": split}, 300, "0" * 64, rows), (run,), (), (),
        (Sample("samples", "one <b>\ntwo"),),
    )  # fmt: skip
    page = render(numbers)
    assert page.index("2.50</td>") < page.index("2.25</td>") < page.index("1.75</td>")
    assert '<p class="text">one &lt;b&gt;\ntwo</p>' in page
    figure = EvaluationFigure("evaluation", "held_out", "bits per byte", "", 1.5, None, None, {})
    assert "1.50</td>" in training_html.training(ReportNumbers(**{**fields(numbers), "evaluations": (figure,)}))


def fields(numbers: ReportNumbers) -> dict[str, object]:
    return {name: getattr(numbers, name) for name in ReportNumbers.__slots__}


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"", "empty"), (b" \n", "empty"), (b"a\0b", "no text"), ("folder", "cannot be read")],
)
def test_a_sample_that_is_no_text_is_refused(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    path = tmp_path / "samples.txt"
    if isinstance(content, str):
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=f"--sample .*samples.txt: {message}"):
        training.read_sample(str(path))


def test_a_long_sample_is_cut(tmp_path: Path) -> None:
    (tmp_path / "s.txt").write_text("é" * 20_000)
    assert len(training.read_sample(str(tmp_path / "s.txt")).text) <= 10_001
