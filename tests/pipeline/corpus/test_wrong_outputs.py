"""A folder that holds anything else than the command's own earlier output is refused in one line, and stays as it was."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import run
from tokenizer.codec import Tokenizer

URL = "https://news.bbc.co.uk/0"


def tree(folder: Path) -> dict[str, object]:
    """Every file's bytes, every link's target, and the kind of everything else below a folder."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        found[name] = path.readlink() if path.is_symlink() else path.read_bytes() if path.is_file() else path.stat().st_mode
    return found


def file(path: Path, content: str = "years of work") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def fifo(path: Path) -> None:
    path.parent.mkdir(parents=True)
    os.mkfifo(path)


WRONG: dict[str, Callable[[Path, Path], object]] = {
    "another stage": lambda out, corpus: shutil.copytree(corpus / "links", out),
    "a link to another stage": lambda out, corpus: out.symlink_to(corpus / "pages"),
    "a link into nowhere's file": lambda out, corpus: (file(out.with_name("gone")), out.symlink_to(out.with_name("gone"))),
    "someone's files": lambda out, corpus: file(out / "thesis.tex"),
    "someone's hidden files": lambda out, corpus: file(out / ".git" / "HEAD"),
    "a training run": lambda out, corpus: (file(out / "config.json", "{}"), file(out / "log.jsonl", "{}\n")),
    "a network": lambda out, corpus: (file(out / "config.json", "{}"), file(out / "model.safetensors")),
    "a manifest of something else": lambda out, corpus: file(out / "manifest.json", "{}"),
    "a manifest that is a pipe": lambda out, corpus: fifo(out / "manifest.json"),
    "a manifest that is a folder": lambda out, corpus: (out / "manifest.json").mkdir(parents=True),
    "files with our names": lambda out, corpus: file(out / "documents-00000-of-00001.parquet"),
    "a file": lambda out, corpus: file(out),
    "below a file": lambda out, corpus: file(out.parent),
}
"""What lies at the place that --output names."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "text.txt").write_text("the cat and the hat " * 50)
    Tokenizer([]).save(folder / "tokenizer")
    (folder / "train.bin").write_bytes(bytes([1, 0, 0, 1]))
    return folder


def commands(corpus: Path, texts: Path, out: str) -> dict[str, list[str]]:
    """Every command that fills a folder which the user names."""
    held = ["--corpus", str(corpus)]
    return {
        "dedup": ["dedup", "--input", str(corpus / "documents"), "--output", out, "--workers", "1"],
        "dedup --replace": ["dedup", "--input", str(corpus / "documents"), "--output", out, "--workers", "1", "--replace"],
        "join": ["join", "--tokens", str(corpus / "tokens"), "--output", out],
        "export": ["export", *held, "--format", "jsonl.zst", "--output", out],
        "export of tokens": ["export", *held, "--format", "nanogpt", "--output", out],
        "remove": ["remove", *held, "--urls", URL, "--output", out],
        "remove from tokens": ["remove", "--corpus", str(corpus / "tokens"), "--document-ids", "0" * 32, "--output", out],
        "tokenizer train": ["tokenizer", "train", str(texts / "text.txt"), "--vocab-size", "260", "--output", out],
        "tokenizer import": [
            *("tokenizer", "import", str(texts / "train.bin"), "--format", "nanogpt"),
            *("--tokenizer", str(texts / "tokenizer"), "--output", out),
        ],
    }


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("command", commands(Path(), Path(), ""))
def test_what_someone_else_made_is_refused_and_untouched(
    chosen: Any, texts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, wrong: str
) -> None:
    corpus, out = tmp_path / "corpus", tmp_path / "places" / "out"
    shutil.copytree(chosen.folder, corpus)
    if wrong != "below a file":
        out.parent.mkdir()
    WRONG[wrong](out, corpus)
    before = tree(tmp_path)
    code = run(commands(corpus, texts, str(out))[command])
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2, line
    assert str(out.parent) in line
    assert tree(tmp_path) == before
