"""Tokens are traced back to document, WARC record and submissions, and each of those forward to the tokens."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cli.main import run
from pipeline.corpus import inspect, trace
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.corpus.token_spans import spans_in_window, spans_of_documents
from tokenizer.errors import InputError


@pytest.fixture(scope="module")
def corpus(chosen: Any) -> CorpusFolder:
    return CorpusFolder.open(stage_folders(str(chosen.folder)))


def output_of(capsys: pytest.CaptureFixture[str], folder: Path, *flags: str) -> str:
    inspect.TOOL.run(["--corpus", str(folder), *flags])
    return capsys.readouterr().out


def kept_documents(chosen: Any) -> list[Any]:
    removed = {d.url for d in chosen.duplicates}
    return [d for d in chosen.documents if d.url not in removed]


def test_every_window_is_traced_to_its_documents(corpus: CorpusFolder, chosen: Any) -> None:
    documents = kept_documents(chosen)
    owner = np.concatenate([np.full(len(ids) + 1, i) for i, ids in enumerate(chosen.tokens)])
    for start in range(0, len(owner) - 64, 97):
        spans = spans_in_window(corpus, "train", start, 64)
        expected = [documents[i].document_id for i in dict.fromkeys(owner[start : start + 64].tolist())]
        assert [span.document_id for span in spans] == expected
        assert all(
            int(np.flatnonzero(owner == i)[0]) == s.start
            for i, s in zip(dict.fromkeys(owner[start : start + 64].tolist()), spans, strict=True)
        )


def test_document_is_traced_to_its_warc_record_and_submissions(corpus: CorpusFolder, chosen: Any) -> None:
    document = kept_documents(chosen)[5]
    (span,) = spans_of_documents(corpus, {document.document_id})
    (key,) = trace.keys_of_documents(corpus, [document.document_id])
    (story,) = trace.stories(corpus, [key])
    assert story.spans == (span,)
    assert story.link is not None
    assert story.page is not None
    (link,) = [known for known in chosen.links if known.url == document.url]
    assert [post["id"] for post in story.link["submissions"]] == [post.id for post in link.submissions]
    number = chosen.links.index(link)
    assert (story.page["warc_file"], story.page["warc_offset"]) == ("warc/pages.warc.gz", 100 * number)


def test_submission_is_traced_to_its_tokens(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    output = output_of(capsys, chosen.folder, "--submission", "t3_s12")
    assert "submission t3_s12 in r/science, karma 15, 2014-03-01" in output
    assert f"document {chosen.documents[12].document_id.hex()}: Title 12 [en]" in output
    assert "of split 'train', in tokens-train-00000-of-00001.arrow" in output


def test_removed_and_kept_duplicate_name_each_other(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    duplicate = chosen.duplicates[0]
    output = output_of(capsys, chosen.folder, "--url", duplicate.url)
    assert f"kept instead: {duplicate.kept_url} (near_duplicate, similarity 0.710)" in output
    assert "of split" not in output
    assert f"removed instead: {duplicate.url}" in output_of(capsys, chosen.folder, "--url", duplicate.kept_url)


@pytest.mark.parametrize("spelling", ["https://www.nytimes.com/1", "http://nytimes.com/1/?utm_source=x", "nytimes.com/1#top"])
def test_page_is_found_by_any_spelling_of_its_address(corpus: CorpusFolder, chosen: Any, spelling: str) -> None:
    (story,) = trace.stories(corpus, [trace.key_of(spelling)])
    assert story.link is not None
    assert story.link["url"] == chosen.links[1].url


def test_documents_are_found_by_their_text(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    output = output_of(capsys, chosen.folder, "--text", "WORD55", "--show")
    matches = [d for d in chosen.documents if "word55" in d.text][: inspect.TEXT_MATCHES_SHOWN]
    assert matches
    assert all(d.document_id.hex() in output and d.text in output for d in matches)


def test_overview_counts_submissions_and_tokens(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    output = output_of(capsys, chosen.folder)
    assert "70  submissions" in output
    assert f"{sum(len(ids) + 1 for ids in chosen.tokens):,}  tokens of 27 documents in split 'train'" in output


def test_missing_page_and_missing_submission_are_reported(capsys: pytest.CaptureFixture[str], chosen: Any) -> None:
    assert "not in this corpus" in output_of(capsys, chosen.folder, "--url", "https://elsewhere.example/")
    assert "nothing in this corpus matches" in output_of(capsys, chosen.folder, "--submission", "none")


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--document", "xyz"], "xyz: a document id has 32 hexadecimal digits"),
        (["--start", "9999999"], "split 'train' holds 7,317 tokens"),
        (["--start", "0", "--split", "nosuch"], "no split 'nosuch'"),
        (["--url", "http://[broken"], "not an address"),
    ],
)
def test_bad_argument_is_an_error_that_names_it(chosen: Any, flags: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        inspect.TOOL.run(["--corpus", str(chosen.folder), *flags])


@pytest.mark.parametrize("name", ["documents/documents-00000-of-00001.parquet", "tokens/tokens-train-00000-of-00001.arrow"])
def test_damaged_file_is_one_line_of_error(chosen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    shutil.copytree(chosen.folder, tmp_path / "corpus")
    path = tmp_path / "corpus" / name
    path.write_bytes(path.read_bytes()[:-1])
    assert run(["inspect", "--corpus", str(tmp_path / "corpus"), "--document", chosen.documents[12].document_id.hex()]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}: ")
