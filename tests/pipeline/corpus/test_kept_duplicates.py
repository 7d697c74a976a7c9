"""A corpus without de-duplication: its card and its report say so, a removal takes every copy, and a join asks first."""

import json
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from deduplication import dedup, document, write_documents
from report_runs import write_report

from pipeline.corpus import export, join, remove, verify
from pipeline.dedup.settings import DedupSettings
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.records import Document
from pipeline.report import card
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Books, StageManifest
from pipeline.tokens.stage import STAGE as TOKENS
from pipeline.tokens.stage import TokensSettings
from pipeline.vocabulary.settings import VocabularySettings
from pipeline.vocabulary.stage import STAGE as VOCABULARY
from tokenizer.errors import InputError
from tokenizer.shards import Manifest as Dataset

WORDS = [f"word{number}" for number in range(300)]


def texts(seed: int) -> list[str]:
    """Ten texts; the first is there three times, and the second twice and once nearly so."""
    draw = random.Random(seed)
    made = [" ".join(draw.choices(WORDS, k=50)) for _ in range(10)]
    return [*made, made[0], made[0], made[1], f"{made[1]} edited"]


def build(corpus: Path, seed: int = 0, vocabulary: Path | None = None) -> Path:
    """A corpus of these texts, with all duplicates, in the folders of its stages."""
    made = [document(text, f"https://site{seed}.example/{i}", day=i) for i, text in enumerate(texts(seed))]
    write_documents(corpus / "documents", [made[:6], made[6:]])
    dedup(corpus / "documents", corpus / "dedup", DedupSettings(remove_duplicates="none"))
    inputs = {"dedup": str(corpus / "dedup")}
    if vocabulary is None:
        VOCABULARY.run(Call(inputs, str(corpus / "vocabulary"), VocabularySettings(vocab_size=300), Engine()))
    inputs["vocabulary"] = str(vocabulary or corpus / "vocabulary")
    TOKENS.run(Call(inputs, str(corpus / "tokens"), TokensSettings(validation_share=0.2), Engine()))
    return corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("kept") / "corpus")


@pytest.fixture(scope="module")
def other(corpus: Path) -> Path:
    """A second month, with texts of its own and the same vocabulary."""
    return build(corpus.parent / "other", seed=1, vocabulary=corpus / "vocabulary")


def in_tokens(folder: Path) -> Counter[bytes]:
    dataset = Dataset.load(folder)
    dataset.verify()
    return Counter(bytes(key) for split in dataset.splits for shard in dataset.open(split) for key, _ in shard.documents())


def in_dedup(corpus: Path) -> Counter[bytes]:
    batches = (batch for shard in document_shards(str(corpus / "dedup")) for batch in shard.batches(["document_id"]))
    return Counter(key for batch in batches for key in batch.column("document_id").to_pylist())


def ids(seed: int) -> Counter[bytes]:
    return Counter(document(text, "").document_id for text in texts(seed))


def test_the_whole_corpus_holds_every_copy(corpus: Path) -> None:
    verify.TOOL.run(["--corpus", str(corpus)])
    assert in_dedup(corpus) == in_tokens(corpus / "tokens") == ids(0)
    assert sorted(ids(0).values())[-2:] == [2, 3]


@pytest.mark.parametrize(
    ("flag", "value", "gone"),
    [
        ("--urls", "https://site0.example/0", (0, 10, 11)),
        ("--urls", "https://site0.example/11", (0, 10, 11)),
        ("--document-ids", document(texts(0)[1], "").document_id.hex(), (1, 12)),
        ("--urls", "https://site0.example/13", (13,)),
    ],
    ids=["the first of three", "the last of three", "an id", "a near duplicate"],
)
def test_a_removal_takes_every_copy_and_the_books_balance(
    corpus: Path, tmp_path: Path, flag: str, value: str, gone: tuple[int, ...]
) -> None:
    remove.TOOL.run(["--corpus", str(corpus), "--output", str(tmp_path / "next"), flag, value])
    left = Counter(document(text, "").document_id for i, text in enumerate(texts(0)) if i not in gone)
    assert in_dedup(tmp_path / "next") == in_tokens(tmp_path / "next" / "tokens") == left
    verify.TOOL.run(["--corpus", str(tmp_path / "next")])
    count = len(texts(0)) - len(gone)
    size = sum(len(text.encode()) for i, text in enumerate(texts(0)) if i not in gone)
    for stage in ("documents", "dedup", "tokens"):
        manifest = StageManifest.load(str(tmp_path / "next" / stage))
        assert manifest.books.items_out == count
        assert sum(value for name, value in manifest.counters.items() if name.startswith("text_bytes")) == size
    clusters = StageManifest.load(str(tmp_path / "next" / "dedup")).of_kind("clusters")
    assert sum(entry.rows for entry in clusters) == sum(i not in gone for i in (10, 11, 12, 13))


def test_a_join_of_repeated_documents_is_asked_for(corpus: Path, other: Path, tmp_path: Path) -> None:
    months = [str(corpus / "tokens"), str(other / "tokens")]
    for more in ([], ["--drop-repeated"]):
        with pytest.raises(InputError, match=r"corpus/tokens: holds 2 documents twice or more; .*--keep-repeated"):
            join.TOOL.run(["--tokens", *months, "--output", str(tmp_path / "joined"), *more])
    assert not (tmp_path / "joined").exists()
    join.TOOL.run(["--tokens", *months, "--output", str(tmp_path / "joined"), "--keep-repeated"])
    assert in_tokens(tmp_path / "joined") == ids(0) + ids(1)
    manifest = StageManifest.load(str(tmp_path / "joined"))
    assert manifest.books == Books(28, 28)
    assert manifest.settings == {"keep_repeated": True}


def test_keep_and_drop_exclude_each_other(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises((InputError, SystemExit)):
        join.TOOL.run(["--tokens", str(corpus / "tokens"), "--output", str(tmp_path / "j"), "--keep-repeated", "--drop-repeated"])
    assert not (tmp_path / "j").exists()


def test_a_joined_set_loses_every_copy_of_a_listed_document(
    corpus: Path, other: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    months = [str(corpus / "tokens"), str(other / "tokens")]
    (tmp_path / "list.txt").write_text(f"{document(texts(0)[0], '').document_id.hex()}\n")
    words = ["--tokens", *months, "--output", str(tmp_path / "listed"), "--keep-repeated"]
    join.TOOL.run([*words, "--takedown", str(tmp_path / "list.txt")])
    assert StageManifest.load(str(tmp_path / "listed")).books == Books(28, 25, {"left_out": 3})
    join.TOOL.run(["--tokens", *months, "--output", str(tmp_path / "whole"), "--keep-repeated"])
    with caplog.at_level(logging.INFO):
        url = "https://site0.example/10"
        remove.TOOL.run(["--corpus", str(tmp_path / "whole"), "--also-read", str(corpus.parent), "--urls", url, "--replace"])
    assert "removed 3 documents" in caplog.text
    assert (
        in_tokens(tmp_path / "whole")
        == in_tokens(tmp_path / "listed")
        == ids(0) + ids(1) - Counter({document(texts(0)[0], "").document_id: 3})
    )


def card_text(corpus: Path) -> str:
    """The section of the card on duplicates, and its first paragraph."""
    card.TOOL.run(["--corpus", str(corpus), "--contact", "a@example.org"])
    return (corpus / card.README).read_text()


def test_the_card_says_that_nothing_was_removed(corpus: Path) -> None:
    text = card_text(corpus)
    (corpus / card.README).unlink()
    (corpus / card.CHECKSUMS).unlink()
    assert "14 kept documents" in text
    assert "unique" not in text
    assert "No document was removed as a duplicate. 4 kept documents repeat another one" in text
    assert '| dedup | `remove_duplicates` | `"none"` |' in text


@pytest.mark.parametrize(
    ("settings", "sentences"),
    [
        ({}, ["nearly the same words, one was kept. Removed: 3 same text, 1 near duplicate.\n"]),
        (
            {"remove_duplicates": "exact"},
            ["one was kept. Near duplicates were kept. Removed: 3 same text. 1 kept document repeats another one"],
        ),
        ({"paragraphs": 30}, ["Repeated passages were cut from the texts"]),
    ],
)
def test_the_card_says_what_was_removed(tmp_path: Path, settings: dict[str, Any], sentences: list[str]) -> None:
    made = [document(text, f"https://site.example/{i}", day=i) for i, text in enumerate(texts(0))]
    write_documents(tmp_path / "documents", [made])
    dedup(tmp_path / "documents", tmp_path / "dedup", DedupSettings(**settings))
    text = card_text(tmp_path)
    assert all(sentence in text for sentence in sentences), text


def test_the_report_shows_the_clusters_that_were_kept(corpus: Path, tmp_path: Path) -> None:
    write_report(corpus, tmp_path / "report")
    numbers = json.loads((tmp_path / "report" / "report.json").read_text())
    shown = {each["name"]: dict(zip(each["labels"], each["counts"], strict=True)) for each in numbers["histograms"]}
    assert shown["kept_clusters"] == {"3": 2}
    assert [step["name"] for step in numbers["funnel"]] == ["documents", "kept documents"]
    assert "Clusters of duplicates that were kept" in (tmp_path / "report" / "report.html").read_text()


def test_an_export_calls_no_document_unique(corpus: Path, tmp_path: Path) -> None:
    export.TOOL.run(["--corpus", str(corpus), "--format", "hf", "--output", str(tmp_path / "hf")])
    assert "14 documents. Columns" in (tmp_path / "hf" / "README.md").read_text()


def test_the_texts_are_what_the_tests_say() -> None:
    made: list[Document] = [document(text, str(i)) for i, text in enumerate(texts(0))]
    assert len({each.document_id for each in made}) == 11
