"""An export holds the unique documents, or the tokens, as other tools read them; it touches nothing else."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import duckdb
import numpy as np
import polars
import pyarrow as pa
import pytest

from pipeline.corpus import export
from pipeline.corpus.export_text import TEXT_FORMATS
from pipeline.corpus.export_tokens import TOKEN_FORMATS
from pipeline.records import Document
from tokenizer.convert import READERS
from tokenizer.errors import InputError

FORMATS = [*TEXT_FORMATS, *TOKEN_FORMATS]
TEXT_END = "\n<|endoftext|>\n"


def unique(chosen: Any) -> list[Document]:
    removed = {duplicate.url for duplicate in chosen.duplicates}
    return [document for document in chosen.documents if document.url not in removed]


def run(chosen: Any, format_name: str, output: Path | str, *flags: str) -> None:
    export.TOOL.run(["--corpus", str(chosen.folder), "--format", format_name, "--output", str(output), *flags])


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_parquet_holds_every_column_of_the_unique_documents(chosen: Any, tmp_path: Path) -> None:
    run(chosen, "parquet", tmp_path / "out")
    files = str(tmp_path / "out" / "*.parquet")
    texts = [document.text for document in unique(chosen)]
    table = polars.read_parquet(files)
    assert table.columns == Document.SCHEMA.names
    assert sorted(table["text"]) == sorted(texts)
    assert duckdb.sql(f"select count(distinct document_id), sum(karma) from '{files}'").fetchall() == [
        (len(texts), sum(document.karma for document in unique(chosen)))
    ]


def test_json_lines_hold_every_column(chosen: Any, tmp_path: Path) -> None:
    run(chosen, "jsonl.zst", tmp_path / "out")
    rows = []
    for path in sorted((tmp_path / "out").glob("*.jsonl.zst")):
        with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
            rows += [json.loads(line) for line in stream.read().splitlines()]
    expected = {document.document_id.hex(): document for document in unique(chosen)}
    assert {row["document_id"] for row in rows} == expected.keys()
    for row in rows:
        document = expected[row["document_id"]]
        assert list(row) == Document.SCHEMA.names
        assert (row["text"], row["url"], row["karma"]) == (document.text, document.url, document.karma)
        assert row["published"] == (document.published.isoformat() if document.published else None)


def test_plain_text_ends_each_document_with_the_end_of_text(chosen: Any, tmp_path: Path) -> None:
    run(chosen, "txt", tmp_path / "out")
    text = "".join(path.read_text() for path in sorted((tmp_path / "out").glob("*.txt")))
    assert text.split(TEXT_END)[:-1] == [document.text for document in unique(chosen)]


def test_the_hub_layout_loads_by_its_folder(chosen: Any, tmp_path: Path) -> None:
    run(chosen, "hf", tmp_path / "out")
    loaded = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    assert sorted(loaded["text"]) == sorted(document.text for document in unique(chosen))
    assert f"{len(unique(chosen))} unique documents" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("format_name", TOKEN_FORMATS)
def test_token_formats_give_the_same_tokens_back(chosen: Any, tmp_path: Path, format_name: str) -> None:
    run(chosen, format_name, tmp_path / "out")
    eot = 299
    names = {"nanogpt": "train.bin", "llmc": "webtext_train_000000.bin", "megatron": "train_text_document"}
    tokens = READERS[format_name](tmp_path / "out" / names[format_name], eot)
    expected = [token for ids in chosen.tokens for token in (*ids, eot)]
    assert np.array_equal(tokens, expected[: len(tokens)])
    written = sum(file["rows"] for file in json.loads((tmp_path / "out" / "export.json").read_text())["files"])
    assert written == len(expected)


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_index_names_every_file_with_its_hash(chosen: Any, tmp_path: Path, format_name: str) -> None:
    run(chosen, format_name, tmp_path / "out")
    index = json.loads((tmp_path / "out" / "export.json").read_text())
    files = content(tmp_path / "out")
    del files["export.json"]
    assert {entry["name"]: (entry["bytes"], entry["sha256"]) for entry in index["files"]} == {
        name: (len(data), hashlib.sha256(data).hexdigest()) for name, data in files.items()
    }


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_finished_export_is_up_to_date_and_equal_exports_have_equal_bytes(
    chosen: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], format_name: str
) -> None:
    run(chosen, format_name, tmp_path / "out")
    before = content(tmp_path / "out")
    run(chosen, format_name, tmp_path / "out")
    run(chosen, format_name, tmp_path / "other")
    assert content(tmp_path / "out") == content(tmp_path / "other") == before
    assert "up to date" in capsys.readouterr().out


def test_documents_before_de_duplication_are_exported_on_request(chosen: Any, tmp_path: Path) -> None:
    run(chosen, "txt", tmp_path / "out", "--stage", "documents")
    text = "".join(path.read_text() for path in (tmp_path / "out").glob("*.txt"))
    assert text.count(TEXT_END) == len(chosen.documents)


@pytest.mark.parametrize("name", ["notes.txt", "manifest.json", ".hidden", "data/train.parquet"])
def test_a_folder_that_holds_something_else_is_refused_and_untouched(chosen: Any, tmp_path: Path, name: str) -> None:
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(InputError, match="holds other files"):
        run(chosen, "parquet", tmp_path / "out")
    assert content(tmp_path / "out") == {name: b"mine"}


def test_a_stage_folder_a_file_and_another_export_are_refused(chosen: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds other files"):
        run(chosen, "parquet", chosen.folder / "documents")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run(chosen, "parquet", tmp_path / "file")
    run(chosen, "txt", tmp_path / "out")
    before = content(tmp_path / "out")
    with pytest.raises(InputError, match="an export of 'dedup' as txt"):
        run(chosen, "parquet", tmp_path / "out")
    assert content(tmp_path / "out") == before


def test_flags_that_do_not_fit_are_refused(chosen: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exports tokens; leave --stage out"):
        run(chosen, "nanogpt", tmp_path / "out", "--stage", "dedup")
    with pytest.raises(InputError, match="needs local folders"):
        run(chosen, "nanogpt", "s3://bucket/out")
    with pytest.raises(InputError, match="no finished stage"):
        export.TOOL.run(["--corpus", str(tmp_path / "none"), "--format", "txt", "--output", str(tmp_path / "out")])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("format_name", ["parquet", "megatron"])
def test_an_export_killed_at_any_rename_is_finished_by_the_same_command(chosen: Any, tmp_path: Path, format_name: str) -> None:
    """A fork is killed before its n-th rename; whatever has a final name is whole, and a second run ends in the same bytes."""
    run(chosen, format_name, tmp_path / "whole")
    expected = content(tmp_path / "whole")
    script = """
import os, signal, sys
from pathlib import Path
from pipeline.corpus import export
count = [0]
def hook(event, _):
    if event == "os.rename":
        count[0] += 1
        if count[0] == int(sys.argv[1]):
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hook)
export.TOOL.run(sys.argv[2:])
"""
    for kill in (1, 2, 3):
        output = tmp_path / f"killed-{kill}"
        flags = ["--corpus", str(chosen.folder), "--format", format_name, "--output", str(output)]
        root = Path(__file__).parents[3]
        command = [sys.executable, "-W", "ignore", "-c", script, str(kill), *flags]
        done = subprocess.run(command, cwd=root, env=None, check=False, capture_output=True)
        assert done.returncode == -9, done.stderr
        left = {name: data for name, data in content(output).items() if not Path(name).name.startswith(".")}
        assert left.items() <= expected.items()
        run(chosen, format_name, output)
        assert {name: data for name, data in content(output).items() if not name.endswith(".aside")} == expected


@pytest.mark.parametrize("name", [export.INDEX, export.STARTED])
@pytest.mark.parametrize(
    "index",
    [
        lambda path: os.mkfifo(path),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.write_bytes(bytes(25 << 20)),
        lambda path: path.write_text('{"format": "txt", "stage": 7, "manifest_sha256": ""}'),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text("[]"),
    ],
    ids=["a FIFO", "a device", "large", "other types", "nested", "a list"],
)
def test_a_foreign_index_is_refused_in_one_line(chosen: Any, tmp_path: Path, index: Callable[[Path], object], name: str) -> None:
    (tmp_path / "out").mkdir()
    index(tmp_path / "out" / name)
    with pytest.raises(InputError, match=f"{tmp_path / 'out' / name}: not the index of an export"):
        run(chosen, "txt", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
