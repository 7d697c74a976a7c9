"""Empty corpora: `run` stops at the first stage that leaves nothing, with exit code 2 and the reason; each stage takes zero rows."""

from pathlib import Path

import pytest
from corpora import documents_folder
from dumps import row, write_dump
from small_web import Month, write_month

from pipeline.cli import main as commands
from pipeline.cli import run_command
from pipeline.storage.manifest import Books, StageManifest
from tokenizer.bpe import train
from tokenizer.errors import InputError
from tokenizer.shards import Manifest


def run(folder: Path, dump: Path, *flags: str) -> int:
    return commands.run(["run", "--output", str(folder), "--submissions", str(dump), "--created-before", "none", *flags])


def test_a_run_stops_where_every_submission_is_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "RS_2017-10.jsonl"
    write_dump(dump, [row(1, "http://a.example/1", score=5), row(2, "http://b.example/2", score=6)])
    for _ in range(2):  # the finished, empty stage stops the next run too
        assert run(tmp_path / "corpus", dump, "--min-karma", "1000") == 2
        error = capsys.readouterr().err
        assert "error: links: nothing is left of 2, most were dropped as 'low_karma'" in error
    assert [path.name for path in (tmp_path / "corpus").iterdir()] == ["links"]


@pytest.mark.parametrize(
    ("books", "message"),
    [
        (Books(), "pages: its input is empty"),
        (Books(7, 0, {"a": 3, "b": 4}), "pages: nothing is left of 7, most were dropped as 'b'"),
        (Books(1_000, 0, {"timeout": 1_000}), "pages: nothing is left of 1,000, most were dropped as 'timeout'"),
        (Books(2, 0, {"b": 1, "a": 1}), "pages: nothing is left of 2, most were dropped as 'a'"),
    ],
)
def test_the_line_names_stage_and_commonest_reason(books: Books, message: str) -> None:
    with pytest.raises(InputError) as raised:
        run_command._check_not_empty("pages", books)
    assert str(raised.value).startswith(message)
    assert ("--retry-failed" in str(raised.value)) == ("'timeout'" in message)


@pytest.mark.parametrize(("stage", "books"), [("pages", Books(7, 1, {"a": 6})), ("vocabulary", Books())], ids=["one", "given"])
def test_one_item_is_enough_and_a_given_vocabulary_reads_none(stage: str, books: Books) -> None:
    """The last item dropped, or another stage without documents, ends the run: the check is not always silent."""
    run_command._check_not_empty(stage, books)
    with pytest.raises(InputError):
        run_command._check_not_empty("pages", Books(books.items_in, 0, {"a": books.items_in} if books.items_in else {}))


@pytest.fixture(scope="module")
def month(tmp_path_factory: pytest.TempPathFactory) -> Month:
    return write_month(tmp_path_factory.mktemp("month"), pages=6)


def run_month(folder: Path, month: Month, *flags: str) -> int:
    return run(folder, Path(month.dump), "--fetch-from", month.warc, "--workers", "1", *flags)


SITES = "".join(f"site{i}.example\n" for i in range(7))


@pytest.mark.parametrize(
    ("flag", "value", "content", "last", "reason"),
    [
        ("--exclude-sites", "example", None, "links", "removed_site"),
        ("--min-karma", "1000", None, "links", "low_karma"),
        ("--only-subreddits", None, "r/nothing\n", "links", "subreddit"),
        ("--domain-policy", None, SITES, "links", "blocked_site"),
        ("--languages", "fr", None, "documents", "language"),
        ("--min-characters", "10000000", None, "documents", "too_short"),
        ("--bad-words", None, "the\n", "documents", "bad_words"),
        ("--takedown", None, SITES, "pages", "taken_down"),
    ],
)
def test_a_run_stops_at_the_first_stage_that_leaves_nothing(
    month: Month,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    flag: str,
    value: str | None,
    content: str | None,
    last: str,
    reason: str,
) -> None:
    if content is not None:
        (tmp_path / "list").write_text(content)
    assert run_month(tmp_path / "corpus", month, flag, value or str(tmp_path / "list")) == 2
    assert_stopped(tmp_path / "corpus", capsys, last, reason)


def test_a_run_stops_where_the_archives_hold_no_page(month: Month, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "urls.txt").write_text("http://elsewhere.example/1\nhttp://elsewhere.example/2\n")
    command = ["run", "--output", str(tmp_path / "corpus"), "--urls", str(tmp_path / "urls.txt"), "--fetch-from", month.warc]
    assert commands.run([*command, "--workers", "1"]) == 2
    assert_stopped(tmp_path / "corpus", capsys, "pages", "not_archived")


def assert_stopped(corpus: Path, capsys: pytest.CaptureFixture[str], last: str, reason: str) -> None:
    (line,) = (line for line in capsys.readouterr().err.splitlines() if line.startswith("error:"))
    assert line.startswith(f"error: {last}: nothing is left of ")
    assert f"'{reason}'" in line
    started = ["links", "pages", "documents"]
    assert sorted(path.name for path in corpus.iterdir()) == sorted(started[: started.index(last) + 1])


def empty_stages(folder: Path, documents: str) -> list[tuple[str, ...]]:
    """Commands of the stages from `dedup` on that read a corpus without documents; the vocabulary is trained elsewhere."""
    train({"the": 9, "then": 5}, 259).save(folder / "ready")
    return [
        ("dedup", "--input", documents),
        ("vocabulary", "--input", str(folder / "dedup"), "--tokenizer", "given", "--tokenizer-path", str(folder / "ready")),
        ("tokens", "--input", str(folder / "dedup"), "--vocabulary", str(folder / "vocabulary")),
        ("overlap", "--input", str(folder / "dedup"), "--evaluation-sets", str(folder / "set.txt")),
    ]


def books_of(folder: Path) -> Books:
    return StageManifest.load(str(folder)).books


@pytest.mark.parametrize("shards", [0, 1, 3])
def test_every_stage_takes_zero_documents(tmp_path: Path, shards: int) -> None:
    (tmp_path / "set.txt").write_text("one two three four five six seven eight nine ten\n")
    documents = documents_folder(tmp_path / "documents", [], shards)
    for name, *flags in empty_stages(tmp_path, documents):
        assert commands.run([name, *flags, "--output", str(tmp_path / name), "--workers", "1"]) == 0
        assert books_of(tmp_path / name).items_out == 0
    dataset = Manifest.load(tmp_path / "tokens")
    assert {name: (split.documents, split.tokens) for name, split in dataset.splits.items()} == {"train": (0, 0)}
    for tool, *flags in (
        ("report", "--output", str(tmp_path / "page")),
        ("card", "--contact", "a@b.example"),
        ("inspect",),
        ("inspect", "--like", "a text of more than a few words, which no document can be like"),
        ("verify",),
    ):
        assert commands.run([tool, "--corpus", str(tmp_path), *flags]) == 0


def test_stages_take_zero_links_and_zero_pages(tmp_path: Path) -> None:
    dump = tmp_path / "RS_2017-10.jsonl"
    write_dump(dump, [row(1, "http://a.example/1", score=1)])
    for name, *flags in (
        ("links", "--submissions", str(dump), "--created-before", "none"),
        ("pages",),
        ("documents",),
        ("dedup",),
    ):
        assert commands.run([name, "--corpus", str(tmp_path / "c"), *flags, "--workers", "1"]) == 0
        assert books_of(tmp_path / "c" / name).items_out == 0


def test_a_vocabulary_of_no_text_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    documents = documents_folder(tmp_path / "documents", [], 2)
    for more in ((), ("--smaller-vocabulary",), ("--trainer", "tokenizers", "--smaller-vocabulary")):
        assert commands.run(["vocabulary", "--input", documents, "--output", str(tmp_path / "v"), *more]) == 2
        assert "holds no documents to train a vocabulary on" in capsys.readouterr().err


def tokens_of(folder: Path, texts: list[str], *flags: str) -> dict[str, int]:
    """Documents per split of the token shards of some texts."""
    documents = documents_folder(folder / "documents", texts, 2)
    train({"the": 9, "then": 5}, 259).save(folder / "ready")
    vocabulary = ("--tokenizer", "given", "--tokenizer-path", str(folder / "ready"))
    assert commands.run(["vocabulary", "--input", documents, "--output", str(folder / "v"), *vocabulary]) == 0
    command = ["tokens", "--input", documents, "--vocabulary", str(folder / "v"), "--output", str(folder / "tokens")]
    assert commands.run([*command, "--workers", "1", *flags]) == 0
    return {name: split.documents for name, split in Manifest.load(folder / "tokens").splits.items()}


def texts(count: int) -> list[str]:
    return [f"the document of number {i}, and then more" for i in range(count)]


@pytest.mark.parametrize(
    ("count", "flags", "expected"),
    [
        (397, (), {"train": 396, "validation": 1}),
        (2, (), {"train": 1, "validation": 1}),
        (3, ("--test-share", "0.001"), {"train": 1, "validation": 1, "test": 1}),
        (2, ("--test-share", "0.001"), {"train": 1, "validation": 1}),
        (9, ("--validation-share", "0", "--test-share", "0.001"), {"train": 8, "test": 1}),
        (9, ("--validation-share", "0"), {"train": 9}),
        (1, (), {"train": 1}),
    ],
)
def test_a_share_too_small_for_the_corpus_still_holds_out_one_document(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int, flags: tuple[str, ...], expected: dict[str, int]
) -> None:
    caplog.set_level("INFO")
    assert tokens_of(tmp_path, texts(count), *flags) == expected
    asked = {"validation": "--validation-share" not in flags, "test": "--test-share" in flags}
    for split, is_asked in asked.items():
        said = [line for line in caplog.messages if f"--{split}_share" in line or f"held out for {split}" in line]
        assert len(said) == int(is_asked)
        assert all(("is none, so one is held out" in line) == (split in expected) for line in said)
