from pathlib import Path

import pytest
from deduplication import PROSE, dedup, document, rows, write_documents

from pipeline.cli.main import run
from pipeline.dedup.explain import difference


def test_explain_shows_the_kept_document_the_cluster_and_the_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = PROSE.replace("spring of hope", "winter of despair")
    documents = [
        document(PROSE, "a", day=5),
        document(PROSE, "b", day=2),
        document(PROSE.upper(), "c", day=9),
        document(near, "d", day=7),
    ]
    dedup(write_documents(tmp_path / "documents", [documents]), tmp_path / "dedup")
    (edit,) = [row for row in rows(tmp_path / "dedup", "duplicates") if row["reason"] == "near_duplicate"]
    assert run(["dedup", "--output", str(tmp_path / "dedup"), "--explain", edit["document_id"].hex()[:8]]) == 0
    text = capsys.readouterr().out
    assert edit["kept_id"].hex() in text
    assert "near_duplicate" in text
    assert "3 removed" in text
    assert "[-hope.-]" in text
    assert "{+despair.+}" in text
    assert "\x1b[31m[-two-]\x1b[0m" in list(difference("one two", "one three", colour=True))
    assert run(["dedup", "--output", str(tmp_path / "dedup"), "--explain", "0000ffff"]) == 2
