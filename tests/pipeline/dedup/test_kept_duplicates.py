"""--remove-duplicates: which duplicates are removed, and what the stage notes of those that it keeps."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from deduplication import OTHER, PROSE, dedup, document, kept_urls, rows, write_documents

from pipeline.cli.main import run
from pipeline.dedup import stage as dedup_stage
from pipeline.dedup.settings import DedupSettings
from pipeline.engine.runner import Engine
from pipeline.records import Document
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Books, StageManifest

NEAR_PROSE = PROSE.replace("spring of hope", "winter of despair")
SHARDS = [
    [document(PROSE, "a", day=5), document(PROSE, "b", day=2), document(PROSE.upper(), "c", day=9)],
    [],
    [
        document(NEAR_PROSE, "d", day=7),
        document(OTHER, "e", day=1),
        document(f"{OTHER} Again.", "e", day=3),
        document("", "f"),
        document("", "g"),
    ],
]


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """A text, its copy, its words in another form, an edit of it, a document of the same address, two without words."""
    return write_documents(tmp_path / "documents", SHARDS)


def every_row(folder: Path) -> list[dict[str, Any]]:
    """All columns of all documents that a later stage reads."""
    return [
        row
        for shard in document_shards(str(folder))
        for batch in shard.batches(Document.SCHEMA.names)
        for row in batch.to_pylist()
    ]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


def random_documents(seed: int) -> list[list[Document]]:
    """Random texts over few words, with copies, near copies and repeated addresses."""
    draw = random.Random(seed)
    texts: list[str] = []
    for _ in range(80):
        kind = draw.randrange(3) if texts else 2
        if kind == 0:
            texts.append(draw.choice(texts))
        elif kind == 1:
            words = draw.choice(texts).split()
            words[draw.randrange(len(words))] = "changed"
            texts.append(" ".join(words))
        else:
            texts.append(" ".join(draw.choices(PROSE.split() + OTHER.split(), k=draw.randrange(20, 90))))
    made = [document(text, f"u{draw.randrange(75)}", day=draw.choice([None, 1, 2, 3])) for text in texts]
    return [made[:30], [], made[30:]]


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_with_none_every_document_goes_on_unchanged(tmp_path: Path, seed: int, index: bool) -> None:
    folder = write_documents(tmp_path / "documents", random_documents(seed))
    manifest = dedup(folder, tmp_path / "dedup", DedupSettings(remove_duplicates="none", index=index))
    assert every_row(tmp_path / "dedup") == every_row(folder)
    assert manifest.books == Books(80, 80)
    assert manifest.counters["text_bytes"] == StageManifest.load(str(folder)).counters["text_bytes"]
    assert manifest.settings["remove_duplicates"] == "none"
    assert rows(tmp_path / "dedup", "duplicates") == rows(tmp_path / "dedup", "drops") == []


def test_with_exact_near_duplicates_stay(documents: Path, tmp_path: Path) -> None:
    manifest = dedup(documents, tmp_path / "dedup", DedupSettings(remove_duplicates="exact"))
    assert kept_urls(tmp_path / "dedup") == ["b", "d", "e", "f", "g"]
    assert manifest.books == Books(8, 5, {"same_normalised_text": 1, "same_text": 1, "same_url": 1})
    assert [(row["url"], row["cluster"]) for row in rows(tmp_path / "dedup", "clusters")] == [("d", SHARDS[0][1].document_id)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("remove", ["exact", "none"])
def test_kept_and_removed_duplicates_are_the_clusters_of_near(tmp_path: Path, seed: int, remove: str) -> None:
    """Whatever is removed, two documents are in one cluster if a chain of similar ones leads from one to the other."""
    folder = write_documents(tmp_path / "documents", random_documents(seed))
    whole = dedup(folder, tmp_path / "whole", DedupSettings(transitive=True))
    dedup(folder, tmp_path / "some", DedupSettings(remove_duplicates=remove))
    expected = Counter((row["url"], row["document_id"], row["cluster"]) for row in rows(tmp_path / "whole", "duplicates"))
    listed = [*rows(tmp_path / "some", "clusters"), *rows(tmp_path / "some", "duplicates")]
    assert Counter((row["url"], row["document_id"], row["cluster"]) for row in listed) == expected
    assert 20 < sum(expected.values()) == whole.books.items_in - whole.books.items_out


def test_by_default_no_kept_duplicates_are_noted(documents: Path, tmp_path: Path) -> None:
    manifest = dedup(documents, tmp_path / "dedup")
    assert manifest.settings["remove_duplicates"] == "near"
    assert not manifest.of_kind("clusters")
    assert kept_urls(tmp_path / "dedup") == ["b", "e", "f", "g"]


@pytest.mark.slow
@pytest.mark.parametrize("remove", ["exact", "none"])
def test_two_workers_write_equal_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, remove: str) -> None:
    folder = write_documents(tmp_path / "documents", random_documents(7))
    settings = DedupSettings(remove_duplicates=remove)
    dedup(folder, tmp_path / "one", settings)
    for name, value in (("DOCUMENTS_WORTH_A_WORKER", 1), ("DOCUMENTS_WORTH_A_PIPELINE", 1), ("PAIRS_WORTH_A_PIPELINE", 0)):
        monkeypatch.setattr(dedup_stage, name, value)
    dedup(folder, tmp_path / "two", settings, Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_earlier_months_count_for_exact(documents: Path, tmp_path: Path) -> None:
    """A folder that kept all its duplicates can be compared with; equal documents go, near ones stay."""
    dedup(documents, tmp_path / "january", DedupSettings(remove_duplicates="none"))
    later = write_documents(tmp_path / "later", [[document(PROSE, "x"), document(f"{PROSE} More.", "y"), document(OTHER, "z")]])
    against = (str(tmp_path / "january"),)
    dedup(later, tmp_path / "near", DedupSettings(against=against))
    assert kept_urls(tmp_path / "near") == []
    dedup(later, tmp_path / "exact", DedupSettings(remove_duplicates="exact", against=against))
    assert kept_urls(tmp_path / "exact") == ["y"]
    assert [(row["url"], row["cluster"]) for row in rows(tmp_path / "exact", "clusters")] == [("y", SHARDS[0][1].document_id)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"remove_duplicates": "some"}, "one of near, exact, none"),
        ({"remove_duplicates": "none", "against": ("january",)}, "--against without a folder"),
        ({"remove_duplicates": "none", "transitive": True}, "--no-transitive"),
        ({"remove_duplicates": "exact", "transitive": True}, "--no-transitive"),
    ],
)
def test_rules_that_contradict_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DedupSettings(**settings)


def test_paragraphs_are_cut_from_documents_that_are_kept(tmp_path: Path) -> None:
    """Cutting spans has flags of its own: with none, a copy loses all of its text to the first of its kind."""
    texts = [f"{PROSE}\n{OTHER}", f"{PROSE}\n{OTHER}", f"{OTHER}\nA line that no other document has, of some length."]
    folder = write_documents(tmp_path / "documents", [[document(text, f"u{i}", day=i) for i, text in enumerate(texts)]])
    manifest = dedup(folder, tmp_path / "dedup", DedupSettings(remove_duplicates="none", paragraphs=8))
    assert [row["text"].strip() for row in every_row(tmp_path / "dedup")] == [texts[0], texts[2].split("\n")[1]]
    assert manifest.books == Books(3, 2, {"nothing_left": 1})
    assert "u1" not in {row["url"] for row in rows(tmp_path / "dedup", "clusters")}, "it was not kept"


def test_explain_tells_of_kept_duplicates(documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = str(tmp_path / "dedup")
    assert run(["dedup", "--input", str(documents), "--output", output, "--remove-duplicates", "none", "--workers", "1"]) == 0
    capsys.readouterr()
    for name in ("d", SHARDS[2][0].document_id.hex(), SHARDS[0][1].document_id.hex()):
        assert run(["dedup", "--output", output, "--explain", name]) == 0
        text = capsys.readouterr().out
        assert "--remove-duplicates none keeps it" in text
        assert "and 3 more that were kept" in text
        assert all(SHARDS[0][i].document_id.hex() in text for i in (0, 1, 2))
    assert run(["dedup", "--output", output, "--explain", "f"]) == 2


def test_a_finished_folder_of_another_rule_is_not_overwritten(
    documents: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["dedup", "--input", str(documents), "--output", str(tmp_path / "dedup"), "--workers", "1"]
    assert run(words) == 0
    before = contents(tmp_path / "dedup")
    assert run([*words, "--remove-duplicates", "none"]) == 2
    assert "remove_duplicates was 'near', now 'none'" in capsys.readouterr().err
    assert contents(tmp_path / "dedup") == before
    assert run([*words, "--remove-duplicates", "none", "--replace"]) == 0
    assert len(kept_urls(tmp_path / "dedup")) == 8


def test_the_index_is_the_same_whatever_is_removed(documents: Path, tmp_path: Path) -> None:
    for remove in ("near", "exact", "none"):
        dedup(documents, tmp_path / remove, DedupSettings(remove_duplicates=remove))
    indexes = [
        {name: data for name, data in contents(tmp_path / remove).items() if name.startswith("index/")}
        for remove in ("near", "exact", "none")
    ]
    assert indexes[0] == indexes[1] == indexes[2]
    assert len(indexes[0]) == 9


def test_keep_lists_of_none_name_every_row(documents: Path, tmp_path: Path) -> None:
    manifest = dedup(documents, tmp_path / "dedup", DedupSettings(remove_duplicates="none"))
    for entry, shard in zip(manifest.of_kind("keep"), SHARDS, strict=True):
        kept = files.read_table(str(tmp_path / "dedup" / entry.name)).column("row").to_numpy()
        assert np.array_equal(kept, np.arange(len(shard)))
