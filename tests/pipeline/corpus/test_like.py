"""`inspect --like` finds copies and near copies of a text by dedup's stored signatures, without reading a text."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from deduplication import dedup, document, write_documents

from pipeline.corpus import inspect, like
from pipeline.corpus.folder import CorpusFolder
from pipeline.dedup import minhash, words
from pipeline.dedup.settings import DedupSettings
from pipeline.engine.runner import Engine
from pipeline.engine.settings import to_manifest
from pipeline.records import Link, Submission
from pipeline.storage import arrays, files
from pipeline.storage.document_shards import KEEP_SCHEMA
from pipeline.storage.manifest import Books, FileEntry, StageManifest
from tokenizer.errors import InputError

DOCUMENTS = 40


def text_of(seed: int, length: int = 300) -> str:
    return " ".join(f"w{number}" for number in np.random.default_rng(seed).integers(0, 5000, length))


def edit(text: str, places: int) -> str:
    """The text with every so many words replaced, `places` in all."""
    edited = text.split()
    for place in range(places):
        edited[place * len(edited) // places] = f"edited{place}"
    return " ".join(edited)


def url_of(seed: int) -> str:
    return f"https://example.com/{seed}"


def make_corpus(folder: Path, settings: DedupSettings | None = None) -> Path:
    """40 documents in two shards; document 40 is a near copy of document 3, document 41 has the text of document 5."""
    texts = [*map(text_of, range(DOCUMENTS)), edit(text_of(3), 5), text_of(5)]
    documents = [document(text, url_of(seed), day=seed) for seed, text in enumerate(texts)]
    write_documents(folder / "documents", [documents[:20], documents[20:]])
    dedup(folder / "documents", folder / "dedup", settings, Engine(workers=1))
    submissions = (Submission("abc", "books", 5, None), Submission("def", "history", 4, None))
    links = [Link(d.url, d.dedup_key, d.domain, 3, None, submissions if d.url == url_of(7) else ()) for d in documents]
    digest = files.publish_table(str(folder / "links" / "links.parquet"), Link.table(links))
    entry = FileEntry("links.parquet", "links", len(links), digest.bytes, digest.sha256)
    StageManifest("links", {}, {}, (entry,), Books(len(links), len(links))).save(str(folder / "links"))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_corpus(tmp_path_factory.mktemp("like"))


@pytest.fixture
def ask(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[[str], list[str]]:
    def lines(text: str) -> list[str]:
        inspect.TOOL.run(["--corpus", str(folder), "--like", text])
        return capsys.readouterr().out.splitlines()

    return lines


def similar(folder: Path, text: str) -> list[like.SimilarDocument]:
    corpus = CorpusFolder.open({name: str(folder / name) for name in ("links", "documents", "dedup")})
    return like.find_similar(corpus, like.open_index(corpus), like.read_query(text))


def test_exact_copy_is_found_with_its_origin(ask: Callable[[str], list[str]]) -> None:
    assert ask(text_of(7)) == [
        "found 1 of 42 documents with an estimated similarity of 0.7 or more to the text, most similar first:",
        f"1.000  document {document(text_of(7), url_of(7)).document_id.hex()}  {url_of(7)}",
        "       kept",
        "       submissions t3_abc, t3_def",
    ]


def test_near_copy_is_found_with_the_similarity_that_datasketch_estimates(folder: Path) -> None:
    text = edit(text_of(9), 6)
    (found,) = similar(folder, text)
    assert (found.url, found.kept) == (url_of(9), True)
    signed = minhash.signatures(pa.array([text_of(9), text]))
    assert found.similarity == np.mean(signed[0] == signed[1]) > 0.7


def test_unrelated_text_is_not_found(ask: Callable[[str], list[str]]) -> None:
    assert ask(text_of(1000)) == ["nothing found: none of 42 documents has an estimated similarity of 0.7 or more to the text"]


def test_removed_duplicate_is_found_with_the_kept_document(folder: Path, ask: Callable[[str], list[str]]) -> None:
    found = similar(folder, edit(text_of(3), 5))
    assert [(d.url, d.kept) for d in found] == [(url_of(40), False), (url_of(3), True)]
    assert found[0].similarity == 1
    lines = ask(edit(text_of(3), 5))
    kept = document(text_of(3), url_of(3))
    assert f"       removed, kept instead: {kept.url}, document {kept.document_id.hex()} (near_duplicate)" in lines


def test_documents_with_one_text_are_all_found(folder: Path) -> None:
    found = similar(folder, text_of(5))
    assert [(d.similarity, d.url, d.kept) for d in found] == [(1.0, url_of(41), False), (1.0, url_of(5), True)]
    assert found[0].removed_as is not None
    assert found[0].removed_as["reason"] == "same_text"


def test_text_is_read_from_a_file(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "page.txt"
    path.write_text(text_of(7), encoding="utf-8-sig")
    assert [d.url for d in similar(folder, str(path))] == [url_of(7)]


def test_argument_that_names_no_file_is_taken_as_text(folder: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file of that name\) has 2 words, .* runs of 5 words; give a longer text"):
        similar(folder, "missing.txt")
    assert [d.url for d in similar(folder, text_of(7))] == [url_of(7)], "far longer than a file name can be"


@pytest.mark.parametrize("text", ["", "too short for one", "..."])
def test_text_without_a_shingle_is_an_error(folder: Path, text: str) -> None:
    with pytest.raises(InputError, match="give a longer text"):
        similar(folder, text)


def test_folder_and_binary_file_are_errors(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        similar(folder, str(tmp_path))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00 not text")
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        similar(folder, str(tmp_path / "binary"))


def test_corpus_without_index_is_an_error(tmp_path: Path) -> None:
    make_corpus(tmp_path, DedupSettings(index=False))
    with pytest.raises(InputError, match=r"dedup wrote no index \(--no_index\).*--index"):
        similar(tmp_path, text_of(7))


def test_corpus_without_dedup_is_an_error(folder: Path) -> None:
    corpus = CorpusFolder.open({"documents": str(folder / "documents")})
    with pytest.raises(InputError, match="run the stage 'dedup' first"):
        like.open_index(corpus)


def test_truncated_index_is_an_error(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "corpus")
    path = next((tmp_path / "corpus" / "dedup" / "index").glob("signatures-*"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=path.name):
        similar(tmp_path / "corpus", text_of(7))


@pytest.mark.parametrize(
    "settings",
    [
        DedupSettings(shingle="chars:7"),
        DedupSettings(shingle="words:2", signature_seed=5, threshold=0.5),
        DedupSettings(bands=9, rows=4),
        DedupSettings(bands=1, rows=6),
    ],
)
def test_parameters_of_the_corpus_are_used(tmp_path: Path, settings: DedupSettings) -> None:
    make_corpus(tmp_path, settings)
    assert [d.url for d in similar(tmp_path, text_of(7))] == [url_of(7)]
    assert [d.url for d in similar(tmp_path, edit(text_of(9), 2))] == [url_of(9)]
    assert similar(tmp_path, text_of(1000)) == []


def write_signatures(folder: Path, signatures: Any, shards: int = 4) -> CorpusFolder:
    """A dedup folder of these signatures: its texts, its shingles and the stages before it do not exist."""
    entries = []
    for number, part in enumerate(np.array_split(signatures, shards)):
        key = f"{number:05d}-of-{shards:05d}"
        ids = [f"{number:08d}{row:08d}".encode() for row in range(len(part))]
        rows = pa.table(
            {"document_id": pa.array(ids, pa.binary(16)), "url": [f"https://example.com/{key}/{row}" for row in range(len(part))]}
        )
        rows = rows.replace_schema_metadata({"unicode": words.UNICODE_VERSION})
        keep = pa.table([np.arange(len(part)), rows.column("document_id")], schema=KEEP_SCHEMA)
        for kind, name, write in (
            ("rows", f"index/rows-{key}.parquet", lambda path, table=rows: files.publish_table(path, table)),
            ("keep", f"keep-{key}.parquet", lambda path, table=keep: files.publish_table(path, table)),
            (
                "signatures",
                f"index/signatures-{key}.npy",
                lambda path, array=part: files.publish(path, lambda f: arrays.write(f, array)),
            ),
        ):
            digest = write(str(folder / name))
            entries.append(FileEntry(name, kind, len(part), digest.bytes, digest.sha256))
    total = len(signatures)
    StageManifest("dedup", to_manifest(DedupSettings()), {}, tuple(entries), Books(total, total)).save(str(folder))
    return CorpusFolder.open({"dedup": str(folder)})


def test_work_does_not_grow_with_the_unrelated_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 60,000 documents, only those that may share a band with the text become MinHash objects; no text and no shingle exists."""
    signatures = np.random.default_rng(1).integers(0, 1 << 32, (60_000, minhash.PERMUTATIONS), np.uint32)
    signatures[31_415] = minhash.signatures(pa.array([text_of(7)]))[0]
    corpus = write_signatures(tmp_path, signatures)
    made: list[Any] = []

    class CountedMinHash(like.MinHash):  # type: ignore[misc]
        def __init__(self, **options: Any) -> None:
            made.append(options)
            super().__init__(**options)

    monkeypatch.setattr(like, "MinHash", CountedMinHash)
    (found,) = like.find_similar(corpus, like.open_index(corpus), like.Query(edit(text_of(7), 3), from_file=False))
    assert found.url == "https://example.com/00002-of-00004/1415"
    assert len(made) < 10
