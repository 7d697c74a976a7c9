"""Tracing: from any token to its document, WARC record and submissions, and forward from each of them."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.main import run
from pipeline.corpus import inspect, trace
from pipeline.corpus.folder import STAGE_NAMES, Corpus
from pipeline.storage import files
from pipeline.storage.files import InputError


@pytest.fixture(scope="module")
def corpus(chosen: Any) -> Corpus:
    return Corpus.open({name: files.join(str(chosen.folder), name) for name in STAGE_NAMES})


def told(capsys: pytest.CaptureFixture[str], folder: Path, *flags: str) -> str:
    inspect.TOOL.run(["--corpus", str(folder), *flags])
    return capsys.readouterr().out


def kept(chosen: Any) -> list[Any]:
    gone = {d.url for d in chosen.duplicates}
    return [d for d in chosen.documents if d.url not in gone]


def test_every_window_is_traced_to_exactly_its_documents(corpus: Corpus, chosen: Any) -> None:
    documents = kept(chosen)
    owner = np.concatenate([np.full(len(ids) + 1, i) for i, ids in enumerate(chosen.tokens)])
    for start in range(0, len(owner) - 64, 97):
        spans = trace.window(corpus, "train", start, 64)
        expected = [documents[i].document_id for i in dict.fromkeys(owner[start : start + 64].tolist())]
        assert [span.document_id for span in spans] == expected
        assert all(
            int(np.flatnonzero(owner == i)[0]) == s.start
            for i, s in zip(dict.fromkeys(owner[start : start + 64].tolist()), spans, strict=True)
        )


def test_a_document_is_traced_to_its_record_and_submissions(corpus: Corpus, chosen: Any) -> None:
    document = kept(chosen)[5]
    (span,) = trace.spans_of(corpus, {document.document_id})
    (key,) = trace.keys_of_documents(corpus, [document.document_id])
    (story,) = trace.stories(corpus, [key])
    assert story.spans == (span,)
    assert story.link is not None
    assert story.page is not None
    (link,) = [known for known in chosen.links if known.url == document.url]
    assert [post["id"] for post in story.link["submissions"]] == [post.id for post in link.submissions]
    number = chosen.links.index(link)
    assert (story.page["warc_file"], story.page["warc_offset"]) == ("warc/pages.warc.gz", 100 * number)


def test_a_submission_is_followed_forward(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    said = told(capsys, chosen.folder, "--submission", "t3_s12")
    assert "submission t3_s12 in r/science, karma 15, 2014-03-01" in said
    assert f"document {chosen.documents[12].document_id.hex()}: Title 12 [en]" in said
    assert "of split 'train', in tokens-train-00000-of-00001.arrow" in said


def test_a_removed_document_names_the_kept_one(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    duplicate = chosen.duplicates[0]
    said = told(capsys, chosen.folder, "--url", duplicate.url)
    assert f"kept instead: {duplicate.kept_url} (near_duplicate, similarity 0.710)" in said
    assert "of split" not in said
    assert f"stands for {duplicate.url}" in told(capsys, chosen.folder, "--url", duplicate.kept_url)


@pytest.mark.parametrize("spelling", ["https://www.nytimes.com/1", "http://nytimes.com/1/?utm_source=x", "nytimes.com/1#top"])
def test_any_spelling_of_an_address_finds_it(corpus: Corpus, chosen: Any, spelling: str) -> None:
    (story,) = trace.stories(corpus, [trace.key_of(spelling)])
    assert story.link is not None
    assert story.link["url"] == chosen.links[1].url


def test_documents_are_found_by_their_text(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    said = told(capsys, chosen.folder, "--text", "WORD55", "--show")
    holding = [d for d in chosen.documents if "word55" in d.text][: inspect.MOST_FOUND]
    assert holding
    assert all(d.document_id.hex() in said and d.text in said for d in holding)


def test_the_overview_counts(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    said = told(capsys, chosen.folder)
    assert "70  submissions" in said
    assert f"{sum(len(ids) + 1 for ids in chosen.tokens):,}  tokens of 27 documents in split 'train'" in said


def test_what_is_not_there_is_said(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    assert "not in this corpus" in told(capsys, chosen.folder, "--url", "https://elsewhere.example/")
    assert "nothing of that is in this corpus" in told(capsys, chosen.folder, "--submission", "none")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--document", "xyz"], "xyz: a document id has 32 hexadecimal digits"),
        (["--start", "9999999"], "split 'train' holds 7,317 tokens"),
        (["--start", "0", "--split", "nosuch"], "no split 'nosuch'"),
        (["--url", "http://[broken"], "not an address"),
    ],
)
def test_bad_questions_are_named(chosen: Any, flags: list[str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        inspect.TOOL.run(["--corpus", str(chosen.folder), *flags])


@pytest.mark.parametrize("name", ["documents/documents-00000-of-00001.parquet", "tokens/tokens-train-00000-of-00001.arrow"])
def test_a_damaged_file_is_one_line(chosen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    shutil.copytree(chosen.folder, tmp_path / "corpus")
    path = tmp_path / "corpus" / name
    path.write_bytes(path.read_bytes()[:-1])
    assert run(["inspect", "--corpus", str(tmp_path / "corpus"), "--document", chosen.documents[12].document_id.hex()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: ")
