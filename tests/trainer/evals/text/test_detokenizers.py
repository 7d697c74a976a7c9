from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trainer.evals.text.detokenizers import (
    CHILDRENS_BOOKS,
    ONE_BILLION_WORD,
    PENN_TREEBANK,
    WIKITEXT,
    Detokenizer,
    DetokenizerRules,
)

EVERY = [WIKITEXT, PENN_TREEBANK, ONE_BILLION_WORD, CHILDRENS_BOOKS]
AWKWARD = [
    *",.;:?!)]%([$£\"'`-=/ab",
    *(
        "''",
        "``",
        "--",
        "@-@",
        "@,@",
        "@.@",
        "==",
        "'s",
        "'t",
        "n't",
        "N",
        "<unk>",
        "U.S.",
        "No.",
        "ca",
        "12",
        "3,4",
        "a-b",
        "\\/",
        "a/b",
    ),
    *("-LRB-", "..."),
]


@pytest.mark.parametrize(
    ("rules", "line", "written"),
    [
        (WIKITEXT, '" I ca n \'t , " he said ( in 1 @,@ 200 words ) .', '"I ca n\'t," he said (in 1,200 words).'),
        (WIKITEXT, "= = Early life = =", "== Early life =="),
        (WIKITEXT, "a well @-@ known 3 @.@ 5 m <unk> @-@ class $ 5 ship 's", "a well-known 3.5 m <unk>-class $5 ship's"),
        (PENN_TREEBANK, "no it was n't N N\\/N the group 's $ N billion N %", "no it wasn't N N/N the group's $N billion N%"),
        (ONE_BILLION_WORD, 'He did n\'t say " yes " ( or 10 % ) .', 'He didn\'t say "yes" (or 10%).'),
        (CHILDRENS_BOOKS, "` Well , ' said the bird -LRB- twice -RRB- .", "'Well,' said the bird (twice)."),
    ],
)
def test_lines_are_detokenized_and_restored(rules: DetokenizerRules, line: str, written: str) -> None:
    detokenizer = Detokenizer(rules, line.split(" "))
    assert detokenizer.join(line) == written
    assert detokenizer.split(written) == line


def test_the_stop_of_an_abbreviation_differs_from_a_sentence_end() -> None:
    lines = ["lived in the U.S. .", "lived in the U.S .", "No. 2 said No ."]
    detokenizer = Detokenizer(WIKITEXT, [t for line in lines for t in line.split(" ")])
    written = [detokenizer.join(line) for line in lines]
    assert written == ["lived in the U.S..", "lived in the U.S .", "No. 2 said No ."]
    assert [detokenizer.split(line) for line in written] == lines


@pytest.mark.parametrize("rules", EVERY, ids=lambda rules: rules.name)
@given(tokens=st.lists(st.one_of(st.sampled_from(AWKWARD), st.text("ab.,'\"()-/`=@12 ", max_size=5)), min_size=1, max_size=12))
@example(tokens=["@-@"])
@example(tokens=["a", "@-@", "-", "@-@", "b"])
@example(tokens=["", "", "a", ""])
@settings(deadline=None, max_examples=300)
def test_any_line_is_restored(rules: DetokenizerRules, tokens: list[str]) -> None:
    line = " ".join(tokens)
    detokenizer = Detokenizer(rules, line.split(" "))
    assert detokenizer.split(detokenizer.join(line)) == line


@pytest.mark.parametrize(
    "text", [" \n = A = \n \n b , c . \n", "a b .\nc ' s\n\n", " one \n", "", "x", "  \n", " a \n ", " \n \n "]
)
def test_files_are_restored_with_their_line_ends(text: str) -> None:
    detokenizer = Detokenizer.of_text(WIKITEXT, text)
    assert detokenizer.split_text(detokenizer.join_text(text)) == text


def test_the_real_wikitext_file_is_restored(shared_data: Path) -> None:
    text = (shared_data / "evals" / "wikitext2.valid.tokens").read_text()
    detokenizer = Detokenizer.of_text(WIKITEXT, text)
    written = detokenizer.join_text(text)
    back = detokenizer.split_text(written)
    assert back.split("\n") == text.split("\n")
    assert len(text) - len(written) > 40_000
    assert written.count("@-@") < 0.01 * text.count("@-@")


@pytest.mark.parametrize("rules", [PENN_TREEBANK, ONE_BILLION_WORD], ids=lambda rules: rules.name)
def test_other_rules_restore_real_lines(rules: DetokenizerRules, shared_data: Path) -> None:
    """Lines of WikiText and of the books, tokenized in the same way, replace the files of these rules."""
    text = (shared_data / "evals" / "wikitext2.valid.tokens").read_text()[:300_000].lower().replace("@-@", "-")
    text += "".join(path.read_text() for path in sorted((shared_data / "evals" / "samples").glob("cbtest*.txt")))
    detokenizer = Detokenizer.of_text(rules, text)
    written = detokenizer.join_text(text)
    assert detokenizer.split_text(written).split("\n") == text.split("\n")
    assert len(written) < len(text)
