import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from damage import flip_a_bit
from deduplication import OTHER, PROSE, dedup, document, kept_urls, rows, write_documents

from pipeline.dedup import bands, census, decision, ranking, similarity
from pipeline.dedup import stage as dedup_stage
from pipeline.dedup.settings import DedupSettings
from pipeline.engine import shuffle
from pipeline.engine.runner import Engine
from pipeline.storage.document_shards import text_bytes
from pipeline.storage.manifest import Books
from tokenizer.errors import InputError


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A text, its copy, its words in another form, an edit of it, a document of the same address, another text."""
    near = PROSE.replace("spring of hope", "winter of despair")
    return write_documents(
        tmp_path / "documents",
        [
            [document(PROSE, "a", day=5), document(PROSE, "b", day=2), document(PROSE.upper(), "c", day=9)],
            [],
            [document(near, "d", day=7), document(OTHER, "e", day=1), document(OTHER + " Again and again.", "e", day=3)],
        ],
    )


def test_each_removal_has_the_reason_of_its_rule(small: Path, tmp_path: Path) -> None:
    manifest = dedup(small, tmp_path / "dedup")
    assert kept_urls(tmp_path / "dedup") == ["b", "e"]
    dropped = {"same_url": 1, "same_text": 1, "same_normalised_text": 1, "near_duplicate": 1}
    assert manifest.books == Books(6, 2, dropped)
    assert text_bytes(manifest) == len(PROSE.encode()) + len(OTHER.encode())
    duplicates = {
        (row["url"], row["reason"]): (row["kept_url"], row["similarity"]) for row in rows(tmp_path / "dedup", "duplicates")
    }
    assert duplicates["a", "same_text"] == ("b", 1.0)
    assert duplicates["c", "same_normalised_text"] == ("b", 1.0)
    kept, similarity = duplicates["d", "near_duplicate"]
    assert kept == "b"
    assert 0.7 <= similarity < 1.0
    kept, similarity = duplicates["e", "same_url"]
    assert kept == "e"
    assert 0.8 < similarity < 1.0
    assert [r["item"] for r in rows(tmp_path / "dedup", "drops")] == ["a", "c", "d", "e"]


def test_each_document_shard_has_a_keep_list(small: Path, tmp_path: Path) -> None:
    manifest = dedup(small, tmp_path / "dedup")
    assert [e.name for e in manifest.of_kind("keep")] == [f"keep-0000{i}-of-00003.parquet" for i in range(3)]
    assert [e.rows for e in manifest.of_kind("keep")] == [1, 0, 1]
    assert not (tmp_path / "dedup" / ".work").exists()


def test_transitive_keeps_one_document_per_chain(tmp_path: Path) -> None:
    words = [f"word{i}" for i in range(60)]
    chain = [document(" ".join(words[i : i + 40]), f"u{i // 4}", day=i) for i in range(0, 20, 4)]
    folder = write_documents(tmp_path / "documents", [chain])
    dedup(folder, tmp_path / "direct", DedupSettings(bands=60, rows=2))
    assert kept_urls(tmp_path / "direct") == ["u0", "u2", "u4"]
    dedup(folder, tmp_path / "chained", DedupSettings(bands=60, rows=2, transitive=True))
    assert kept_urls(tmp_path / "chained") == ["u0"]
    duplicates = {row["url"]: row for row in rows(tmp_path / "chained", "duplicates")}
    assert {row["kept_url"] for row in duplicates.values()} == {"u0"}
    assert duplicates["u1"]["similarity"] == pytest.approx(32 / 40)
    assert duplicates["u4"]["similarity"] == pytest.approx(20 / 52)


@pytest.mark.parametrize("empty", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)])
@pytest.mark.parametrize("earlier_empty", [None, 0, 1])
def test_shards_without_documents_change_nothing(tmp_path: Path, empty: tuple[int, ...], earlier_empty: int | None) -> None:
    full = [document(PROSE, "a"), document(PROSE, "b", day=1), document(OTHER, "c")]
    shards = [
        [] if i in empty else full if i == min({0, 1, 2} - set(empty)) else [document(OTHER, f"d{i}", day=9)] for i in range(3)
    ]
    settings, kept = DedupSettings(), ["a", "c"]
    if earlier_empty is not None:
        months = [[document(PROSE, "z")]]
        months.insert(earlier_empty, [])
        dedup(write_documents(tmp_path / "earlier", months), tmp_path / "january")
        settings, kept = DedupSettings(against=(str(tmp_path / "january"),)), ["c"]
    manifest = dedup(write_documents(tmp_path / "documents", shards), tmp_path / "dedup", settings)
    assert kept_urls(tmp_path / "dedup") == kept
    assert [entry.rows > 0 for entry in manifest.of_kind("keep")] == [i == min({0, 1, 2} - set(empty)) for i in range(3)]


def test_a_later_month_is_compared_without_the_earlier_texts(small: Path, tmp_path: Path) -> None:
    dedup(small, tmp_path / "january")
    shutil.rmtree(small)
    new = "Nothing of this was ever seen before in any month of the year that went before this one, so it stays."
    later = write_documents(
        tmp_path / "later",
        [[document(PROSE + " Or so they say.", "f", day=-5), document(new, "g"), document("Moved.", "b"), document(OTHER, "h")]],
    )
    settings = DedupSettings(against=(str(tmp_path / "january"),))
    manifest = dedup(later, tmp_path / "february", settings)
    assert kept_urls(tmp_path / "february") == ["g"]
    assert manifest.books.dropped == {"same_url": 1, "same_text": 1, "near_duplicate": 1}
    duplicates = {row["url"]: (row["kept_url"], row["reason"]) for row in rows(tmp_path / "february", "duplicates")}
    assert duplicates == {"f": ("b", "near_duplicate"), "b": ("b", "same_url"), "h": ("e", "same_text")}
    with pytest.raises(InputError, match=r"shingle words:5, here words:4"):
        dedup(later, tmp_path / "other", replace(settings, shingle="words:4"))


def test_an_earlier_folder_without_an_index_is_refused(small: Path, tmp_path: Path) -> None:
    dedup(small, tmp_path / "january", DedupSettings(index=False))
    assert not (tmp_path / "january" / "index").exists()
    with pytest.raises(InputError, match=r"no index there.*--index"):
        dedup(small, tmp_path / "february", DedupSettings(against=(str(tmp_path / "january"),)))


@pytest.mark.parametrize("kind", ["rows", "shingles", "signatures", "keep"])
def test_a_damaged_earlier_index_is_refused(small: Path, tmp_path: Path, kind: str) -> None:
    entry = dedup(small, tmp_path / "january").of_kind(kind)[0]
    flip_a_bit(tmp_path / "january" / entry.name)
    with pytest.raises(InputError, match=rf"{entry.name}: damaged"):
        dedup(small, tmp_path / "february", DedupSettings(against=(str(tmp_path / "january"),)))
    assert not (tmp_path / "february" / "manifest.json").exists()


def test_months_one_by_one_keep_what_they_keep_together(tmp_path: Path) -> None:
    texts = [PROSE, PROSE + " And more.", OTHER, OTHER.upper(), "short", "short"]
    documents = [document(text, f"u{i}", day=i) for i, text in enumerate(texts)]
    first, second = documents[:3], documents[3:]
    dedup(write_documents(tmp_path / "all", [first, second]), tmp_path / "whole")
    dedup(write_documents(tmp_path / "one", [first]), tmp_path / "january")
    dedup(write_documents(tmp_path / "two", [second]), tmp_path / "february", DedupSettings(against=(str(tmp_path / "january"),)))
    assert (
        kept_urls(tmp_path / "january") + kept_urls(tmp_path / "february") == kept_urls(tmp_path / "whole") == ["u0", "u2", "u4"]
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


@pytest.mark.slow
def test_two_workers_write_equal_bytes(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dedup(small, tmp_path / "one")
    monkeypatch.setattr(dedup_stage, "DOCUMENTS_WORTH_A_WORKER", 1)
    monkeypatch.setattr(dedup_stage, "DOCUMENTS_WORTH_A_PIPELINE", 1)
    monkeypatch.setattr(dedup_stage, "PAIRS_WORTH_A_PIPELINE", 0)
    dedup(small, tmp_path / "two", engine=Engine(workers=2))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_the_result_does_not_depend_on_the_order_of_shards_and_rows(tmp_path: Path) -> None:
    draw = random.Random(3)
    documents = [
        document(" ".join([*PROSE.split()[: draw.randrange(30, 60)], *OTHER.split()[: draw.randrange(12)]]), f"u{i}", karma=i % 3)
        for i in range(60)
    ]
    results = []
    for name in ("a", "b", "c"):
        folder = write_documents(tmp_path / name, [documents[:10], documents[10:45], documents[45:]])
        dedup(folder, tmp_path / f"{name}-dedup", DedupSettings(bands=40, rows=3))
        duplicates = sorted(
            (row["url"], row["kept_url"], row["cluster"], row["similarity"])
            for row in rows(tmp_path / f"{name}-dedup", "duplicates")
        )
        results.append((sorted(kept_urls(tmp_path / f"{name}-dedup")), duplicates))
        draw.shuffle(documents)
    assert 1 < len(results[0][0]) < 60
    assert results[0] == results[1] == results[2]


def test_a_killed_run_resumes_to_equal_bytes(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dedup(small, tmp_path / "whole")

    def fail(*_: object, **__: object) -> None:
        raise OSError("killed here")

    for phase in ("take_census", "shingle_places", "removed_tables"):
        with monkeypatch.context() as patched:
            patched.setattr({"take_census": census, "shingle_places": ranking, "removed_tables": decision}[phase], phase, fail)
            with pytest.raises(OSError, match="killed here"):
                dedup(small, tmp_path / "broken")
        assert not (tmp_path / "broken" / "manifest.json").exists()
    dedup(small, tmp_path / "broken")
    assert contents(tmp_path / "broken") == contents(tmp_path / "whole")


def test_many_small_shuffles_write_equal_bytes(small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dedup(small, tmp_path / "whole")
    monkeypatch.setattr(bands, "ENTRIES_PER_BUCKET", 8)
    monkeypatch.setattr(shuffle, "MAX_RUNS_PER_PART", 1)
    monkeypatch.setattr(shuffle, "RUNS_PER_MERGE", 2)
    monkeypatch.setattr(ranking, "SHINGLES_PER_PART", 40)
    monkeypatch.setattr(similarity, "SHINGLES_AT_ONCE", 100)
    dedup(small, tmp_path / "pieces")
    assert contents(tmp_path / "pieces") == contents(tmp_path / "whole")


@pytest.mark.parametrize("transitive", [False, True])
def test_the_result_does_not_depend_on_how_the_ranking_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transitive: bool
) -> None:
    """Clusters in one part, several per part, and cut; equal texts and addresses join clusters that are otherwise separate."""
    draw = random.Random(11)
    base = [" ".join(draw.choices(PROSE.split() + OTHER.split(), k=40)) for _ in range(12)]
    texts = [f"{text} {draw.choice(['', 'more', text[:60]])}" for text in base for _ in range(5)]
    months = [
        [document(text, f"u{draw.randrange(50)}", day=draw.randrange(9), karma=i % 3) for i, text in enumerate(texts[month::2])]
        for month in range(2)
    ]
    dedup(write_documents(tmp_path / "one", [months[0]]), tmp_path / "january")
    later = write_documents(tmp_path / "two", [months[1][:20], months[1][20:]])
    results = []
    for most in (1, 100, 10**6):
        monkeypatch.setattr(ranking, "SHINGLES_PER_PART", most)
        output = tmp_path / f"february-{most}"
        dedup(later, output, DedupSettings(against=(str(tmp_path / "january"),), transitive=transitive))
        results.append(contents(output))
    assert results[0] == results[1] == results[2]
    reasons = {row["reason"] for row in rows(output, "duplicates")}
    assert reasons >= {"same_text", "near_duplicate"} | (set() if transitive else {"same_url"})


def test_shards_published_together_have_the_content_of_single_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shard has its keep list; duplicates and drops of several shards share a file."""
    shards = [[document(f"{PROSE} {n % 5}", f"u{n}", day=1 + n % 28), document(OTHER + str(n), f"v{n}")] for n in range(9)]
    documents = write_documents(tmp_path / "documents", [*shards, [], [document("alone here", "w")]])
    alone = dedup(documents, tmp_path / "alone")
    monkeypatch.setattr(dedup_stage, "SHARDS_PUBLISHED_AT_ONCE", 2)
    together = dedup(documents, tmp_path / "together")
    assert len(together.of_kind("duplicates")) == 6
    assert len(alone.of_kind("duplicates")) == len(together.of_kind("keep")) == 11
    assert together.of_kind("keep") == alone.of_kind("keep")
    assert (together.books, together.counters) == (alone.books, alone.counters)
    assert alone.books.dropped
    for kind in ("duplicates", "drops"):
        assert rows(tmp_path / "together", kind) == rows(tmp_path / "alone", kind)
