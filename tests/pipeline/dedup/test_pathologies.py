"""Corpora that break other deduplication tools: the right result, with work that grows no faster than the corpus."""

import random
from pathlib import Path

import pytest
from deduplication import dedup, document, kept_urls, rows, write_documents

from pipeline.dedup.settings import DedupSettings

PROSE = " ".join(f"word{i}" for i in range(120))


@pytest.mark.slow
def test_one_of_thousands_of_equal_texts_and_all_empty_ones_are_kept(tmp_path: Path) -> None:
    """An empty text is no duplicate."""
    equal = [document(PROSE, f"u{i}", day=i) for i in range(50_000)]
    empty = [document("", f"e{i}") for i in range(50_000)]
    folder = write_documents(tmp_path / "documents", [equal[25_000:], empty[:20_000], [*equal[:25_000], *empty[20_000:]]])
    manifest = dedup(folder, tmp_path / "dedup", DedupSettings(index=False))
    assert manifest.books.dropped == {"same_text": 49_999}
    assert manifest.counters.get("pairs_compared", 0) == 0
    kept = kept_urls(tmp_path / "dedup")
    assert [url for url in kept if url.startswith("u")] == ["u0"]
    assert len(kept) == 50_001


def test_texts_without_shingles_are_removed_only_by_equal_texts(tmp_path: Path) -> None:
    texts = [
        "Page not found",
        "Page not found",
        "page NOT found!",
        "one two three four",
        "?!",
        "?!",
        "...",
        "🙂 🙃",
        "🙂 🙃",
        "🙂",
    ]
    dedup(
        write_documents(tmp_path / "documents", [[document(t, f"u{i}", day=i) for i, t in enumerate(texts)]]), tmp_path / "dedup"
    )
    assert kept_urls(tmp_path / "dedup") == ["u0", "u2", "u3", "u4", "u6", "u7", "u9"]


def test_shared_boilerplate_makes_no_duplicates_and_linear_work(tmp_path: Path) -> None:
    """Half of each page is equal: many bands agree, but no pair is similar enough."""
    pages = [" ".join([PROSE, *(f"own{n}x{i}" for i in range(110))]) for n in range(1500)]
    manifest = dedup(
        write_documents(tmp_path / "documents", [[document(t, f"u{i}") for i, t in enumerate(pages)]]), tmp_path / "dedup"
    )
    assert manifest.books.dropped == {}
    assert 0 < manifest.counters["pairs_compared"] < 1500 * 150


def test_one_of_nearly_equal_pages_is_kept(tmp_path: Path) -> None:
    pages = [f"{PROSE} page number {n} of this site" for n in range(1500)]
    manifest = dedup(
        write_documents(tmp_path / "documents", [[document(t, f"u{i}", day=i) for i, t in enumerate(pages)]]), tmp_path / "dedup"
    )
    assert kept_urls(tmp_path / "dedup") == ["u0"]
    assert manifest.counters["pairs_compared"] < 1500 * 14 * 20


def test_every_removed_document_of_a_chain_is_similar_to_a_kept_one(tmp_path: Path) -> None:
    """Ten thousand documents, each similar to the next only."""
    words = [f"w{i}" for i in range(80_000)]
    chain = [document(" ".join(words[8 * i : 8 * i + 60]), f"u{i}", day=i % 3000) for i in range(10_000 - 60)]
    random.Random(2).shuffle(chain)
    dedup(write_documents(tmp_path / "documents", [chain]), tmp_path / "dedup", DedupSettings(bands=40, rows=5, index=False))
    removed = rows(tmp_path / "dedup", "duplicates")
    kept = set(kept_urls(tmp_path / "dedup"))
    assert 0.3 * len(chain) < len(kept) < 0.7 * len(chain)
    for row in removed:
        assert row["kept_url"] in kept
        assert abs(int(row["url"][1:]) - int(row["kept_url"][1:])) == 1


@pytest.mark.parametrize(
    "sentence",
    [
        "吾輩は猫である名前はまだ無いどこで生れたかとんと見当がつかぬ",
        "كل إنسان حر في الاختيار وهو مسؤول عما يفعل كل يوم",
        "שלום לכל העולם זה טקסט מימין לשמאל ועוד מילים",
    ],
)
def test_other_scripts_are_compared(tmp_path: Path, sentence: str) -> None:
    other = " ".join(reversed(sentence.split())) if " " in sentence else sentence[::-1]
    texts = [sentence * 2 + f" {sentence}。", sentence * 2 + f" {sentence}。 2017", other * 3]
    dedup(
        write_documents(tmp_path / "documents", [[document(t, f"u{i}", day=i) for i, t in enumerate(texts)]]), tmp_path / "dedup"
    )
    assert kept_urls(tmp_path / "dedup") == ["u0", "u2"]


@pytest.mark.slow
def test_a_huge_document_is_compared(tmp_path: Path) -> None:
    draw = random.Random(1)
    huge = " ".join(str(draw.randrange(10**9)) for _ in range(5_000_000))
    folder = write_documents(
        tmp_path / "documents", [[document(huge, "a", day=1), document(huge[:-2000], "b", day=2), document(PROSE, "c")]]
    )
    assert len(huge) > 45_000_000
    dedup(folder, tmp_path / "dedup", DedupSettings(index=False))
    assert kept_urls(tmp_path / "dedup") == ["a", "c"]
