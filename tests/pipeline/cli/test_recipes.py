"""Recipes: settings from TOML files, the folder's record and flags, each with its source."""

import tomllib
from pathlib import Path

import pytest
from dumps import row, write_dump

from pipeline.cli import main as commands
from pipeline.cli import recipes
from pipeline.cli.registry import RUN, STAGES
from pipeline.cli.run_command import parse_run, run_parser
from pipeline.storage.manifest import StageManifest
from tokenizer.errors import InputError

KINDS = {name: STAGES[name].settings for name in RUN}
SHIPPED = ("c4", "fineweb", "gopher", "openwebtext", "openwebtext2", "webtext")


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def parsed(*words: str) -> dict[tuple[str, str], tuple[object, str]]:
    """Value and source of each setting."""
    run = parse_run(words, run_parser(needs_output=False))
    return {key: (value.value, value.source) for key, value in run.values.items()}


def test_every_shipped_recipe_is_valid_and_names_its_source() -> None:
    assert tuple(recipes.shipped()) == SHIPPED
    for name, text in recipes.shipped().items():
        values = recipes.load_recipe(name, KINDS)
        assert values
        assert {value.source for value in values.values()} == {name}
        assert "Source: " in text or name == "webtext"
        parse_run(["--config", name], run_parser(needs_output=False))


def test_the_recipe_of_webtext_is_the_defaults_but_for_the_day() -> None:
    """--created-before depends on the source by default: dumps end with 2017."""
    defaults = recipes.defaults(KINDS)
    differing = {key for key, value in recipes.load_recipe("webtext", KINDS).items() if value.value != defaults[key].value}
    assert differing <= {("links", "created_before"), ("documents", "extractor")}


def test_a_flag_wins_over_the_recipe_and_the_recipe_over_the_default(tmp_path: Path) -> None:
    path = write(tmp_path, "[links]\nmin-karma = 5\n[dedup]\nthreshold = 0.9\n")
    values = parsed("--config", path, "--threshold", "0.8", "--vocab-size", "700")
    assert values["links", "min_karma"] == (5, path)
    assert values["dedup", "threshold"] == (0.8, "flag")
    assert values["vocabulary", "vocab_size"] == (700, "flag")
    assert values["documents", "languages"] == (("en",), "default")


def test_settings_have_their_values_in_every_stage_that_shares_them(tmp_path: Path) -> None:
    path = write(tmp_path, '[links]\nexclude_sites = ["a.example", "b.example"]\n')
    run = parse_run(["--config", path], run_parser(needs_output=False))
    assert run.settings["links"].exclude_sites == run.settings["documents"].exclude_sites == ("a.example", "b.example")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[links]\nmin-karam = 3\n", r"\[links\] has no setting 'min-karam'; did you mean min-karma\?"),
        ("[linsk]\nmin-karma = 3\n", r"no stage 'linsk'; did you mean links\?"),
        ("links = 3\n", "'links' is no table"),
        ("[links\n", "not TOML"),
        ('[links]\nmin-karma = "3"\n', "min-karma = '3': give int"),
        ("[links]\nmin-karma = true\n", "min-karma = True: give int"),
        ("[links]\nmin-karma = 3.5\n", "min-karma = 3.5: give int"),
        ("[links]\nmedia = 1\n", "media = 1: give bool"),
        ('[documents]\nlanguages = "en"\n', "give a list of str"),
        ("[documents]\nlanguages = [1]\n", "give a list of str"),
        ("[dedup]\nthreshold = [0.7]\n", "give float"),
        ('[links]\nexclude-sites = ["a.example"]\n[documents]\nexclude-sites = []\n', "`run` has one flag for both"),
        ("[dedup]\nthreshold = 7\n", "--threshold 7.*from 0 to 1"),
    ],
)
def test_a_mistake_in_a_recipe_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_run(["--config", write(tmp_path, text)], run_parser(needs_output=False))


def test_an_unknown_recipe_is_answered_with_those_shipped() -> None:
    with pytest.raises(InputError, match="shipped are c4, fineweb, gopher"):
        parse_run(["--config", "webtxt"], run_parser(needs_output=False))


def test_a_whole_number_is_a_float_too(tmp_path: Path) -> None:
    assert parsed("--config", write(tmp_path, "[dedup]\nthreshold = 1\n"))["dedup", "threshold"][0] == 1


def test_shown_recipes_are_toml_that_gives_the_same_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--threshold", "0.85", "--contact", 'a "quoted" \\ name', "--languages", "de", "fr", "--no-robots"]
    assert commands.run(["recipe", "show", "--config", "openwebtext", *flags]) == 0
    text = capsys.readouterr().out
    assert tomllib.loads(text)["dedup"]["threshold"] == 0.85
    before = parse_run(["--config", "openwebtext", *flags], run_parser(needs_output=False))
    after = parse_run(["--config", write(tmp_path, text)], run_parser(needs_output=False))
    assert after.settings == before.settings


def test_listed_recipes_have_a_title(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.run(["recipe", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(SHIPPED)
    assert all(len(line.split()) > 2 for line in lines)


def test_the_settings_of_a_finished_folder_are_the_next_commands_defaults(tmp_path: Path) -> None:
    dump, corpus = tmp_path / "RS_2017-10.jsonl", tmp_path / "corpus"
    write_dump(dump, [row(1, "http://a.example/1", score=50), row(2, "http://b.example/2", score=6)])
    flags = ["--min-karma", "7", "--created-before", "none", "--no-over-18"]
    assert commands.run(["links", "--output", str(corpus / "links"), "--submissions", str(dump), *flags]) == 0
    values = parsed("--output", str(corpus))
    assert values["links", "min_karma"] == (7, str(corpus / "links"))
    assert values["links", "over_18"] == (False, str(corpus / "links"))
    assert values["links", "created_before"] == ("none", str(corpus / "links"))
    assert values["documents", "languages"][1] == "default"
    assert StageManifest.load(str(corpus / "links")).settings["min_karma"] == 7
