"""`run` stops at the first stage that leaves nothing: exit code 2, the reason, no later stage."""

from pathlib import Path

import pytest
from dumps import row, write_dump

from pipeline.cli import main as commands
from pipeline.cli import run_command
from pipeline.storage.manifest import Books
from tokenizer.errors import InputError


def run(folder: Path, dump: Path, *flags: str) -> int:
    return commands.run(["run", "--output", str(folder), "--submissions", str(dump), "--created_before", "none", *flags])


def test_a_run_stops_where_every_submission_is_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "RS_2017-10.jsonl"
    write_dump(dump, [row(1, "http://a.example/1", score=5), row(2, "http://b.example/2", score=6)])
    for _ in range(2):  # the finished, empty stage stops the next run too
        assert run(tmp_path / "corpus", dump, "--min_karma", "1000") == 2
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


def test_one_item_is_enough() -> None:
    run_command._check_not_empty("pages", Books(7, 1, {"a": 6}))


def test_a_given_vocabulary_reads_no_documents() -> None:
    run_command._check_not_empty("vocabulary", Books())
