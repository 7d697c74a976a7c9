"""Two commands never write into one folder: the second is refused in one line that names the first, and touches nothing."""

import os
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipeline.cli.main import run
from pipeline.corpus import next_corpus, remove
from pipeline.corpus.reuse import reuse_stage, seed_stage
from pipeline.storage.manifest import StageManifest
from pipeline.storage.next_version import ASIDE
from tokenizer.codec import Tokenizer
from tokenizer.errors import InputError
from tokenizer.folder_lock import LOCK, folder_lock

URL = "https://news.bbc.co.uk/0"


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def corpus(chosen: Any, tmp_path: Path) -> Path:
    return Path(shutil.copytree(chosen.folder, tmp_path / "corpus"))


def commands(corpus: Path, out: Path) -> dict[str, tuple[list[str], Path]]:
    """Commands, and the folder of each that another one holds."""
    held = ["--corpus", str(corpus)]
    texts = corpus.parent / "texts"
    return {
        "dedup": (["dedup", "--input", str(corpus / "documents"), "--output", str(out), "--workers", "1"], out),
        "join": (["join", "--tokens", str(corpus / "tokens"), "--output", str(out)], out),
        "export": (["export", *held, "--format", "txt", "--output", str(out)], out),
        "remove": (["remove", *held, "--urls", URL, "--output", str(out)], out),
        "remove of a stage that is written": (["remove", *held, "--urls", URL, "--output", str(out)], corpus / "dedup"),
        "remove in place": (["remove", *held, "--urls", URL, "--replace"], corpus / "tokens"),
        "card": (["card", *held, "--contact", "a@example.org"], corpus),
        "tokenizer train": (
            ["tokenizer", "train", str(texts / "text.txt"), "--vocab-size", "260", "--output", str(out)],
            out,
        ),
        "tokenizer import": (
            [
                *("tokenizer", "import", str(texts / "train.bin"), "--format", "nanogpt"),
                *("--tokenizer", str(texts / "tokenizer"), "--output", str(out)),
            ],
            out,
        ),
        "tokenizer export": (
            ["tokenizer", "export", str(corpus / "tokens"), "--format", "nanogpt", "--output", str(out / "train.bin")],
            out,
        ),
    }


@pytest.mark.parametrize("command", commands(Path("x"), Path("y")))
def test_a_folder_in_use_is_refused_and_untouched(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "text.txt").write_text("the cat and the hat " * 50)
    Tokenizer([]).save(tmp_path / "texts" / "tokenizer")
    (tmp_path / "texts" / "train.bin").write_bytes(bytes([1, 0, 0, 1]))  # the tokens 1 and 256, the end of text
    monkeypatch.setattr("pipeline.corpus.join.check_chains", lambda folders: None)  # the chosen corpus has no vocabulary
    words, held = commands(corpus, tmp_path / "out")[command]
    with folder_lock(held):
        before = tree(tmp_path)
        assert run(words) == 2
        (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
        assert f"{held}: process {os.getpid()} on host " in line
        assert line.endswith("works in this folder; wait for its end")
        assert tree(tmp_path) == before


def test_a_second_removal_leaves_the_first_ones_next_versions(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second comes when the first has written every next version, and has not yet switched to them."""
    second: list[int] = []
    commit = next_corpus.commit

    def interrupted_commit(*arguments: Any) -> None:
        before = tree(corpus)
        second.append(run(["remove", "--corpus", str(corpus), "--urls", "https://www.nytimes.com/1", "--replace"]))
        assert tree(corpus) == before
        commit(*arguments)

    monkeypatch.setattr(next_corpus, "commit", interrupted_commit)
    remove.TOOL.run(["--corpus", str(corpus), "--urls", URL, "--replace"])
    assert second == [2]
    assert "works in this folder" in capsys.readouterr().err
    assert not list(corpus.rglob(LOCK))
    assert len(list((corpus / next_corpus.REPORTS).iterdir())) == 1


def test_a_stage_is_not_taken_over_into_a_folder_where_another_run_works(corpus: Path, tmp_path: Path) -> None:
    source, target = corpus / "links", tmp_path / "variant" / "links"
    settings = StageManifest.load(str(source)).settings
    with folder_lock(target):
        for take in (
            lambda: reuse_stage("links", str(source), str(target), settings, None),
            lambda: seed_stage(str(source), str(target)),
        ):
            with pytest.raises(InputError, match="works in this folder"):
                take()
        assert [path.name for path in target.iterdir()] == [LOCK]
    assert reuse_stage("links", str(source), str(target), settings, None)
    assert tree(target) == tree(source)


@pytest.mark.parametrize(
    "name", ["thesis.tex", ".git/HEAD", ".work/request.json", "links-00000-of-00001.parquet", "manifest.json"]
)
def test_a_stage_is_not_taken_over_beside_other_files(corpus: Path, tmp_path: Path, name: str) -> None:
    source, target = corpus / "links", tmp_path / "links"
    (target / name).parent.mkdir(parents=True)
    (target / name).write_text("mine")
    assert not reuse_stage("links", str(source), str(target), StageManifest.load(str(source)).settings, None)
    seed_stage(str(source), str(target))
    assert tree(target) == {name: b"mine"}


def test_a_killed_take_over_is_done_again(corpus: Path, tmp_path: Path) -> None:
    source, target = corpus / "links", tmp_path / "links"
    (target / ASIDE).mkdir(parents=True)
    (target / ASIDE / "links-00000-of-00009.parquet").write_text("half")
    assert reuse_stage("links", str(source), str(target), StageManifest.load(str(source)).settings, None)
    assert tree(target) == tree(source)


def test_locks_of_a_corpus_end_where_one_of_them_is_taken(corpus: Path) -> None:
    with folder_lock(corpus / "dedup"), ExitStack() as stack:
        with pytest.raises(InputError, match="works in this folder"):
            stack.enter_context(next_corpus.locked(str(corpus), None))
        assert [path.parent.name for path in corpus.rglob(LOCK)] == ["dedup"]
