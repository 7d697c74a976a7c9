import json
import random
from pathlib import Path
from typing import Any

import pytest
from corpora import documents_folder
from naive_overlap import count_naively

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.overlap.settings import OverlapSettings
from pipeline.overlap.stage import STAGE
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import Books, StageManifest
from tokenizer.errors import InputError

VOCABULARY = [f"w{i}" for i in range(4000)]


def prose(seed: int, length: int) -> list[str]:
    return random.Random(seed).choices(VOCABULARY, k=length)


def run(documents: str, output: Path, engine: Engine, *sets: str, **options: Any) -> StageManifest:
    return STAGE.run(Call({"dedup": documents}, str(output), OverlapSettings(tuple(sets), **options), engine))


def read(output: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads((output / "overlap.json").read_text())}


def write_lines(path: Path, texts: list[str]) -> str:
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


@pytest.fixture
def planted_corpus(tmp_path: Path) -> tuple[str, str, list[str]]:
    """A corpus that holds every third evaluation example, in other case and punctuation; the examples' file; the texts."""
    tests = [" ".join(prose(1000 + i, 30)) for i in range(60)]
    corpus = []
    for i in range(90):
        text = prose(i, 200)
        if i % 3 == 0 and i < 60 * 3 and i // 3 < 20:
            text[100:100] = [word.upper() + "," for word in tests[3 * (i // 3)].split()]
        corpus.append(" ".join(text))
    return documents_folder(tmp_path / "documents", corpus), write_lines(tmp_path / "lambada.jsonl", tests), corpus


def test_planted_overlaps_are_found_and_nothing_else(
    planted_corpus: tuple[str, str, list[str]], tmp_path: Path, engine: Engine
) -> None:
    documents, tests, _ = planted_corpus
    manifest = run(documents, tmp_path / "overlap", engine, tests)
    (row,) = read(tmp_path / "overlap").values()
    assert (row["examples"], row["grams"]) == (60, 60 * 23)
    assert (row["found_grams"], row["examples_with_any"]) == (20 * 23, 20)
    assert [row["percent"], row["mean_example_percent"]] == pytest.approx([100 / 3] * 2)
    assert manifest.books == Books(90, 90)
    assert manifest.counters["overlapping_documents"] == 20


def test_counts_equal_a_naive_search(tmp_path: Path, engine: Engine) -> None:
    """The vocabulary is small, so that many n-grams occur by chance."""
    rng = random.Random(5)
    few = [f"w{i}" for i in range(7)]
    corpus = [" ".join(rng.choices(few, k=40)) for _ in range(12)]
    sets = [[" ".join(rng.choices([*few, "odd"], k=rng.randrange(2, 60))) for _ in range(9)] for _ in range(2)]
    paths = [f"set{i}={write_lines(tmp_path / f'{i}.jsonl', texts)}" for i, texts in enumerate(sets)]
    for size in (1, 3, 5):
        run(documents_folder(tmp_path / f"d{size}", corpus), tmp_path / f"o{size}", engine, *paths, ngram_words=size)
        counts = [(row["grams"], row["found_grams"]) for row in read(tmp_path / f"o{size}").values()]
        assert counts == count_naively(sets, corpus, size)
        assert any(0 < hits < total for total, hits in counts) or size == 1


def test_folder_without_the_overlap_is_read_as_a_corpus(
    planted_corpus: tuple[str, str, list[str]], tmp_path: Path, engine: Engine
) -> None:
    documents, tests, corpus = planted_corpus
    manifest = run(documents, tmp_path / "clean", engine, tests, remove_overlapping=True)
    assert manifest.books == Books(90, 70, {"overlap": 20})
    texts = [
        t for s in document_shards(str(tmp_path / "clean")) for b in s.batches(["text"]) for t in b.column("text").to_pylist()
    ]
    assert sorted(texts) == sorted(text for i, text in enumerate(corpus) if i % 3 or i >= 60)
    assert manifest.counters["text_bytes"] == sum(len(text.encode()) for text in texts)
    again = run(str(tmp_path / "clean"), tmp_path / "again", engine, tests)
    assert again.counters["overlapping_documents"] == 0
    assert read(tmp_path / "again")["lambada"]["found_grams"] == 0


def test_documents_below_least_grams_are_kept(planted_corpus: tuple[str, str, list[str]], tmp_path: Path, engine: Engine) -> None:
    documents, tests, _ = planted_corpus
    assert run(documents, tmp_path / "a", engine, tests, remove_overlapping=True, least_grams=24).books.items_out == 90
    assert run(documents, tmp_path / "b", engine, tests, remove_overlapping=True, least_grams=23).books.items_out == 70


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(planted_corpus: tuple[str, str, list[str]], tmp_path: Path, engine: Engine) -> None:
    documents, tests, _ = planted_corpus
    contents = []
    for name, workers in (("one", engine), ("two", Engine(workers=2))):
        run(documents, tmp_path / name, workers, tests, remove_overlapping=True)
        paths = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file() and p.name != "run.json")
        contents.append({p.relative_to(tmp_path / name): p.read_bytes() for p in paths})
    assert contents[0] == contents[1]


def test_table_6_is_beside_our_figures(tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / "ptb.test.txt"
    path.write_text(" ".join(prose(1, 100)))
    run(documents_folder(tmp_path / "d", [" ".join(prose(2, 50))]), tmp_path / "o", engine, f"ptb={path}")
    row = read(tmp_path / "o")["ptb"]
    assert (row["percent"], row["paper_own_train_percent"], row["paper_webtext_percent"]) == (0.0, 2.67, 0.88)


@pytest.mark.parametrize(
    ("name", "data", "line"),
    [
        ("a.jsonl", '{"text": "x"}\n{', "line 2: not JSON"),
        ("a.txt", "too few words", "holds no 8 words in a row"),
        (None, "", "no such file"),
    ],
)
def test_bad_sets_raise_one_line(name: str | None, data: str, line: str, tmp_path: Path, engine: Engine) -> None:
    path = tmp_path / (name or "missing")
    if name:
        path.write_text(data)
    documents = documents_folder(tmp_path / "d", ["one two three"])
    with pytest.raises(InputError, match=line):
        run(documents, tmp_path / "o", engine, str(path))
