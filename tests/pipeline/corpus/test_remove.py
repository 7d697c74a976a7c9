"""The next version of a corpus: nothing of the removed left, nothing else changed, only the files concerned written."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from damage import flip_a_bit

from pipeline.corpus import inspect, remove, trace
from pipeline.corpus.folder import STAGE_NAMES, Corpus, funnel
from pipeline.storage import files
from pipeline.storage.document_shards import document_shards
from pipeline.storage.files import InputError
from pipeline.storage.manifest import StageManifest
from tokenizer.shards import Manifest as Dataset


def removed(chosen: Any, output: Path, *flags: str) -> Path:
    remove.TOOL.run(["--corpus", str(chosen.folder), "--output", str(output), *flags])
    return output


def opened(folder: Path) -> Corpus:
    return Corpus.open({name: str(folder / name) for name in STAGE_NAMES})


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


def test_what_was_named_is_gone_and_nothing_else(chosen: Any, tmp_path: Path) -> None:
    named = chosen.documents[12]
    after = removed(chosen, tmp_path / "next", "--urls", f"{named.url}?utm_source=feed")
    before = unique(chosen.folder)
    assert unique(after) == [pair for pair in before if pair[0] != named.url]
    tokens = tokens_by_document(chosen.folder)
    assert tokens_by_document(after) == {key: ids for key, ids in tokens.items() if key != named.document_id}
    for path in after.rglob("documents-*.parquet"):
        assert named.url not in files.read_table(str(path)).column("url").to_pylist()


def test_a_site_goes_with_its_subdomains(chosen: Any, tmp_path: Path) -> None:
    after = removed(chosen, tmp_path / "next", "--sites", "bbc.co.uk")
    assert any("bbc.co.uk" in url for url, _ in unique(chosen.folder))
    assert not any("bbc.co.uk" in url for url, _ in unique(after))
    assert {url for url, _ in unique(after)} == {url for url, _ in unique(chosen.folder) if "bbc.co.uk" not in url}


def test_a_submission_goes_with_its_page(chosen: Any, tmp_path: Path) -> None:
    after = removed(chosen, tmp_path / "next", "--submission_ids", "t3_s12")
    assert {url for url, _ in unique(chosen.folder)} - {url for url, _ in unique(after)} == {chosen.links[12].url}


def test_the_next_version_is_a_corpus(chosen: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    duplicate, document = chosen.duplicates[0], chosen.documents[20]
    ids = [duplicate.document_id.hex(), document.document_id.hex()]
    with caplog.at_level(logging.INFO):
        after = removed(chosen, tmp_path / "next", "--document_ids", *ids)
    corpus = opened(after)
    steps = {step.name: step for step in funnel(corpus)}
    assert steps["documents"].items == len(chosen.documents) - 2
    assert steps["documents"].lost["taken_down"] == 2
    assert steps["unique documents"].items == len(chosen.documents) - len(chosen.duplicates) - 1
    for stage in ("documents", "dedup", "tokens"):
        for entry in corpus.manifests[stage].files:
            assert files.fingerprint(str(after / stage / entry.name)) == entry.sha256
    assert corpus.manifests["dedup"].inputs["documents"].sha256 == StageManifest.load(str(after / "documents")).sha256
    assert corpus.manifests["documents"].inputs["pages"].sha256 == StageManifest.load(str(chosen.folder / "pages")).sha256
    dataset = Dataset.load(after / "tokens")
    dataset.verify()
    gone = len(document.text.encode())
    assert dataset.split("train").text_bytes == 100_000 - gone
    assert "written anew: 2 of 2 files of documents" in caplog.text
    listed = [json.loads(line) for line in (after / remove.REMOVED).read_text().splitlines()]
    assert [(line["url"], line["document_id"]) for line in listed] == [(duplicate.url, ids[0]), (document.url, ids[1])]
    (span,) = trace.spans_of(opened(chosen.folder), {document.document_id})
    assert (listed[1]["start"], listed[1]["tokens"]) == (span.start, span.tokens)
    assert "start" not in listed[0]


def test_a_second_removal_goes_on_from_the_first(chosen: Any, tmp_path: Path) -> None:
    first = removed(chosen, tmp_path / "first", "--urls", chosen.documents[12].url)
    remove.TOOL.run(["--corpus", str(first), "--output", str(tmp_path / "second"), "--urls", chosen.documents[13].url])
    left = {url for url, _ in unique(tmp_path / "second")}
    assert {url for url, _ in unique(chosen.folder)} - left == {chosen.documents[12].url, chosen.documents[13].url}
    assert len(opened(tmp_path / "second").paths("documents", "drops")) == 3


def test_the_old_version_stays_as_it_was(chosen: Any, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in chosen.folder.rglob("*") if path.is_file()}
    removed(chosen, tmp_path / "next", "--urls", chosen.documents[12].url)
    assert {path: path.read_bytes() for path in chosen.folder.rglob("*") if path.is_file()} == before


def test_nothing_to_remove_and_a_full_output_are_errors(chosen: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of that is in the corpus"):
        removed(chosen, tmp_path / "next", "--urls", "https://elsewhere.example/")
    assert not (tmp_path / "next").exists()
    removed(chosen, tmp_path / "next", "--urls", chosen.documents[12].url)
    with pytest.raises(InputError, match="holds a corpus already"):
        removed(chosen, tmp_path / "next", "--urls", chosen.documents[13].url)


@pytest.mark.parametrize("kind", ["documents", "keep", "duplicates", "tokens"])
def test_a_damaged_file_is_not_written_anew(chosen: Any, tmp_path: Path, kind: str) -> None:
    corpus = tmp_path / "corpus"
    shutil.copytree(chosen.folder, corpus)
    paths = [path for path in corpus.rglob(f"{kind}-*") if path.is_file()]
    flip_a_bit(paths[0])
    with pytest.raises(InputError, match=rf"{paths[0].name}: damaged"):
        remove.TOOL.run(["--corpus", str(corpus), "--output", str(tmp_path / "next"), "--urls", chosen.documents[12].url])
    assert not (tmp_path / "next").exists()


def test_inspect_knows_of_the_removal(chosen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    after = removed(chosen, tmp_path / "next", "--urls", chosen.documents[12].url)
    inspect.TOOL.run(["--corpus", str(after)])
    assert "taken_down" in capsys.readouterr().out
