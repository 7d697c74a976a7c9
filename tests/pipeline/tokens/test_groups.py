"""A corpus whose duplicates were kept: clusters stay in one split, and copies of a text do not stand side by side."""

import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
from deduplication import dedup, document, rows, write_documents

from pipeline.dedup.settings import DedupSettings
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.overlap.settings import OverlapSettings
from pipeline.overlap.stage import STAGE as OVERLAP
from pipeline.records import Document
from pipeline.storage.document_shards import document_shards
from pipeline.tokens.groups import cluster_groups, find_copies
from pipeline.tokens.stage import STAGE, TokensSettings
from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest

SHARES = TokensSettings(validation_share=0.3, test_share=0.2, shard_tokens=3_000)
WORDS = [f"word{number}" for number in range(400)]


def families(seed: int = 0, count: int = 60) -> list[list[Document]]:
    """Texts with a copy, an upper-case form and an edit each, and some alone, in three shards."""
    draw = random.Random(seed)
    made = []
    for number in range(count):
        words = draw.choices(WORDS, k=60)
        text, edit = " ".join(words), " ".join([*words[:30], "edited", *words[31:]])
        forms = [text, text, text.upper(), edit] if number % 3 else [text]
        made += [document(form, f"{number}-{i}", day=draw.randrange(9)) for i, form in enumerate(forms)]
    draw.shuffle(made)
    return [made[0::3], made[1::3], made[2::3]]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dedup folder that keeps all duplicates."""
    folder = tmp_path_factory.mktemp("kept")
    write_documents(folder / "documents", families())
    dedup(folder / "documents", folder / "dedup", DedupSettings(remove_duplicates="none"))
    return folder / "dedup"


def tokens(source: Path, vocabulary: str, output: Path, engine: Engine | None = None) -> dict[str, list[tuple[bytes, str]]]:
    """Id and text of each document by split, in order."""
    STAGE.run(Call({"dedup": str(source), "vocabulary": vocabulary}, str(output), SHARES, engine or Engine()))
    manifest, tokenizer = Manifest.load(output), Tokenizer.load(output)
    manifest.verify()
    return {
        split: [(bytes(name), tokenizer.decode(ids[:-1])) for shard in manifest.open(split) for name, ids in shard.documents()]
        for split in manifest.splits
    }


def family_splits(splits: dict[str, list[tuple[bytes, str]]]) -> dict[str, set[str]]:
    """The splits of each family's documents."""
    family = {row.document_id: row.url.partition("-")[0] for shard in families() for row in shard}
    found = defaultdict[str, set[str]](set)
    for split, documents in splits.items():
        for name, _ in documents:
            found[family[name]].add(split)
    return found


def test_every_document_is_there_as_often_as_dedup_kept_it(kept: Path, vocabulary: str, tmp_path: Path) -> None:
    splits = tokens(kept, vocabulary, tmp_path / "tokens")
    found = Counter(text for documents in splits.values() for _, text in documents)
    assert found == Counter(row.text for shard in families() for row in shard)
    assert max(found.values()) == 2
    assert set(splits) == {"train", "validation", "test"}


def test_a_cluster_lies_in_one_split(kept: Path, vocabulary: str, tmp_path: Path) -> None:
    splits = family_splits(tokens(kept, vocabulary, tmp_path / "tokens"))
    assert len(splits) == 60
    assert {len(found) for found in splits.values()} == {1}
    assert set().union(*splits.values()) == {"train", "validation", "test"}


@pytest.mark.parametrize("remove", ["exact", "none"])
def test_near_duplicates_never_leak_whatever_is_removed(vocabulary: str, tmp_path: Path, remove: str) -> None:
    write_documents(tmp_path / "documents", families())
    dedup(tmp_path / "documents", tmp_path / "dedup", DedupSettings(remove_duplicates=remove))
    splits = family_splits(tokens(tmp_path / "dedup", vocabulary, tmp_path / "tokens"))
    assert {len(found) for found in splits.values()} == {1}


def test_an_overlap_folder_keeps_clusters_together(kept: Path, vocabulary: str, tmp_path: Path) -> None:
    (tmp_path / "set.txt").write_text(" ".join(families()[0][0].text.split()[:20]) + "\n")
    settings = OverlapSettings(evaluation_sets=(f"set={tmp_path / 'set.txt'}",), remove_overlapping=True)
    manifest = OVERLAP.run(Call({"dedup": str(kept)}, str(kept.parent / "overlap"), settings, Engine()))
    assert manifest.books.dropped
    splits = family_splits(tokens(kept.parent / "overlap", vocabulary, tmp_path / "tokens"))
    assert {len(found) for found in splits.values()} == {1}


def test_copies_do_not_stand_side_by_side(kept: Path, vocabulary: str, tmp_path: Path) -> None:
    train = [name for name, _ in tokens(kept, vocabulary, tmp_path / "tokens")["train"]]
    places = defaultdict[bytes, list[int]](list)
    for place, name in enumerate(train):
        places[name].append(place)
    gaps = [abs(pair[0] - pair[1]) for pair in places.values() if len(pair) == 2]
    assert len(gaps) > 10
    assert float(np.mean(gaps)) > len(train) / 6, "two places at random are a third of all apart"


def test_the_first_copy_keeps_its_place(kept: Path, vocabulary: str, tmp_path: Path) -> None:
    """Of two corpora with other duplicates, the documents that both hold are in one order."""
    write_documents(tmp_path / "documents", families())
    dedup(tmp_path / "documents", tmp_path / "dedup", DedupSettings(remove_duplicates="exact"))
    one = [name for name, _ in tokens(tmp_path / "dedup", vocabulary, tmp_path / "exact")["train"]]
    other = [name for name, _ in tokens(kept, vocabulary, tmp_path / "none")["train"]]
    alone = {name for name in one if other.count(name) == 1}
    assert len(alone) > 30
    assert [name for name in one if name in alone] == [name for name in other if name in alone]


@pytest.mark.slow
def test_two_workers_write_equal_bytes(kept: Path, vocabulary: str, tmp_path: Path) -> None:
    for name, engine in (("one", Engine()), ("two", Engine(workers=2))):
        tokens(kept, vocabulary, tmp_path / name, engine)
    one, two = (
        {p.name: p.read_bytes() for p in (tmp_path / name).glob("*") if p.is_file() and p.name != "run.json"}
        for name in ("one", "two")
    )
    assert one == two
    assert len(one) > 5


def test_the_groups_are_those_of_the_clusters(kept: Path) -> None:
    expected = {row["document_id"]: row["cluster"] for row in rows(kept, "clusters")}
    groups = cluster_groups(str(kept))
    assert dict(zip((bytes(i) for i in groups["id"]), (bytes(i) for i in groups["group"]), strict=True)) == expected
    assert sorted(groups["id"].tolist()) == groups["id"].tolist()


def test_texts_that_spans_were_cut_from_stay_with_their_cluster(tmp_path: Path, vocabulary: str) -> None:
    """Cutting gives texts new ids; what is left of a near duplicate is in the split of its cluster."""
    draw = random.Random(5)
    shared, made = " ".join(draw.choices(WORDS, k=40)), []
    for number in range(40):
        words = draw.choices(WORDS, k=80)
        edits = ([], ["edited"])
        made += [document(f"{shared}\n{' '.join([*words, *edit])}", f"{number}-{i}", day=i) for i, edit in enumerate(edits)]
    write_documents(tmp_path / "documents", [made])
    dedup(tmp_path / "documents", tmp_path / "dedup", DedupSettings(remove_duplicates="none", paragraphs=20))
    assert len(rows(tmp_path / "dedup", "rewritten")) == 79
    url_of = {
        row["document_id"]: row["url"]
        for shard in document_shards(str(tmp_path / "dedup"))
        for batch in shard.batches(["document_id", "url"])
        for row in batch.to_pylist()
    }
    found = defaultdict[str, set[str]](set)
    for split, documents in tokens(tmp_path / "dedup", vocabulary, tmp_path / "tokens").items():
        for name, _ in documents:
            found[url_of[name].partition("-")[0]].add(split)
    assert {len(splits) for splits in found.values()} == {1}
    assert len(found) == 40


@pytest.mark.parametrize("seed", range(5))
def test_copies_are_counted_as_a_dictionary_counts_them(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    shards = [[document(f"text {draw.randrange(12)}", "u") for _ in range(size)] for size in (7, 0, 20, 1)]
    folder = write_documents(tmp_path / "documents", shards)
    seen = Counter[bytes]()
    for shard, found in zip(shards, find_copies(document_shards(str(folder))), strict=True):
        expected = []
        for row, each in enumerate(shard):
            if seen[each.document_id]:
                expected.append((row, seen[each.document_id]))
            seen[each.document_id] += 1
        assert found.tolist() == expected
