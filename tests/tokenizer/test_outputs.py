"""No command of `webtext tokenizer` overwrites what another command, or someone else, made."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from tokenizer.__main__ import main
from tokenizer.bpe import train
from tokenizer.codec import Tokenizer
from tokenizer.convert import write_folder
from tokenizer.folder_lock import LOCK
from tokenizer.shards import Manifest

ASIDE = ".x.bin.aside"
ROOT = Path(__file__).parents[2]
SLOW_EXPORT = """
import sys
from tokenizer import commands
from tokenizer.__main__ import main
write = commands.WRITERS["nanogpt"]
def wait_and_write(*arguments):
    print("writing", flush=True)
    input()
    write(*arguments)
commands.WRITERS["nanogpt"] = wait_and_write
sys.exit(main(sys.argv[1:]))
"""
"""An export that waits for a line of input before it writes."""


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    tokenizer = train({"the": 9, "then": 5}, 259)
    tokenizer.save(tmp_path / "t")
    return tokenizer


def write_bin(path: Path, tokenizer: Tokenizer, documents: int) -> Path:
    np.array([*tokenizer.encode("the then"), tokenizer.eot_id] * documents, "<u2").tofile(path)
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def ingest(tmp_path: Path, file: Path, output: Path, *more: str, tokenizer: str = "t") -> int:
    command = ["import", str(file), "--format", "nanogpt", "--tokenizer", str(tmp_path / tokenizer), "--output", str(output)]
    return main([*command, *more])


def test_two_imports_make_one_dataset_of_two_splits(tmp_path: Path, tokenizer: Tokenizer) -> None:
    for split, documents in (("train", 9), ("validation", 4)):
        assert ingest(tmp_path, write_bin(tmp_path / split, tokenizer, documents), tmp_path / "data", "--split", split) == 0
    dataset = Manifest.load(tmp_path / "data")
    dataset.verify()
    assert {name: split.documents for name, split in dataset.splits.items()} == {"train": 9, "validation": 4}


def test_import_changes_no_split_no_corpus_and_no_other_folder(
    tmp_path: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write_bin(tmp_path / "train.bin", tokenizer, 9)
    assert ingest(tmp_path, file, tmp_path / "data") == 0
    corpus = tmp_path / "corpus"
    tokens = np.fromfile(write_bin(tmp_path / "large", tokenizer, 99), "<u2")
    write_folder(corpus, {"train": tokens}, tokenizer)
    body = json.loads((corpus / "manifest.json").read_bytes())
    (corpus / "manifest.json").write_text(json.dumps({**body, "stage": "tokens"}))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    train({"ab": 3}, 258).save(tmp_path / "other")
    tokenizer.save(tmp_path / "tokenizer of a run")
    for folder, more, name, message in (
        ("data", (), "t", "has a split 'train' already"),
        ("data", ("--split", "validation"), "other", "made with another tokenizer"),
        ("corpus", ("--split", "extra"), "t", "holds the output of a pipeline's stage"),
        ("mine", (), "t", "holds other files (notes.txt)"),
        ("large", (), "t", "give a folder"),
        ("new", ("--split", "../data"), "t", "a name of letters"),
        ("new", ("--split", ""), "t", "a name of letters"),
    ):
        before = contents(tmp_path)
        assert ingest(tmp_path, file, tmp_path / folder, *more, tokenizer=name) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert message in line
        assert contents(tmp_path) == before


def test_import_refuses_ids_that_the_tokenizer_does_not_have(
    tmp_path: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    np.array([5, 60_000, tokenizer.eot_id], "<u2").tofile(tmp_path / "x.bin")
    (tmp_path / "empty.bin").write_bytes(b"")
    for name, message in (("x.bin", "holds id 60,000, the tokenizer has 259 entries"), ("empty.bin", "holds no tokens")):
        assert ingest(tmp_path, tmp_path / name, tmp_path / "data") == 2
        assert message in capsys.readouterr().err
        assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(("kind", "files"), [("nanogpt", ["x"]), ("llmc", ["x"]), ("megatron", ["x.bin", "x.idx"])])
def test_export_overwrites_no_file(tmp_path: Path, tokenizer: Tokenizer, kind: str, files: list[str]) -> None:
    write_folder(tmp_path / "data", {"train": np.fromfile(write_bin(tmp_path / "b", tokenizer, 9), "<u2")}, tokenizer)
    command = ["export", str(tmp_path / "data"), "--format", kind, "--output", str(tmp_path / "new" / "x")]
    assert main(command) == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == files
    for name in files:
        for other in files:
            (tmp_path / "new" / other).unlink(missing_ok=True)
        (tmp_path / "new" / name).write_text("mine")
        assert main(command) == 2
        assert contents(tmp_path / "new") == {name: b"mine"}


@contextmanager
def export_at_work(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that exports, and waits before it writes."""
    words = [sys.executable, "-c", SLOW_EXPORT, *command]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout
        assert process.stdout.readline() == "writing\n"
        yield process
        process.kill()


@pytest.fixture
def export(tmp_path: Path, tokenizer: Tokenizer) -> list[str]:
    """A command without the name of its file."""
    write_folder(tmp_path / "data", {"train": np.fromfile(write_bin(tmp_path / "b", tokenizer, 9), "<u2")}, tokenizer)
    return ["export", str(tmp_path / "data"), "--format", "nanogpt", "--output"]


@pytest.mark.parametrize("name", ["x.bin", "y.bin"])
def test_a_second_export_into_a_folder_is_refused_and_the_first_ends_well(
    tmp_path: Path, export: list[str], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    folder = tmp_path / "new"
    with export_at_work([*export, str(folder / "x.bin")]) as process:
        before = contents(tmp_path)
        assert main([*export, str(folder / name)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{folder}: process {process.pid} on host {socket.gethostname()} works in this folder; wait for its end" in line
        assert contents(tmp_path) == before
        process.communicate("\n")
    assert process.returncode == 0
    assert [path.name for path in folder.iterdir()] == ["x.bin"]
    assert main([*export, str(folder / "y.bin")]) == 0
    assert (folder / "y.bin").read_bytes() == (folder / "x.bin").read_bytes()


def test_the_lock_of_a_killed_export_holds_nobody_up(tmp_path: Path, export: list[str]) -> None:
    folder = tmp_path / "new"
    with export_at_work([*export, str(folder / "x.bin")]) as process:
        process.kill()
        process.wait()
        assert json.loads((folder / LOCK).read_text())["pid"] == process.pid
        (folder / ASIDE / "x.bin").write_bytes(b"half")
        assert main([*export, str(folder / "x.bin")]) == 0
    assert [path.name for path in folder.iterdir()] == ["x.bin"]


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_others_put_where_an_export_writes_is_left_alone(
    tmp_path: Path, export: list[str], capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    aside = tmp_path / "new" / ASIDE
    aside.parent.mkdir()
    if kind == "folder":
        aside.mkdir()
        (aside / "notes.txt").write_text("mine")
    elif kind == "file":
        aside.write_text("mine")
    else:
        aside.symlink_to(tmp_path / "data")
    before = contents(tmp_path)
    assert main([*export, str(tmp_path / "new" / "x.bin")]) == 2
    assert str(aside) in capsys.readouterr().err
    assert contents(tmp_path) == before


def test_train_writes_into_an_empty_folder_alone(
    tmp_path: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.txt").write_text("the cat and the hat " * 50)
    command = ["train", str(tmp_path / "a.txt"), "--vocab-size", "262", "--output"]
    before = contents(tmp_path / "t")
    assert main([*command, str(tmp_path / "t")]) == 2
    assert "holds other files" in capsys.readouterr().err
    assert contents(tmp_path / "t") == before
    (tmp_path / "empty").mkdir()
    assert main([*command, str(tmp_path / "empty")]) == 0
    assert sorted(contents(tmp_path / "empty")) == sorted(before)
