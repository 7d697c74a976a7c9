"""Flags with hyphens or underscores, and suggestions for what is unknown."""

import pytest

from tokenizer.command_line import Parser, positive_int


@pytest.fixture
def parser() -> Parser:
    parser = Parser(prog="webtext links")
    parser.add_argument("--min-karma", type=int)
    parser.add_argument("--temp_location")
    commands = parser.add_subparsers(dest="command")
    commands.add_parser("train").add_argument("--vocab-size", type=positive_int)
    return parser


@pytest.mark.parametrize(
    "words",
    [
        ["--min-karma", "5"],
        ["--min_karma", "5"],
        ["--min_karma=5"],
        ["--min-karma=5"],
    ],
)
def test_hyphens_and_underscores_mean_the_same(parser: Parser, words: list[str]) -> None:
    assert parser.parse_args(words).min_karma == 5


def test_values_and_flags_spelled_with_underscores_stay(parser: Parser) -> None:
    arguments = parser.parse_args(["--temp_location", "gs://a_b", "train", "--vocab_size", "300"])
    assert (arguments.temp_location, arguments.vocab_size) == ("gs://a_b", 300)


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        (["--min_karam"], ["unrecognized arguments: --min_karam; did you mean --min-karma?"]),
        (["--mnkarma"], ["did you mean --min-karma?"]),
        (["--xyz"], ["unrecognized arguments: --xyz; see webtext links --help"]),
        (["--min"], ["unrecognized arguments: --min"]),  # no abbreviations
        (["train", "--vocab-size", "0"], ["'0' is not a whole number of at least 1"]),
        (["train", "--vocab-size", "many"], ["'many' is not a whole number of at least 1"]),
    ],
)
def test_a_mistake_is_answered_in_one_line(
    parser: Parser, capsys: pytest.CaptureFixture[str], words: list[str], lines: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser.parse_args(words)
    error = capsys.readouterr().err
    assert ended.value.code == 2
    assert len(error.splitlines()) == 1
    assert all(line in error for line in lines)


@pytest.mark.parametrize("words", [["--no-such-flag"], ["--no-such-flag", "7"], ["FILE", "--no-such-flag=7"]])
def test_an_unknown_flag_is_named_before_what_is_missing(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    parser = Parser(prog="webtext run")
    parser.add_argument("file")
    parser.add_argument("--output", required=True)
    for given, message in ((words, "unrecognized arguments: --no-such-flag"), (["FILE"], "required: --output")):
        with pytest.raises(SystemExit):
            parser.parse_args(given)
        assert message in capsys.readouterr().err
