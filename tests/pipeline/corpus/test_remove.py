"""The next version of a corpus lacks the removed documents, is otherwise unchanged, and rewrites only the affected files."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit

from pipeline.corpus import inspect, remove, verify
from pipeline.corpus.folder import CorpusFolder, funnel, stage_folders
from pipeline.corpus.token_spans import spans_of_documents
from pipeline.records import Page
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import StageManifest, stage_input
from tokenizer.errors import InputError
from tokenizer.shards import Manifest as Dataset


def run_remove(chosen: Any, output: Path, *flags: str) -> Path:
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(output), *flags])
    return output


def open_corpus(folder: Path) -> CorpusFolder:
    return CorpusFolder.open(stage_folders(str(folder)))


def unique(folder: Path) -> list[tuple[str, str]]:
    return [
        (row["url"], row["text"])
        for shard in document_shards(str(folder / "dedup"))
        for batch in shard.batches(["url", "text"])
        for row in batch.to_pylist()
    ]


def tokens_by_document(folder: Path) -> dict[bytes, list[int]]:
    dataset = Dataset.load(folder / "tokens")
    return {key: ids.tolist() for split in dataset.splits for shard in dataset.open(split) for key, ids in shard.documents()}


def sign_again(corpus: Path, changed: str) -> None:
    """Write the manifests that name the files of a stage as they are now, down the chain."""
    for name in ("links", "pages", "documents", "dedup", "tokens"):
        manifest = StageManifest.load(str(corpus / name))
        entries = manifest.files
        if name == changed:
            paths = [corpus / name / entry.name for entry in entries]
            entries = tuple(
                replace(entry, bytes=path.stat().st_size, sha256=files.fingerprint(str(path)))
                for entry, path in zip(entries, paths, strict=True)
            )
        inputs = {read: stage_input(str(corpus / read), str(corpus / name)) for read in manifest.inputs}
        replace(manifest, files=entries, inputs=inputs).save(str(corpus / name))


def test_only_the_named_page_is_removed(chosen: Any, tmp_path: Path) -> None:
    document = chosen.documents[12]
    after = run_remove(chosen, tmp_path / "next", "--urls", f"{document.url}?utm_source=feed")
    before = unique(chosen.folder)
    assert unique(after) == [pair for pair in before if pair[0] != document.url]
    tokens = tokens_by_document(chosen.folder)
    assert tokens_by_document(after) == {key: ids for key, ids in tokens.items() if key != document.document_id}
    for path in after.rglob("documents-*.parquet"):
        assert document.url not in files.read_table(str(path)).column("url").to_pylist()


def test_site_is_removed_with_its_subdomains(chosen: Any, tmp_path: Path) -> None:
    after = run_remove(chosen, tmp_path / "next", "--sites", "bbc.co.uk")
    assert any("bbc.co.uk" in url for url, _ in unique(chosen.folder))
    assert not any("bbc.co.uk" in url for url, _ in unique(after))
    assert {url for url, _ in unique(after)} == {url for url, _ in unique(chosen.folder) if "bbc.co.uk" not in url}


def test_page_of_a_submission_is_removed(chosen: Any, tmp_path: Path) -> None:
    after = run_remove(chosen, tmp_path / "next", "--submission-ids", "t3_s12")
    assert {url for url, _ in unique(chosen.folder)} - {url for url, _ in unique(after)} == {chosen.links[12].url}


def test_next_version_is_a_consistent_corpus(chosen: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    duplicate, document = chosen.duplicates[0], chosen.documents[20]
    ids = [duplicate.document_id.hex(), document.document_id.hex()]
    with caplog.at_level(logging.INFO):
        after = run_remove(chosen, tmp_path / "next", "--document-ids", *ids)
    corpus = open_corpus(after)
    steps = {step.name: step for step in funnel(corpus)}
    assert steps["documents"].items == len(chosen.documents) - 2
    assert steps["pages"].lost["taken_down"] == 2
    assert "taken_down" not in steps["documents"].lost
    assert steps["unique documents"].items == len(chosen.documents) - len(chosen.duplicates) - 1
    for stage in ("documents", "dedup", "tokens"):
        for entry in corpus.manifests[stage].files:
            assert files.fingerprint(str(after / stage / entry.name)) == entry.sha256
    assert corpus.manifests["dedup"].inputs["documents"].sha256 == StageManifest.load(str(after / "documents")).sha256
    assert corpus.manifests["documents"].inputs["pages"].sha256 == StageManifest.load(str(after / "pages")).sha256
    verify.TOOL.run(["--corpus", str(after)])
    dataset = Dataset.load(after / "tokens")
    dataset.verify()
    removed_bytes = len(document.text.encode())
    assert dataset.split("train").text_bytes == 100_000 - removed_bytes
    assert "1 of 2 files of documents" in caplog.text
    lines = [json.loads(line) for line in (after / remove.REMOVED).read_text().splitlines()]
    assert [(line["url"], line["document_id"]) for line in lines] == [(duplicate.url, ids[0]), (document.url, ids[1])]
    (span,) = spans_of_documents(open_corpus(chosen.folder), {document.document_id})
    assert (lines[1]["start"], lines[1]["tokens"]) == (span.start, span.tokens)
    assert "start" not in lines[0]


def test_second_removal_continues_from_the_first(chosen: Any, tmp_path: Path) -> None:
    first = run_remove(chosen, tmp_path / "first", "--urls", chosen.documents[12].url)
    remove.TOOL.run(["--corpus", str(first), "--output", str(tmp_path / "second"), "--urls", chosen.documents[13].url])
    left = {url for url, _ in unique(tmp_path / "second")}
    assert {url for url, _ in unique(chosen.folder)} - left == {chosen.documents[12].url, chosen.documents[13].url}
    assert len(open_corpus(tmp_path / "second").paths("pages", "drops")) == 3


def test_old_version_is_unchanged(chosen: Any, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in chosen.folder.rglob("*") if path.is_file()}
    run_remove(chosen, tmp_path / "next", "--urls", chosen.documents[12].url)
    assert {path: path.read_bytes() for path in chosen.folder.rglob("*") if path.is_file()} == before


def test_nothing_to_remove_and_an_occupied_output_are_errors(chosen: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to remove: no document matches"):
        run_remove(chosen, tmp_path / "next", "--urls", "https://elsewhere.example/")
    assert not (tmp_path / "next").exists()
    run_remove(chosen, tmp_path / "next", "--urls", chosen.documents[12].url)
    with pytest.raises(InputError, match="holds a corpus already"):
        run_remove(chosen, tmp_path / "next", "--urls", chosen.documents[13].url)


@pytest.mark.parametrize("kind", ["documents", "keep", "duplicates", "tokens"])
def test_damaged_file_is_an_error_and_not_rewritten(chosen: Any, tmp_path: Path, kind: str) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(chosen.folder, corpus)
    paths = [path for path in corpus.rglob(f"{kind}-*") if path.is_file()]
    flip_a_bit(paths[0])
    with pytest.raises(InputError, match=rf"{paths[0].name}: damaged"):
        remove.TOOL.run(["--corpus", str(corpus), "--output", str(tmp_path / "next"), "--urls", chosen.documents[12].url])
    assert not (tmp_path / "next").exists()


def test_inspect_shows_the_removal(chosen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = run_remove(chosen, tmp_path / "next", "--urls", chosen.documents[12].url)
    inspect.TOOL.run(["--corpus", str(after)])
    assert "taken_down" in capsys.readouterr().out


@pytest.mark.parametrize("flag", ["--urls", "--sites"])
@pytest.mark.parametrize("place", ["final_url", "redirects"])
def test_a_page_is_removed_by_every_address_that_led_to_it(chosen: Any, tmp_path: Path, flag: str, place: str) -> None:
    document = chosen.documents[12]
    corpus = tmp_path / "corpus"
    shutil.copytree(chosen.folder, corpus)
    pages = open_corpus(corpus)
    for path in pages.paths("pages", "pages"):
        rows = files.read_table(path).to_pylist()
        for row in rows:
            if row["dedup_key"] == document.dedup_key:
                row |= {place: "https://www.bücher.org/end/"} if place == "final_url" else {place: ["http://m.bücher.org/end"]}
        files.publish_table(path, Page.table(map(Page.from_row, rows)))
    sign_again(corpus, "pages")
    named = {"--urls": "http://xn--bcher-kva.org/end", "--sites": "BÜCHER.org"}[flag]
    remove.TOOL.run(["--corpus", str(corpus), "--output", str(tmp_path / "next"), flag, named])
    assert {url for url, _ in unique(chosen.folder)} - {url for url, _ in unique(tmp_path / "next")} == {document.url}


def test_values_that_match_nothing_are_named(chosen: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    document = chosen.documents[12]
    values = ["--urls", document.url, "http://never.org/linked", "--sites", "never-linked.org", "--document-ids", "00" * 16]
    run_remove(chosen, tmp_path / "next", *values)
    warnings = [record.getMessage() for record in caplog.records if "matches no document" in record.getMessage()]
    assert warnings == [
        "remove: --urls http://never.org/linked matches no document",
        "remove: --sites never-linked.org matches no document",
        f"remove: --document-ids {'00' * 16} matches no document",
    ]
