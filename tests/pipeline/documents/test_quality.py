import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import pii, quality

WORDS = re.findall(
    r"\w+",
    """the morning had come and with it all that people have to carry up from their boats before rain can spoil what nets brought home
    while gulls keep watch over every basket of silver herring that is left alone for longer than a moment on our old stone pier""",
)
SENTENCES = [f"{' '.join(WORDS[(i * 7 + j * (i + 1)) % len(WORDS)] for j in range(12))} number {i}." for i in range(14)]
PROSE = "\n".join(SENTENCES)
ANYTHING = st.text(st.characters(codec="utf-8"), max_size=400)

DROPPED = [
    ("gopher", "too few words here", "gopher_words"),
    ("gopher", " ".join(["extraordinarily"] * 60), "gopher_word_length"),
    ("gopher", PROSE + " #" * 60, "gopher_hashes"),
    ("gopher", "\n".join(f"- {s}" for s in SENTENCES), "gopher_bullets"),
    ("gopher", "\n".join(f"{s[:-1]}..." for s in SENTENCES), "gopher_ellipses"),
    ("gopher", PROSE + " 123 456" * 40, "gopher_letters"),
    ("gopher", " ".join(f"lorem{i} ipsum{i}" for i in range(40)), "gopher_stop_words"),
    ("gopher", PROSE + "\n" + "\n".join(["a line with some words"] * 12), "gopher_duplicate_lines"),
    ("gopher", PROSE + " " + "very good " * 40, "gopher_top_2_gram"),
    ("c4", "function() { return 1; }\n" + PROSE, "c4_brace"),
    ("c4", PROSE + "\nLorem Ipsum dolor.", "c4_lorem_ipsum"),
    ("c4", "\n".join(SENTENCES[:2]), "c4_sentences"),
    ("c4", quality.c4_lines("\n".join(f"{s} We use cookies." for s in SENTENCES))[0], "c4_sentences"),
    ("fineweb", "\n".join(s[:-1] for s in SENTENCES), "fineweb_line_ends"),
    ("fineweb", "\n".join(["Short line.", "Another one."] * 9 + SENTENCES[:2]), "fineweb_short_lines"),
    ("fineweb", "\n".join(SENTENCES + SENTENCES[:4]), "fineweb_duplicate_lines"),
]


@pytest.mark.parametrize("name", quality.FILTERS)
def test_prose_is_kept(name: str) -> None:
    assert quality.FILTERS[name](PROSE) is None


@pytest.mark.parametrize(("name", "text", "rule"), DROPPED)
def test_each_rule_drops_what_it_is_for(name: str, text: str, rule: str) -> None:
    detail = quality.FILTERS[name](text)
    assert detail is not None
    assert detail.split(":")[0] == rule


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_no_filter_raises_on_any_text(text: str) -> None:
    for apply in quality.FILTERS.values():
        assert apply(text) is None or ":" in str(apply(text))


@pytest.mark.parametrize(("text", "masked"), [
    ("jo.smith+news@mail.example.co.uk, please", "email@example.com, please"),
    ("call +44 20 7946 0958 today", "call 000-000-0000 today"),
    ("(555) 123-4567 or 555-123-4567", "000-000-0000 or 000-000-0000"),
    ("from 8.8.8.8:53", "from 0.0.0.0:53"),
])  # fmt: skip
def test_persons_are_masked(text: str, masked: str) -> None:
    assert pii.mask(text)[0] == masked


@pytest.mark.parametrize("text", [
    "192.168.0.1 and 10.0.0.1 are nobody's", "version 1.2.3.4.5", "999.1.2.3", "in 1914-1918 and 2001-09-11", "ISBN 978-3-16-148410-0",
    "me @ home", "user@localhost", "3.14159265358979", "from 100,000,000 to 200,000,000", "price 1234567890",
])  # fmt: skip
def test_figures_are_not_persons(text: str) -> None:
    assert pii.mask(text) == (text, 0)


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_masking_is_idempotent(text: str) -> None:
    once, _ = pii.mask(text)
    assert pii.mask(once) == (once, 0)
