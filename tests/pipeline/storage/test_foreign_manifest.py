"""Manifests of others: where they may send us, what each field may be, and that our own keep working wherever they lie."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from manifest_chain import Change, change, follow

from pipeline.cli.main import run
from pipeline.corpus.folder import CorpusFolder, stage_folders
from pipeline.engine.stage_folder import finish_closing
from pipeline.storage.document_shards import document_shards
from pipeline.storage.manifest import StageManifest, input_folder
from pipeline.storage.places import naming
from pipeline.storage.verification import check_input
from tokenizer.errors import InputError

FIELDS: dict[str, tuple[Change, str]] = {
    "rows is text": (lambda body: body["files"][0].update(rows="7"), r"files\[0\].rows is '7'"),
    "rows is 10^18": (lambda body: body["files"][0].update(rows=10**18), r"files\[0\].rows is 1000000000000000000"),
    "rows is negative": (lambda body: body["files"][0].update(rows=-1), r"files\[0\].rows is -1"),
    "rows is NaN": (lambda body: body["files"][0].update(rows=float("nan")), r"files\[0\].rows is nan"),
    "bytes is a list": (lambda body: body["files"][0].update(bytes=[1]), r"files\[0\].bytes is \[1\]"),
    "name climbs": (lambda body: body["files"][0].update(name="../../secret"), r"'../../secret' leads out"),
    "name is absolute": (lambda body: body["files"][0].update(name="/etc/passwd"), r"'/etc/passwd' leads out"),
    "name is remote": (lambda body: body["files"][0].update(name="s3://bucket/x"), r"'s3://bucket/x' leads out"),
    "name has an escape": (lambda body: body["files"][0].update(name="a\x1b[2Jb"), r"'a\\x1b\[2Jb' is not one"),
    "files is an object": (lambda body: body.update(files={}), "files is {}"),
    "books count text": (lambda body: body["books"].update(items_in="40"), "books.items_in is '40'"),
    "a drop is a fraction": (lambda body: body["books"]["dropped"].update(low=0.5), "books.dropped.low is 0.5"),
    "a counter is null": (lambda body: body["counters"].update(x=None), "counters.x is None"),
    "a setting is deep": (lambda body: body["settings"].update(x=[[1]]), r"settings.x is \[\[1\]\]"),
    "an input is a path": (lambda body: body["inputs"].update(x="../y"), r"inputs.x is '../y'"),
    "a hash is short": (lambda body: body["files"][0].update(sha256="ab"), r"files\[0\].sha256 is 'ab'"),
    "stage is missing": (lambda body: body.pop("stage"), "missing required field `stage`"),
    "a field too many": (lambda body: body.update(surprise=1), "unknown field `surprise`"),
    "another version": (lambda body: body.update(format_version=2), "format_version 2"),
}


@pytest.fixture
def corpus(chosen: Any, tmp_path: Path) -> Path:
    """A copy of the corpus, at another place than where it was made."""
    shutil.copytree(chosen.folder, tmp_path / "moved" / "corpus")
    return tmp_path / "moved" / "corpus"


def test_a_moved_corpus_keeps_working(corpus: Path) -> None:
    assert document_shards(str(corpus / "dedup"))[0].table(["url"]).num_rows
    check_input(str(corpus / "dedup"), 1)
    assert run(["inspect", "--corpus", str(corpus)]) == 0
    assert run(["verify", "--corpus", str(corpus)]) == 0


@pytest.mark.parametrize("field", FIELDS)
def test_each_field_has_its_type_and_range(corpus: Path, field: str, capsys: pytest.CaptureFixture[str]) -> None:
    how, said = FIELDS[field]
    change(corpus / "dedup", how)
    with pytest.raises(InputError, match=f"{corpus}/dedup/manifest.json: .*{said}") as refusal:
        StageManifest.load(str(corpus / "dedup"))
    assert "\n" not in str(refusal.value)
    assert run(["inspect", "--corpus", str(corpus)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


PLACES = ["s3://bucket/documents", "gs://b/d", "hdfs://h/d", "/etc", "../../elsewhere", "../../../../../etc", "http://127.0.0.1:9/d",
          "../corpus2/documents", "file:///etc", ".."]  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_an_input_elsewhere_is_read_only_where_a_flag_names_it(
    corpus: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change(corpus / "dedup", lambda body: body["inputs"]["documents"].update(path=place))
    for read in (document_shards, lambda folder: check_input(folder, 1)):
        with pytest.raises(InputError, match=r"dedup/manifest.json: names an input at .* --also-read") as refusal:
            read(str(corpus / "dedup"))
        assert place in str(refusal.value)
    follow(corpus)
    assert run(["report", "--corpus", str(corpus), "--workers", "1"]) == 2
    assert "--also-read" in capsys.readouterr().err


def test_a_named_place_is_read(corpus: Path) -> None:
    elsewhere = corpus.parents[1] / "disk"
    shutil.move(corpus / "documents", elsewhere / "documents")
    change(corpus / "dedup", lambda body: body["inputs"]["documents"].update(path=str(elsewhere / "documents")))
    follow(corpus)
    with naming(str(elsewhere)):
        assert document_shards(str(corpus / "dedup"))
    with pytest.raises(InputError, match="--also-read"):
        document_shards(str(corpus / "dedup"))
    assert run(["report", "--corpus", str(corpus), "--also-read", str(elsewhere), "--workers", "1"]) == 0


def test_a_stages_folder_that_is_a_link_out_is_read_only_where_a_flag_names_it(
    corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = corpus.parents[1] / "disk"
    shutil.move(corpus / "links", disk / "links")
    (corpus / "links").symlink_to(disk / "links")
    for command in (["inspect"], ["verify"], ["report", "--workers", "1"]):
        assert run([*command, "--corpus", str(corpus)]) == 2
        assert f"{corpus}/links: is a link to {disk}/links" in capsys.readouterr().err
        assert run([*command, "--corpus", str(corpus), "--also-read", str(disk)]) == 0


def test_an_input_that_has_changed_is_refused(corpus: Path) -> None:
    change(corpus / "documents", lambda body: body["counters"].update(changed=1))
    with pytest.raises(InputError, match=r"documents: not what the stage 'dedup' in .*dedup was made from"):
        document_shards(str(corpus / "dedup"))
    with pytest.raises(InputError, match="run 'dedup' again"):
        input_folder(str(corpus / "dedup"), StageManifest.load(str(corpus / "dedup")), "documents")


def test_a_manifest_without_its_input_is_refused(corpus: Path) -> None:
    change(corpus / "dedup", lambda body: body["inputs"].clear())
    with pytest.raises(InputError, match="names no input 'documents'"):
        document_shards(str(corpus / "dedup"))


@pytest.mark.parametrize("kind", ["fifo", "zero", "outside", "folder"])
def test_a_file_that_is_none_is_refused(corpus: Path, kind: str) -> None:
    path = corpus / "links" / StageManifest.load(str(corpus / "links")).files[-1].name
    shutil.move(path, corpus.parent / "kept")
    make = {
        "fifo": lambda: os.mkfifo(path),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "outside": lambda: path.symlink_to(corpus.parent / "kept"),
        "folder": path.mkdir,
    }
    make[kind]()
    with pytest.raises(InputError, match=f"links/manifest.json.*{path.name}: it is a"):
        CorpusFolder.open(stage_folders(str(corpus)))


def test_a_missing_file_and_a_huge_manifest_are_one_line(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = next((corpus / "links").glob("*.parquet"))
    table.unlink()
    assert run(["inspect", "--corpus", str(corpus), "--submission", "s1"]) == 2
    assert f"{table}: missing" in capsys.readouterr().err
    with (corpus / "links" / "manifest.json").open("r+b") as file:
        file.truncate(2 << 30)
    assert run(["inspect", "--corpus", str(corpus)]) == 2
    assert "2,147,483,648 bytes" in capsys.readouterr().err


def rewrite(path: Path, column: str, values: pa.Array) -> None:
    """Replace a column of a Parquet file; its manifest agrees."""
    table = pq.ParquetFile(path).read()
    at = table.column_names.index(column)
    pq.write_table(table.set_column(at, pa.field(column, values.type), values), path)
    agree(path)


def agree(path: Path) -> None:
    folder = path.parent

    def seal(body: dict[str, Any]) -> None:
        (entry,) = (entry for entry in body["files"] if entry["name"] == path.name)
        entry |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    change(folder, seal)


KEEPS = {
    "descending": ([5, 4, 3], "do not ascend"),
    "negative": ([-1, 4, 5], "do not ascend"),
    "twice": ([4, 4, 5], "do not ascend"),
    "beyond": ([10**12], "keeps row 1000000000000|keeps other documents"),
}


@pytest.mark.parametrize("kind", KEEPS)
def test_a_keep_list_selects_rows_that_are_there(corpus: Path, kind: str) -> None:
    rows, said = KEEPS[kind]
    path = next((corpus / "dedup").glob("keep-*.parquet"))
    kept = pq.ParquetFile(path).read().num_rows
    rewrite(path, "row", pa.array([*range(kept - 1), *rows] if kind == "beyond" else [*rows, *range(6, kept + 3)], pa.int64()))
    (shard,) = document_shards(str(corpus / "dedup"))
    with pytest.raises(InputError, match=said):
        list(shard.batches(["url"]))
    with pytest.raises(InputError, match=said):
        shard.table(["url"])


COLUMNS = {
    "not utf8": ("text", lambda n: pa.array([b"caf\xc3"] * n, pa.large_binary()).view(pa.large_string()), "UTF"),
    "null": ("text", lambda n: pa.nulls(n, pa.large_string()), "nulls"),
    "another type": ("text", lambda n: pa.array(range(n), pa.int64()), "type int64, not large_string"),
    "narrower": ("document_id", lambda n: pa.array([b"ab"] * n, pa.binary(2)), r"fixed_size_binary\[2\]"),
    "late": ("submitted_at", lambda n: pa.array([2**62] * n, pa.timestamp("us", tz="UTC")), "years 1 to 9999"),
    "early": ("submitted_at", lambda n: pa.array([-(2**62)] * n, pa.timestamp("us", tz="UTC")), "years 1 to 9999"),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_column_has_its_type_and_valid_values(corpus: Path, kind: str) -> None:
    column, values, said = COLUMNS[kind]
    path = next((corpus / "documents").glob("documents-*.parquet"))
    rewrite(path, column, values(pq.read_metadata(path).num_rows))
    (shard,) = document_shards(str(corpus / "documents"))
    with pytest.raises(InputError, match=f"{path}: .*{said}"):
        list(shard.batches([column]))


def test_rows_that_the_file_does_not_hold_are_refused(corpus: Path) -> None:
    change(corpus / "documents", lambda body: [entry.update(rows=entry["rows"] + 1) for entry in body["files"]])
    with pytest.raises(InputError, match=r"holds \d+ rows, its manifest says \d+"):
        check_input(str(corpus / "documents"), 1)


@pytest.mark.parametrize("name", ["../../kept", "/etc/hostname", "a/../../../kept", "s3://bucket/x"])
def test_the_files_that_an_update_removes_lie_in_its_folder(corpus: Path, name: str) -> None:
    kept = corpus.parent / "kept"
    kept.write_text("ours")
    (corpus / "links" / ".work").mkdir()
    closing = {"manifest": StageManifest.load(str(corpus / "links")).sha256, "replaced": [name]}
    (corpus / "links" / ".work" / "closing.json").write_text(json.dumps(closing))
    with pytest.raises(InputError, match=r"closing\.json: not written by this program"):
        finish_closing(str(corpus / "links"))
    assert kept.exists()
