"""`webtext vary`: its --set, and mistakes in it. What it builds is shown in tests/end_to_end/test_vary.py."""

from pathlib import Path

import pytest
from dumps import row, write_dump

from pipeline.cli.main import run
from pipeline.cli.vary_command import flags_of
from tokenizer.errors import InputError


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of links alone."""
    folder = tmp_path_factory.mktemp("corpus")
    dump = write_dump(folder / "RS_2017-10.jsonl", [row(n, f"http://a{n}.example/", score=50) for n in range(3)])
    assert run(["links", "--output", str(folder / "links"), "--submissions", str(dump), "--workers", "1"]) == 0
    return folder


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("dedup.threshold=0.8", ["--threshold=0.8"]),
        ("dedup.signature_seed=7", ["--signature-seed=7"]),
        ("dedup.remove-duplicates=none", ["--remove-duplicates=none"]),
        ("documents.strip-title=off", ["--no-strip-title"]),
        ("documents.mask_pii=ON", ["--mask-pii"]),
        ("documents.filters=gopher", ["--filters", "gopher"]),
        ("documents.filters=gopher, c4", ["--filters", "gopher", "c4"]),
        ("documents.filters=", ["--filters"]),
        ("links.created-before=none", ["--created-before=none"]),
        ("pages.contact=a=b.c", ["--contact=a=b.c"]),
        ("vocabulary.vocab-size=-5", ["--vocab-size=-5"]),
    ],
)
def test_a_change_is_a_flag_of_run(change: str, words: list[str]) -> None:
    assert flags_of([change]) == words


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("threshold=0.8", "write STAGE.SETTING=VALUE"),
        ("dedup.threshold", "write STAGE.SETTING=VALUE"),
        ("dedupe.threshold=0.8", "no stage 'dedupe'; did you mean dedup?"),
        ("dedup.treshold=0.8", "dedup has no setting 'treshold'; did you mean threshold?"),
        ("dedup.min-karma=3", "dedup has no setting 'min-karma'"),
        ("overlap.ngram=3", "no stage 'overlap'"),
        ("documents.strip-title=maybe", "on or off"),
    ],
)
def test_a_mistake_in_a_change_is_named(change: str, message: str) -> None:
    with pytest.raises(InputError) as raised:
        flags_of([change])
    assert message in str(raised.value)
    assert change in str(raised.value)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--corpus", "{corpus}", "--output", "{corpus}"], "is the corpus itself"),
        (["--corpus", "{corpus}/none", "--output", "{new}"], "no finished stage there"),
        (["--output", "{new}"], "--corpus DIR is required"),
        (["--config", "gopher", "--output", "{new}"], "--corpus DIR is required"),
        (["--corpus", "{corpus}", "--output", "{new}", "--set", "dedup.threshold=7"], "--threshold 7"),
        (["--corpus", "{corpus}", "--output", "{new}", "--set", "links.min-karma=5"], "name their sources too"),
        (["--corpus", "{corpus}", "--output", "{new}", "--set", "vocabulary.vocab-size=x"], "'x' is not a whole number"),
    ],
)
def test_a_mistake_ends_with_one_line(
    corpus: Path, tmp_path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = run(["vary", *(word.format(corpus=corpus, new=tmp_path / "new") for word in words)])
    except SystemExit as ended:
        code = int(str(ended.code))
    error = capsys.readouterr().err
    assert (code, len(error.splitlines())) == (2, 1)
    assert message in error
    assert not (tmp_path / "new").exists()


def test_a_dry_run_names_what_is_taken_over(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["vary", "--corpus", str(corpus), "--output", str(tmp_path / "new"), "--set", "dedup.threshold=0.8", "--dry-run"]
    assert run(words) == 0
    lines = [line.split(None, 1) for line in capsys.readouterr().out.splitlines()]
    assert [name.rstrip(":") for name, _ in lines][:2] == ["links", "pages"]
    assert f"taken over from {corpus}" in lines[0][1]
    assert not (tmp_path / "new").exists()
