from pathlib import Path

import pytest
from deduplication import dedup, document, kept_urls, rows, write_documents

from pipeline.manifest import Books
from pipeline.views import text_bytes

PROSE = (
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness, it was the epoch of "
    "belief, it was the epoch of incredulity, it was the season of Light, it was the season of Darkness, it was the spring of hope."
)
OTHER = (
    "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money in my purse, and nothing particular to "
    "interest me on shore, I thought I would sail about a little and see the watery part of the world."
)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """One of each: a first text, its copy, the same words, an edit of it, the same address, something else."""
    near = PROSE.replace("spring of hope", "winter of despair")
    return write_documents(
        tmp_path / "documents",
        [
            [document(PROSE, "a", day=5), document(PROSE, "b", day=2), document(PROSE.upper(), "c", day=9)],
            [],
            [document(near, "d", day=7), document(OTHER, "e", day=1), document(OTHER + " Again and again.", "e", day=3)],
        ],
    )


def test_each_rule_names_its_removals(small: Path, tmp_path: Path) -> None:
    manifest = dedup(small, tmp_path / "dedup")
    assert kept_urls(tmp_path / "dedup") == ["b", "e"]
    dropped = {"same_url": 1, "same_text": 1, "same_normalised_text": 1, "near_duplicate": 1}
    assert manifest.books == Books(6, 2, dropped)
    assert text_bytes(manifest) == len(PROSE.encode()) + len(OTHER.encode())
    found = {(row["url"], row["reason"]): (row["kept_url"], row["similarity"]) for row in rows(tmp_path / "dedup", "duplicates")}
    assert found["a", "same_text"] == ("b", 1.0)
    assert found["c", "same_normalised_text"] == ("b", 1.0)
    kept, similarity = found["d", "near_duplicate"]
    assert kept == "b"
    assert 0.7 <= similarity < 1.0
    kept, similarity = found["e", "same_url"]
    assert kept == "e"
    assert 0.8 < similarity < 1.0
    assert [r["item"] for r in rows(tmp_path / "dedup", "drops")] == ["a", "c", "d", "e"]


def test_keep_lists_stand_beside_the_document_shards(small: Path, tmp_path: Path) -> None:
    manifest = dedup(small, tmp_path / "dedup")
    assert [e.name for e in manifest.of_kind("keep")] == [f"keep-0000{i}-of-00003.parquet" for i in range(3)]
    assert [e.rows for e in manifest.of_kind("keep")] == [1, 0, 1]
    assert not (tmp_path / "dedup" / ".work").exists()
