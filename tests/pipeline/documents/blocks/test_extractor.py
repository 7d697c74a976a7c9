"""Which method writes a page's text, and that each says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.documents import extractors
from pipeline.documents.blocks import layout
from pipeline.documents.blocks.extractor import main_text
from pipeline.documents.blocks.page import BlockPage, meta_content
from pipeline.documents.blocks.weights import FILE, load, read, write
from pipeline.documents.extract import extract
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.documents.trail import Trail
from pipeline.records import Document, RawPage

ALL = replace(DEFAULT_RULES, languages=frozenset(), min_characters=0)
PROSE = [
    "The keeper of the old lighthouse climbed the stairs every evening at six and wrote the weather into a large green book.",
    "In the winter months the road to the village was closed for weeks, and the only visitor was the boat that brought oil and bread.",
    "He had learned from his father how to read the clouds, and he taught his daughter the same names for them when she was seven.",
    "Nobody in the harbour remembered a night on which the lamp had failed, although the storms had taken two roofs and a pier.",
]


def page(inside: str, head: str = "<title>Lighthouse notes</title>") -> str:
    first, last = ("".join(f"<p>{line}</p>" for line in lines) for lines in (PROSE[:2], PROSE[2:]))
    furniture = "<nav><ul><li><a href=/a>Home</a><li><a href=/b>About us</a></ul></nav>"
    return f"<html><head>{head}</head><body>{furniture}<article><h1>Lighthouse notes</h1>{first}{inside}{last}</article></body></html>"


def text_of(markup: str, **rules: object) -> str:
    result = extract(RawPage("http://example.org/a", markup.encode()), replace(ALL, **rules))  # type: ignore[arg-type]
    assert isinstance(result, Document), result
    return result.text


def method_of(markup: str, **rules: object) -> str:
    trail = Trail()
    extract(RawPage("http://example.org/a", markup.encode()), replace(ALL, **rules), trail)  # type: ignore[arg-type]
    return next(name for name in trail.counts if name.startswith("extracted_")).removeprefix("extracted_")


def test_a_sure_page_is_written_from_its_blocks() -> None:
    result = extract(RawPage("http://example.org/a", page("").encode()), ALL)
    assert isinstance(result, Document)
    assert result.text == "\n".join(PROSE)
    assert result.title == "Lighthouse notes"
    assert result.extraction_confidence is not None
    assert result.extraction_confidence > DEFAULT_RULES.min_confidence
    assert method_of(page("")) == "blocks"


def test_confidence_decides_who_is_asked() -> None:
    assert method_of(page(""), min_confidence=1.0) != "blocks"
    assert text_of(page(""), min_confidence=1.0) == "\n".join(PROSE)


@pytest.mark.parametrize("extractor", [extractors.BLOCKS, extractors.CASCADE, extractors.TRAFILATURA])
@pytest.mark.parametrize(("inside", "lines"), [
    ("<p>one\n      <b>two</b>\n three</p>", ["one two three"]),
    ("<table><tr><th>Lamp</th><th>Oil used</th></tr><tr><td>North</td><td>four cans</td></tr></table>",
     ["Lamp\tOil used", "North\tfour cans"]),
    ("<p>When <math><mi>a</mi><mo>≠</mo><mn>0</mn></math>, the lamp of the harbour has two wicks.</p>",
     [r"When a \ne 0, the lamp of the harbour has two wicks."]),
    ("<pre>def lamp(x):\n    return x + 1</pre>", ["def lamp(x):", "    return x + 1"]),
    ("<p>A line of the song<br>and another line of it</p>", ["A line of the song", "and another line of it"]),
])  # fmt: skip
def test_structure_is_the_same_on_every_path(extractor: str, inside: str, lines: list[str]) -> None:
    assert "\n".join([*PROSE[:2], *lines, *PROSE[2:]]) == text_of(page(inside), extractor=extractor)


@pytest.mark.parametrize(("markup", "status"), [
    ("<div>" * 600 + "".join(f"<p>{line}</p>" for line in PROSE), layout.TOO_DEEP),
    ("".join(f"<p>{line}</p>" for line in PROSE) + "<svg><p>x", layout.UNCLOSED),
])  # fmt: skip
def test_a_page_that_the_scan_gives_up_loses_nothing(markup: str, status: int) -> None:
    assert BlockPage.of(markup).counts.status == status
    assert method_of(markup) != "blocks"
    assert all(line in text_of(markup) for line in PROSE)


def test_a_stated_article_replaces_a_fragment() -> None:
    body = r"\n".join(f"It&#8217;s day {day}. {PROSE[day % 4]}" for day in range(9))
    head = f'<script type="application/ld+json">{{"articleBody": "{body}"}}</script>'
    markup = f"<html><head>{head}</head><body><p>{PROSE[0]}</p><p>Subscribe to read on</p></body></html>"
    assert text_of(markup).split("\n")[3] == f"It’s day 3. {PROSE[3]}"
    assert method_of(markup) == "stated"


def test_numbers_beside_code_are_no_text() -> None:
    code = "<table><tr><td><pre>1\n2\n3</pre></td><td><pre>def lamp(x):\n    if x:\n        return x</pre></td></tr></table>"
    assert "\n".join([PROSE[1], "def lamp(x):", "    if x:", "        return x", PROSE[2]]) in text_of(page(code))


@pytest.mark.parametrize("heading", ["h2", "h3", "summary", "dt"])
def test_a_question_in_a_button_keeps_its_place(heading: str) -> None:
    question = f"<{heading}><button aria-expanded=false>Why was the lamp green at first?</button></{heading}>"
    assert "Why was the lamp green at first?\nBecause" in text_of(
        page(f"{question}<div><p>Because green glass was cheaper than clear glass in those days.</p></div>")
    )


@pytest.mark.parametrize(("markup", "content"), [
    ('<meta property="og:title" content="A &amp; B">', "A & B"), ("<meta content='x' property=og:title>", "x"), ("og:title", None),
    ('<META NAME="og:title" CONTENT=x>', "x"), ('<meta property="og:title:x" content=y><meta property="og:title" content=z>', "z"),
    ("<p>og:title</p>" * 50, None), ('<meta property="og:title"', None),
])  # fmt: skip
def test_meta_content_is_found_in_any_spelling(markup: str, content: str | None) -> None:
    assert meta_content(markup, "og:title") == content


def test_equal_weights_are_equal_files(tmp_path: Path) -> None:
    write(tmp_path / "a.npz", load())
    assert (tmp_path / "a.npz").read_bytes() == (Path(read.__code__.co_filename).with_name(FILE)).read_bytes()


def test_method_is_named_for_a_page_without_an_element() -> None:
    assert main_text(extractors.BLOCKS, " ", "", 0.85).method == "no_markup"
