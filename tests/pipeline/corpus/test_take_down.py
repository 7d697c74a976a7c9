"""Take-down by a list, on a corpus that every stage has made: what goes, from which files, and that nothing of it stays."""

import gzip
import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest
from small_web import every_stage, write_month

from pipeline.corpus import join, next_corpus, remove, verify
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.pages.warc_reader import read_body
from pipeline.storage import files, next_version
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import StageManifest
from pipeline.tokens import stage as tokens
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.shards import Manifest as Dataset

PAGES = 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of every stage; the token shards hold what overlap has left."""
    folder = tmp_path_factory.mktemp("take-down")
    engine = Engine(workers=1)
    every_stage(str(folder / "corpus"), write_month(folder, PAGES), engine)
    inputs = {"dedup": str(folder / "corpus" / "overlap"), "vocabulary": str(folder / "corpus" / "vocabulary")}
    replacing = Engine(workers=1, replace=True)
    settings = tokens.TokensSettings(validation_share=0.1)
    tokens.STAGE.run(Call(inputs, str(folder / "corpus" / "tokens"), settings, replacing))
    return folder / "corpus"


@pytest.fixture
def corpus(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "month" / "corpus"))


def text_of(corpus: Path, number: int) -> str:
    for path in open_corpus(corpus).paths("documents", "documents"):
        for row in files.read_table(path, ["url", "text"]).to_pylist():
            if row["url"].endswith(f"/{number}"):
                return str(row["text"])
    raise AssertionError(number)


def own_passage(corpus: Path, number: int) -> bytes:
    """Some words of a document's text that no other document has, on one line."""
    rows = [row for path in open_corpus(corpus).paths("documents", "documents") for row in files.read_table(path).to_pylist()]
    others = " ".join(row["text"] for row in rows if not row["url"].endswith(f"/{number}"))
    lines = (line for line in text_of(corpus, number).splitlines() if len(line) > 40 and not set(line) & set("'\"<>&\\"))
    return next(line for line in lines if line not in others).encode()


def open_corpus(folder: Path) -> CorpusFolder:
    return CorpusFolder.open(stage_folders(str(folder)))


def numbers(corpus: Path, stage: str = "documents") -> set[int]:
    """The numbers at the end of the addresses of a stage's documents, or of its pages."""
    if stage == "pages":
        urls = [row["url"] for path in open_corpus(corpus).paths("pages", "pages") for row in files.read_table(path).to_pylist()]
    else:
        urls = [url for shard in document_shards(str(corpus / stage)) for url in shard.table(["url"]).column("url").to_pylist()]
    return {int(url.rsplit("/", 1)[1]) for url in urls}


def shard_texts(folder: Path) -> list[str]:
    dataset, tokenizer = Dataset.load(folder), Tokenizer.load(str(folder))
    ids = [tokens for split in dataset.splits for shard in dataset.open(split) for _, tokens in shard.documents()]
    return [tokenizer.decode(tokens.tolist()[:-1]) for tokens in ids]


def everything(corpus: Path) -> bytes:
    """All bytes of a corpus, decompressed where they are WARC members; Parquet's texts decoded."""
    found = b""
    for path in sorted(corpus.rglob("*")):
        if path.name.endswith(".warc.gz"):
            found += gzip.decompress(path.read_bytes())
        elif path.suffix == ".parquet":
            found += repr(files.read_table(str(path)).to_pylist()).encode()
        elif path.is_file():
            found += path.read_bytes()
    return found + "".join(shard_texts(corpus / "tokens")).encode()


def check(corpus: Path) -> None:
    """The corpus is whole, its pages can be read, and every number in it follows from its files."""
    verify.TOOL.run(["--corpus", str(corpus)])
    found = open_corpus(corpus)
    for path in found.paths("pages", "pages"):
        for row in files.read_table(path).to_pylist():
            body = read_body(str(corpus / "pages" / row["warc_file"]), row["warc_offset"], row["warc_length"])
            assert len(body) == row["body_bytes"]
    kept = numbers(corpus, "overlap")
    assert found.manifests["tokens"].books.items_out == len(kept) == len(shard_texts(corpus / "tokens"))
    for name, before in (("documents", "pages"), ("dedup", "documents"), ("overlap", "dedup"), ("tokens", "overlap")):
        found.manifests[name].books.check(name)
        assert found.manifests[name].books.items_in == found.manifests[before].books.items_out
    for name in ("documents", "dedup", "overlap"):
        texts = [
            text for shard in document_shards(str(corpus / name)) for text in shard.table(["text"]).column("text").to_pylist()
        ]
        assert found.manifests[name].counters["text_bytes"] == sum(len(text.encode()) for text in texts)
        assert found.manifests[name].books.items_out == len(texts)
    dataset = Dataset.load(corpus / "tokens")
    assert sum(split.text_bytes for split in dataset.splits.values()) == sum(
        len(t.encode()) for t in shard_texts(corpus / "tokens")
    )


def take_down(corpus: Path, *flags: str) -> dict[str, Any]:
    """Run `remove --replace`; the report."""
    remove.TOOL.run(["--corpus", str(corpus), "--replace", *flags])
    report: dict[str, Any] = json.loads(sorted((corpus / "removals").iterdir())[-1].read_text())
    return report


def table_of(folder: Path, *rows: tuple[str, str]) -> str:
    path = folder / "requests.csv"
    lines = [f'2026-11-{number:02d},REF-{number},{kind},"{value}"' for number, (kind, value) in enumerate(rows, 1)]
    path.write_text("\n".join(["date,reference,kind,value", *lines]) + "\n")
    return str(path)


@pytest.mark.slow
def test_every_kind_of_request_takes_its_page_out_of_every_file(corpus: Path, tmp_path: Path) -> None:
    before = numbers(corpus, "pages")
    passage = text_of(corpus, 5)[300:380]
    identity = next(
        row["document_id"].hex()
        for path in open_corpus(corpus).paths("documents", "documents")
        for row in files.read_table(path, ["url", "document_id"]).to_pylist()
        if row["url"].endswith("/4")
    )
    passages = [own_passage(corpus, number) for number in (2, 3, 4, 5)]
    assert all(passage in everything(corpus) for passage in passages)
    rows = (
        ("address", "HTTPS://www.SITE2.example:443/2?utm_source=x"),
        ("submission", "t3_A3"),
        ("document id", identity.upper()),
        ("text", passage.replace(" ", "\n ").upper().replace('"', '""')),
        ("site", "never.example"),
        ("address", "http://site1.example/999"),
    )
    report = take_down(corpus, "--list", table_of(tmp_path, *rows), "--approved-by", "J. Doe", "--date", "2026-11-29")
    check(corpus)
    assert before - numbers(corpus, "pages") == {2, 3, 4, 5}
    assert [request["pages"] for request in report["requests"]] == [1, 1, 1, 1, 0, 0]
    assert (report["approved_by"], report["date"], report["requests"][0]["reference"]) == ("J. Doe", "2026-11-29", "REF-1")
    assert {row["url"].rsplit("/", 1)[1] for row in report["documents"]} == {"2", "3", "4", "5"}
    content = everything(corpus)
    for one in passages:
        assert one not in content
    for file in report["files"]:
        path = corpus / file["stage"] / file["file"]
        assert files.fingerprint(str(path)) == file["new_sha256"] != file["old_sha256"]


@pytest.mark.slow
def test_a_copy_that_dedup_had_removed_goes_with_its_original(corpus: Path) -> None:
    assert {18, 19} <= numbers(corpus, "documents")  # every tenth page repeats the one before it, plus a line
    assert 19 not in numbers(corpus, "dedup")
    take_down(corpus, "--urls", "http://site4.example/18")
    check(corpus)
    assert not {18, 19} & (numbers(corpus, "documents") | numbers(corpus, "pages"))


@pytest.mark.slow
def test_what_overlap_had_left_out_may_be_taken_down_too(corpus: Path) -> None:
    left_out = min(numbers(corpus, "dedup") - numbers(corpus, "overlap"))
    before = shard_texts(corpus / "tokens")
    take_down(corpus, "--urls", f"http://site{left_out % 7}.example/{left_out}")
    check(corpus)
    assert left_out not in numbers(corpus, "dedup")
    assert shard_texts(corpus / "tokens") == before


@pytest.mark.slow
def test_a_page_without_a_document_goes_from_the_archive(corpus: Path) -> None:
    pages = numbers(corpus, "pages") - numbers(corpus, "documents")
    if not pages:
        take_down(corpus, "--document-ids", _id_of(corpus, 6), "--keep-pages")
        pages = {6}
        assert StageManifest.load(str(corpus / "documents")).books.dropped["taken_down"] == 1
    number = min(pages)
    take_down(corpus, "--urls", f"http://site{number % 7}.example/{number}")
    check(corpus)
    assert number not in numbers(corpus, "pages")
    assert b"http://site6.example/6" not in gzip.decompress(next((corpus / "pages").glob("*.warc.gz")).read_bytes())


def _id_of(corpus: Path, number: int) -> str:
    rows = [row for path in open_corpus(corpus).paths("documents", "documents") for row in files.read_table(path).to_pylist()]
    return str(next(row["document_id"] for row in rows if row["url"].endswith(f"/{number}")).hex())


@pytest.mark.slow
def test_a_removal_that_is_killed_anywhere_is_all_or_nothing(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {name: StageManifest.load(str(corpus / name)).sha256 for name in ("documents", "dedup", "tokens")}
    place = next_version.switch
    for killed_at in range(4):
        calls: list[str] = []

        def killed(folder: str, name: str, calls: list[str] = calls, killed_at: int = killed_at) -> bool:
            if len(calls) == killed_at:
                raise KeyboardInterrupt
            calls.append(folder)
            return place(folder, name)

        monkeypatch.setattr(next_corpus, "switch", killed)
        number = (2, 3, 4, 6)[killed_at]
        with pytest.raises(KeyboardInterrupt):
            take_down(corpus, "--urls", f"http://site{number}.example/{number}")
        monkeypatch.setattr(next_corpus, "switch", place)
        assert next_corpus.finish(str(corpus))
        check(corpus)
        assert number not in numbers(corpus, "documents")
    monkeypatch.setattr("pipeline.corpus.next_corpus.next_tokens", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    now = {name: StageManifest.load(str(corpus / name)).sha256 for name in whole}
    with pytest.raises(KeyboardInterrupt):
        take_down(corpus, "--urls", "http://site4.example/18")
    assert not next_corpus.finish(str(corpus))
    assert {name: StageManifest.load(str(corpus / name)).sha256 for name in whole} == now != whole
    assert not list(corpus.rglob(".next-removed"))


@pytest.mark.slow
def test_requests_reach_joined_shards_and_the_report_names_their_readers(corpus: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = corpus.parent.parent
    joined = root / "joined"
    join.TOOL.run(["--tokens", str(corpus / "tokens"), "--output", str(joined)])
    run = root / "run" / "checkpoints" / "step_00000010"
    run.mkdir(parents=True)
    (run / "checkpoint.json").write_text(json.dumps({"corpus_sha256": Dataset.load(joined).sha256, "step": 10}))
    gone = text_of(corpus, 2)
    assert gone in shard_texts(joined)
    copied = Path(shutil.copytree(joined, root / "copied"))
    with pytest.raises(InputError, match=r"--also-read"):
        remove.TOOL.run(["--corpus", str(copied), "--replace", "--urls", "http://site2.example/2"])
    remove.TOOL.run(["--corpus", str(copied), "--replace", "--urls", "http://site2.example/2", "--also-read", str(root)])
    assert gone not in shard_texts(copied)
    remove.TOOL.run(["--corpus", str(copied), "--output", str(root / "less"), "--document-ids", _id_of(corpus, 3)])
    assert len(shard_texts(root / "less")) == len(shard_texts(copied)) - 1
    with caplog.at_level(logging.WARNING):
        report = take_down(corpus, "--urls", "http://site2.example/2", "--joined", str(joined), "--runs", str(root / "run"))
    assert [held["folder"] for held in report["joined"]] == [str(joined)]
    assert [(read["step"], read["trained_on"]) for read in report["checkpoints"]] == [(10, str(joined))]
    assert any("hard links" in record.getMessage() for record in caplog.records)
    assert any("tokens-" in path for path in report["linked_elsewhere"])
    verify.TOOL.run(["--corpus", str(copied)])
    other = root / "other-run"
    other.mkdir()
    (other / "checkpoint.json").write_text(json.dumps({"corpus_sha256": "0" * 64, "step": 3}))
    readers = ["--joined", str(joined), str(copied), "--runs", str(root / "run"), str(other)]
    later = take_down(
        corpus, "--urls", "http://site3.example/3", *readers
    )  # the shards that were joined are of an earlier version
    assert [held["folder"] for held in later["joined"]] == [str(joined), str(copied)]
    assert [read["step"] for read in later["checkpoints"]] == [10]
    assert [(read["step"], read["corpus_sha256"]) for read in later["checkpoints_unknown"]] == [(3, "0" * 64)]
    again = take_down(corpus, "--document-ids", _id_of(corpus, 4), "--joined", str(root / "less"), "--runs", str(root / "run"))
    assert [held["folder"] for held in again["joined"]] == [str(root / "less")]
    assert [len(again["checkpoints"]), len(again["checkpoints_unknown"])] == [0, 1]


@pytest.mark.slow
def test_a_list_that_matches_nothing_is_no_failure_in_place(
    corpus: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = everything(corpus)
    listed = tmp_path / "list.txt"
    listed.write_text("http://site1.example/777  asked by mail\nt3_zzzz\nnever.example\n")
    with caplog.at_level(logging.INFO):
        remove.TOOL.run(["--corpus", str(corpus), "--replace", "--list", str(listed)])
    assert everything(corpus) == before
    assert sum("matches no document" in record.getMessage() for record in caplog.records) == 3
    with pytest.raises(InputError, match="nothing is asked for"):
        remove.TOOL.run(["--corpus", str(corpus), "--replace"])


@pytest.mark.slow
def test_join_leaves_out_what_is_listed_and_what_an_earlier_month_holds(corpus: Path, tmp_path: Path) -> None:
    root = corpus.parent.parent
    later = Path(shutil.copytree(corpus, root / "later" / "corpus"))
    take_down(corpus, "--urls", "http://site6.example/6")
    months = ["--tokens", str(corpus / "tokens"), str(later / "tokens")]
    first, both = shard_texts(corpus / "tokens"), shard_texts(later / "tokens")
    joined = root / "joined"
    with pytest.raises(InputError, match=rf"later/corpus/tokens: {len(first)} of its documents are in earlier months too"):
        join.TOOL.run([*months, "--output", str(joined)])
    join.TOOL.run([*months, "--output", str(joined), "--drop-repeated"])
    assert sorted(shard_texts(joined)) == sorted(both)
    listed = tmp_path / "list.txt"
    gone = {text_of(later, number) for number in (2, 6)}
    listed.write_text(f"{_id_of(later, 6)}\nhttp://site2.example/2\n")
    join.TOOL.run([*months, "--output", str(joined), "--drop-repeated", "--takedown", str(listed), "--also-read", str(root)])
    assert sorted(shard_texts(joined)) == sorted(text for text in both if text not in gone)
    dataset = Dataset.load(joined)
    dataset.verify()
    assert sum(split.text_bytes for split in dataset.splits.values()) == sum(len(text.encode()) for text in shard_texts(joined))
    manifest = StageManifest.load(str(joined))
    assert manifest.books.items_in == len(first) + len(both)
    verify.TOOL.run(["--corpus", str(joined), "--also-read", str(root)])
