"""Text from outside is shown as text, wherever it is shown."""

import json
import sys
import unicodedata
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hostile_labels import FORBIDDEN, LABELS, SURROGATES
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from tokenizer.labels import LONGEST, html, html_text, markdown, markdown_code, printable, printable_text, script_json

ALL = (*LABELS, *SURROGATES)
NUMBERS = range(len(ALL))
UNSEEN = {0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0}
"""Letters and marks without a form: fillers and joiners of graphemes."""
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
MARKDOWN = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def structure(text: str) -> list[str]:
    """The kinds of a Markdown text's elements, without its plain text."""
    kinds = [child.type for token in MARKDOWN.parse(text) for child in (token, *(token.children or ()))]
    return [kind for kind in kinds if not kind.startswith("text")]


def plain_text(text: str) -> str:
    return "".join(c.content for token in MARKDOWN.parse(text) for c in token.children or () if c.type in ("text", "code_inline"))


def test_no_control_surrogate_or_turning_character_is_printable() -> None:
    for point in range(sys.maxunicode + 1):
        character = chr(point)
        kind = unicodedata.category(character)
        if kind in ("Cc", "Cs", "Zl", "Zp") or unicodedata.bidirectional(character) in TURNING or 0xE0000 <= point < 0xE0080:
            assert printable(character).isascii(), hex(point)
            assert printable_text(character).isascii() or character in "\n\t", hex(point)
        elif kind[0] in "LMNPS" and point not in UNSEEN:
            assert printable(character) == character


@pytest.mark.parametrize("number", NUMBERS)
def test_a_printable_value_is_one_line_that_utf_8_holds(number: int) -> None:
    shown = printable(ALL[number])
    assert not FORBIDDEN & set(shown)
    assert len(shown.encode().splitlines()) == 1
    assert len(shown) <= LONGEST + 30
    assert printable_text(ALL[number]).encode().count(b"\n") == ALL[number].count("\n")


@pytest.mark.parametrize(
    "character", [0x34F, 0x115F, 0x1160, 0x17B4, 0x200B, 0x2065, 0x3164, 0xFEFF, 0xFFA0, 0xFFF0, 0x1BCA0, 0xE0080, 0xE0FFF]
)
def test_a_character_that_nobody_sees_is_shown(character: int) -> None:
    """Two names that look alike are told apart: these are default-ignorable in Unicode."""
    shown = printable(f"ann{chr(character)}a")
    assert shown.isascii()
    assert f"{character:x}" in shown


def test_ordinary_names_are_printed_as_they_are() -> None:
    for name in (
        "AskReddit",
        "naïve café",
        "日本語",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        "👩\u200d🚀",
        "a/b?c=d&e",
    ):
        assert printable(name) == name
        assert printable_text(f"{name}\n\t{name}") == f"{name}\n\t{name}"


@pytest.mark.parametrize("number", NUMBERS)
def test_markdown_shows_a_value_as_text_in_every_place(number: int) -> None:
    label = ALL[number]
    for place in ("# {}\n", "- {}: 3\n", "words {} words\n", "- **Sites**: {} 3 %, {} 4 %\n", "{} at the start\n"):
        assert structure(place.replace("{}", markdown(label))) == structure(place.replace("{}", "plain"))
    cell = "| a | b |\n| --- | --- |\n| {} | {} |\n| c | d |\n"
    assert structure(cell.replace("{}", markdown(label))) == structure(cell.replace("{}", "plain"))
    assert structure(cell.replace("{}", markdown_code(label))) == structure(cell.replace("{}", "`plain`"))
    assert plain_text(f"a {markdown(label)} b").split() == f"a {printable(label)} b".split()
    if "|" not in label:
        assert plain_text(f"a {markdown_code(label)} b").split() == f"a {printable(label)} b".split()


@pytest.mark.parametrize("address", ["www.evil.example", "https://evil.example", "me@evil.example"])
def test_no_address_becomes_a_link(address: str) -> None:
    shown = markdown(address)
    assert "www." not in shown
    assert "s://" not in shown
    assert "@" not in shown
    assert plain_text(shown) == address


class _Texts(HTMLParser):
    """Tags, attribute values and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.values: list[str | None] = []
        self.data = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values += [value for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.data += data


@pytest.mark.parametrize("number", NUMBERS)
def test_html_shows_a_value_as_text_and_xml_can_be_parsed(number: int) -> None:
    label = ALL[number]
    page = _Texts()
    page.feed(f"<p title=\"{html(label)}\" class='{html(label)}'>{html(label)}</p><p>{html_text(label)}</p>")
    page.close()
    assert page.tags == ["p", "p"]
    assert page.values == [printable(label)] * 2
    assert page.data == printable(label) + printable_text(label)
    (text,) = ET.fromstring(f"<svg><text>{html(label)}</text></svg>")
    assert text.text == printable(label).replace("\r", "\n")


@given(st.text())
def test_script_json_is_json_without_marks(text: str) -> None:
    shown = script_json({"a": [text, *ALL]})
    assert json.loads(shown) == {"a": [text, *ALL]}
    assert not set("<>&\u2028\u2029") & set(shown)
    shown.encode()
