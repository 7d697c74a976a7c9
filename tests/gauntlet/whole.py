"""A small corpus and a model trained on it, for the gauntlet: every kind of file that the project writes."""

from pathlib import Path

from small_web import Month, every_stage, write_month

from pipeline.dedup import stage as dedup
from pipeline.documents import stage as documents
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call, Stage
from pipeline.overlap import stage as overlap
from pipeline.pages import stage as pages
from pipeline.tokens import stage as tokens
from pipeline.vocabulary import stage as vocabulary
from trainer import cli

PAGES = 20
TRAIN = (
    "--vocabulary=300", "--layers=1", "--heads=1", "--width=16", "--context=16", "--batch-tokens=64", "--micro-batch=4",
    "--steps=12", "--warmup-steps=2", "--log-every=1", "--validate-every=6", "--validation-tokens=256", "--checkpoint-every=3",
    "--device=cpu", "--precision=fp32",
)  # fmt: skip


def write_all(folder: Path) -> Month:
    """Write a month's dump and WARC to `web`, every stage's folder to `corpus`, and a training run to `run`."""
    month = write_month(folder / "web", PAGES)
    every_stage(str(folder / "corpus"), month, Engine())
    assert cli.main(train_words(folder, "run")) == 0
    return month


def train_words(folder: Path, name: str) -> list[str]:
    """The command line of a training run."""
    return ["train", "tiny", "--data", str(folder / "corpus" / "tokens"), "--out", str(folder / name), *TRAIN]


def reader_of(stage: str, corpus: Path, month: Month, output: Path) -> tuple[Stage, Call]:
    """The stage that reads a stage's folder, and its call."""
    readers = {
        "links": (pages.STAGE, ("links",), {"fetch_from": (month.warc,)}),
        "pages": (documents.STAGE, ("pages",), {}),
        "documents": (dedup.STAGE, ("documents",), {}),
        "dedup": (vocabulary.STAGE, ("dedup",), {"vocab_size": 300}),
        "vocabulary": (tokens.STAGE, ("dedup", "vocabulary"), {"validation_share": 0.1}),
        "overlap": (tokens.STAGE, ("overlap", "vocabulary"), {}),
    }
    reader, read, settings = readers[stage]
    assert reader is not overlap.STAGE
    inputs = {name: str(corpus / name) for name in read}
    return reader, Call(inputs, str(output), reader.settings(**settings), Engine())  # type: ignore[arg-type]
