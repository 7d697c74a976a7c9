"""Every file that a command of `webtext tokenizer` names is opened before the first is read, and nothing is left behind."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tokenizer import commands
from tokenizer.__main__ import main
from tokenizer.codec import Tokenizer
from tokenizer.shards import Manifest

TEXT = "the cat and the hat " * 50


def parquet(path: Path, column: str) -> None:
    pq.write_table(pa.table({column: ["the bat"]}), path)


BAD: dict[str, Callable[[Path], object]] = {
    "missing.txt": lambda path: None,
    "missing.parquet": lambda path: None,
    "folder.txt": lambda path: path.mkdir(),
    "folder.parquet": lambda path: path.mkdir(),
    "text.parquet": lambda path: path.write_text(TEXT),
    "empty.parquet": lambda path: path.touch(),
    "other.parquet": lambda path: parquet(path, "words"),
    "link.txt": lambda path: path.symlink_to(path.with_name("gone")),
    "loop.txt": lambda path: path.symlink_to(path.name),
    "new\nline.txt": lambda path: None,
}
"""How the last of several texts is wrong."""


@pytest.fixture
def no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """No text is read."""
    monkeypatch.setattr(commands, "_batches", lambda *_: pytest.fail("a text was read"))


@pytest.fixture
def good(tmp_path: Path) -> list[str]:
    (tmp_path / "a.txt").write_text(TEXT)
    parquet(tmp_path / "b.parquet", "text")
    return [str(tmp_path / "a.txt"), str(tmp_path / "b.parquet")]


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_a_bad_last_text_is_refused_before_the_first_is_read(
    good: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, name: str
) -> None:
    BAD[name](tmp_path / name)
    Tokenizer([]).save(tmp_path / "t")
    flags = {"train": ["--output", str(tmp_path / "deep" / "out")], "evaluate": ["--tokenizers", str(tmp_path / "t")]}
    assert main([command, *good, str(tmp_path / name), *flags[command]]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert name.split("\n")[0] in line
    assert not (tmp_path / "deep").exists()


@pytest.mark.usefixtures("no_reading")
@pytest.mark.parametrize("how", ["missing", "empty folder", "a text", "an object"])
def test_a_bad_last_tokenizer_is_refused_before_a_text_is_read(
    good: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    Tokenizer([]).save(tmp_path / "t")
    bad = tmp_path / "bad"
    if how == "empty folder":
        bad.mkdir()
    elif how != "missing":
        bad.write_text({"a text": "the cat", "an object": "{}"}[how])
    assert main(["evaluate", *good, "--tokenizers", str(tmp_path / "t"), str(bad)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(bad) in line


def test_texts_from_a_pipe_are_read_whole(good: list[str], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(TEXT,))
    writer.start()
    assert main(["train", good[1], str(tmp_path / "pipe"), "--output", str(tmp_path / "piped"), "--vocab-size", "262"]) == 0
    writer.join()
    assert main(["train", *good, "--output", str(tmp_path / "plain"), "--vocab-size", "262"]) == 0
    assert Tokenizer.load(tmp_path / "piped").pairs == Tokenizer.load(tmp_path / "plain").pairs


def test_a_refused_import_leaves_no_folder(tmp_path: Path) -> None:
    Tokenizer([]).save(tmp_path / "t")
    np.array([1, 256], "<u2").tofile(tmp_path / "good.bin")
    np.array([1, 999], "<u2").tofile(tmp_path / "bad.bin")
    common = ["--format", "nanogpt", "--tokenizer", str(tmp_path / "t"), "--output", str(tmp_path / "a" / "b" / "c")]
    assert main(["import", str(tmp_path / "good.bin"), str(tmp_path / "bad.bin"), *common]) == 2
    assert not (tmp_path / "a").exists()
    assert main(["import", str(tmp_path / "good.bin"), *common]) == 0
    Manifest.load(tmp_path / "a" / "b" / "c").verify()
