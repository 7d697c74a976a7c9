"""Files that the user names are opened and parsed before any work; a command that is refused leaves every folder as it was."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
from corpora import TOPICS, documents_folder
from small_web import Month, write_month

from pipeline.cli.main import run as run_command
from pipeline.cli.registry import STAGES
from pipeline.storage.manifest import StageManifest
from tokenizer.bpe import train

NAMED = frozenset({"FILE", "DIR", "PATH", "SET", "POLICY"})
"""Metavars of settings that name something of the user's."""


def run(words: list[str]) -> int:
    return run_command([*words, "--workers", "1"])


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    return write_month(tmp_path_factory.mktemp("month"), pages=4)


@pytest.mark.parametrize("stage", STAGES)
def test_every_setting_that_names_a_file_says_how_it_is_read(stage: str) -> None:
    kind = STAGES[stage].settings
    assert [f.name for f in fields(kind) if f.metadata["metavar"] in NAMED and f.metadata["reads"] is None] == []


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


BROKEN: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
    "empty": lambda path: path.write_bytes(b""),
    "binary": lambda path: path.write_bytes(bytes(range(256)) * 9),
}
"""How the file or folder of a flag is wrong."""

LISTS = ("--bad-words", "--domain-policy", "--only-subreddits", "--without-subreddits")
TAKEN = {("--takedown", "empty"), ("--urls", "empty"), *((flag, "binary") for flag in LISTS)}
"""A list of take-downs or of URLs may have no entry yet, and any byte is a word of some encoding."""


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(
    "flag",
    [
        *(
            "--submissions",
            "--urls",
            "--domain-policy",
            "--only-subreddits",
            "--without-subreddits",
            "--ca-bundle",
            "--fetch-from",
        ),
        *("--bad-words", "--takedown", "--against", "--tokenizer-path", "--webtext-domains", "--run", "--evaluation"),
    ],
)
def test_a_run_with_a_bad_file_for_a_late_stage_starts_none(
    month: Month, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, how: str
) -> None:
    if (flag, how) in TAKEN:
        how = "missing"
    bad = tmp_path / "the bad one"
    BROKEN[how](bad)
    own = [] if flag == "--submissions" else ["--submissions", month.dump]
    more = ["--tokenizer", "given"] if flag == "--tokenizer-path" else []
    archive = ["--fetch-from", month.warc]
    code = run(["run", "--output", str(tmp_path / "corpus"), *own, *archive, *more, flag, str(bad)])
    (line,) = capsys.readouterr().err.splitlines()
    assert code == 2
    assert str(bad) in line
    assert flag in line
    assert not (tmp_path / "corpus").exists()


@pytest.mark.parametrize("how", BROKEN)
def test_a_bad_evaluation_set_is_refused_before_the_search(tmp_path: Path, capsys: pytest.CaptureFixture[str], how: str) -> None:
    documents = documents_folder(tmp_path / "documents", TOPICS[:3])
    bad = tmp_path / "set.jsonl"
    BROKEN[how](bad)
    good = tmp_path / "good.txt"
    good.write_text(TOPICS[0])
    command = ["overlap", "--input", documents, "--output", str(tmp_path / "out"), "--evaluation-sets", str(good)]
    assert run([*command, f"bad={bad}"]) == 2
    assert str(bad) in capsys.readouterr().err
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert run(command) == 0


@pytest.mark.parametrize(("flag", "content"), [("--takedown", "site0.example\n"), ("--bad-words", "zzzz\n")])
def test_a_mistyped_list_does_not_bind_the_folder(
    month: Month, tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, content: str
) -> None:
    corpus = str(tmp_path / "c")
    assert run(["links", "--corpus", corpus, "--submissions", month.dump]) == 0
    assert run(["pages", "--corpus", corpus, "--fetch-from", month.warc]) == 0
    assert run(["documents", "--corpus", corpus, flag, str(tmp_path / "lsit")]) == 2
    assert f"{flag} {tmp_path / 'lsit'}: no such file" in capsys.readouterr().err
    (tmp_path / "list").write_text(content)
    assert run(["documents", "--corpus", corpus, flag, str(tmp_path / "list")]) == 0


@pytest.fixture
def documents(tmp_path: Path) -> str:
    return documents_folder(tmp_path / "documents", TOPICS[:6])


def test_a_vocabulary_too_large_for_the_text_does_not_bind_the_folder(
    documents: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["vocabulary", "--input", documents, "--output", str(tmp_path / "v")]
    assert run([*command]) == 2
    assert "the text runs out of pairs at" in capsys.readouterr().err
    assert run([*command, "--vocab-size", "300"]) == 0


def test_a_refused_replacement_leaves_the_finished_stage(
    documents: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refusals before the work, by its inputs, and by the work itself: in each the finished stage stands as it was."""
    command = ["vocabulary", "--input", documents, "--output", str(tmp_path / "v"), "--replace"]
    assert run([*command, "--vocab-size", "300"]) == 0
    before = contents(tmp_path / "v")
    train({"ab": 3}, 258).save(tmp_path / "ready")
    for more in (
        ["--vocab-size", "50257"],
        ["--tokenizer", "given", "--tokenizer-path", str(tmp_path / "nothing")],
        ["--tokenizer", "gpt2", "--tokenizer-path", str(tmp_path / "ready")],
        ["--input", str(tmp_path / "v")],
        ["--input", str(tmp_path / "nowhere")],
    ):
        assert run([*command, *more]) == 2
        after = {name: data for name, data in contents(tmp_path / "v").items() if not name.startswith((".work", ".next/.work"))}
        assert after == before
    assert run([*command, "--vocab-size", "300"]) == 0
    assert "vocabulary: up to date" not in capsys.readouterr().err


def test_damaged_inputs_leave_the_finished_stage(documents: str, tmp_path: Path) -> None:
    command = ["dedup", "--input", documents, "--output", str(tmp_path / "d"), "--replace"]
    assert run(command) == 0
    before = contents(tmp_path / "d")
    shard = next(Path(documents).glob("*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert run([*command, "--threshold", "0.5"]) == 2
    assert contents(tmp_path / "d") == before


def test_dedup_against_its_own_folder_is_refused(documents: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["dedup", "--input", documents, "--output", str(tmp_path / "d")]
    assert run(command) == 0
    before = contents(tmp_path / "d")
    (tmp_path / "link").symlink_to(tmp_path / "d")
    for spelling in (tmp_path / "d", tmp_path / "documents" / ".." / "d", tmp_path / "link"):
        assert run([*command, "--replace", "--against", str(spelling)]) == 2
        assert "is an input and the --output" in capsys.readouterr().err
    assert contents(tmp_path / "d") == before


def test_a_replaced_stage_leaves_no_file_of_the_earlier_one(documents: str, tmp_path: Path) -> None:
    command = ["dedup", "--input", documents, "--output", str(tmp_path / "d")]
    assert run(command) == 0
    assert list((tmp_path / "d").rglob("*signatures*"))
    assert run([*command, "--no_index", "--replace"]) == 0
    named = {entry.name for entry in StageManifest.load(str(tmp_path / "d")).files}
    assert set(contents(tmp_path / "d")) == {*named, "manifest.json", "run.json"}


@pytest.mark.parametrize("stage", ["dedup", "vocabulary"])
def test_a_folder_that_holds_something_else_is_refused(
    documents: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    assert run([stage, "--input", documents, "--output", str(tmp_path / "mine")]) == 2
    assert "holds files that no stage made (thesis.tex)" in capsys.readouterr().err
    assert contents(tmp_path / "mine") == {"thesis.tex": b"years of work"}
