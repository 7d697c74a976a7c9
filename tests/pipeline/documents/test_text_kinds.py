"""Whole pages: nothing of the article is lost for its markup, and no cut leaves a text that is too short."""

from dataclasses import replace

import pytest

from pipeline.documents import extractors
from pipeline.documents.blocks.page import BlockPage
from pipeline.documents.extract import extract
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.records import Document, Drop, RawPage

ALL = replace(DEFAULT_RULES, languages=frozenset(), min_characters=0)
PROSE = [
    "The keeper of the old lighthouse climbed the stairs every evening at six and wrote the weather into a large green book.",
    "In the winter months the road to the village was closed for weeks, and the only visitor was the boat that brought oil and bread.",
    "He had learned from his father how to read the clouds, and he taught his daughter the same names for them when she was seven.",
    "Nobody in the harbour remembered a night on which the lamp had failed, although the storms had taken two roofs and a pier.",
]
S = "The stairs are steep and the rope is old, so hold the rail with both of your hands."
T = "Oil and wicks for the winter"
MARKUP: list[tuple[str, list[str]]] = [
    (f'<h2><a href="#oil">{T}</a></h2><p>{S}</p>', [T, S]),
    (f'<h2 id=o>{T}<a class=headerlink href="#o">¶</a></h2><p>{S}</p>', [S]),
    (f"<h2><a name=oil>{T}</a></h2><p>{S}</p>", [T, S]),
    (f'<h3><a href="http://example.org/a#oil">{T}</a></h3><p>{S}</p>', [T, S]),
    (f"<p><a name=p1>{S}</a></p>", [S]),
    (f'<p><a href="javascript:void(0)">{S}</a></p>', [S]),
    (f'<a href="#top"><p>{S}</p></a>', [S]),
    (S, [S]),
    (
        f"<font size=2>{S}<br><br>{T} are on the shelf behind the door, says the list.</font>",
        [S, T + " are on the shelf behind the door, says the list."],
    ),
    (f"<center>{S}</center>", [S]),
    (f"<span>{S}</span>", [S]),
    (
        f"<div>{S}<div>{T} are kept in the cellar, behind the second door.</div>{S[::1]} Twice.</div>",
        [S, T + " are kept in the cellar, behind the second door.", S + " Twice."],
    ),
    (f"<h1>{T}</h1><p>{S}</p>", [T, S]),
    (f"<section><h1>{T}</h1>{S}</section>", [T, S]),
    (f"<p>On <time datetime=1911>4 November 1911</time>, {S}</p>", [f"On 4 November 1911, {S}"]),
    (
        "<p>Since <time>2011</time> the light is electric, and nobody has to climb.</p>",
        ["Since 2011 the light is electric, and nobody has to climb."],
    ),
    (
        f"<details><summary>Why was the lamp green at first?</summary><p>{S}</p></details>",
        ["Why was the lamp green at first?", S],
    ),
    (
        f"<details open><summary><h3>Why was the lamp green at first?</h3></summary>{S}</details>",
        ["Why was the lamp green at first?", S],
    ),
    (
        f"<button class=accordion>Why was the lamp green at first?</button><div class=panel><p>{S}</p></div>",
        ["Why was the lamp green at first?", S],
    ),
    (
        f"<h4><button type=button>Why was the lamp green at first?</button></h4><div><p>{S}</p></div>",
        ["Why was the lamp green at first?", S],
    ),
    (f"<hr>{S}<hr>", [S]),
    (f"<main>{S}</main>", [S]),
    (f"<custom-element>{S}</custom-element>", [S]),
    (f"<label>{S}</label>", [S]),
    (f"<big>{S}</big>", [S]),
    (f"<form><p>{S}</p></form>", [S]),
    (f"<fieldset><legend>{T}</legend><p>{S}</p></fieldset>", [S]),
    (f"<address>{S}</address>", [S]),
]
STRUCTURE: list[tuple[str, list[str]]] = [
    (f"<dl><dt>Occulting</dt><dd>{S}</dd></dl>", ["Occulting", S]),
    (f"<dl><dt>Occulting<dt>Fixed<dd>{S}</dl>", ["Occulting", "Fixed", S]),
    (f"<dl><div><dt>Occulting</dt><dd><p>{S}</p></dd></div></dl>", ["Occulting", S]),
    (
        "<dl><dt>Occulting</dt><dd>Light that is on for longer than it is off.</dd>"
        "<dt>Isophase</dt><dd>Light and dark of equal length.</dd></dl>",
        ["Occulting", "Light that is on for longer than it is off.", "Isophase", "Light and dark of equal length."],
    ),
    (f"<figure><img src=a.png><figcaption>{S}</figcaption></figure>", [S]),
    (f"<figure><figcaption><p>{S}</p></figcaption><img src=a.png></figure>", [S]),
    (
        "<table><caption>Oil by winter, in cans</caption><tr><th>Winter<th>Cans<tr><td>1911<td>61<tr><td>1912<td>58</table>",
        ["Oil by winter, in cans", "Winter\tCans", "1911\t61"],
    ),
    (f"<div class=wp-caption><img src=a.png><p class=wp-caption-text>{S}</p></div>", [S]),
    (
        f'<p>The tower leans.<sup id=r1><a href="#n1">1</a></sup></p><ol class=footnotes><li id=n1>{S} <a href="#r1">↩</a></ol>',
        ["The tower leans.1", S],
    ),
    (
        f'<p>The tower leans.<a href="#_ftn1">[1]</a></p><div id=_ftn1><p><a href="#_ftnref1">[1]</a> {S}</p></div>',
        ["The tower leans.[1]", "[1] " + S],
    ),
    (f"<section class=footnotes role=doc-endnotes><ol><li id=fn1><p>{S}</p></ol></section>", [S]),
    (f"<aside id=n1 role=doc-footnote>{S}</aside>", [S]),
    (
        f"<blockquote class=twitter-tweet><p lang=en dir=ltr>{S}</p>&mdash; Harbour Office (@harbour)"
        '<a href="https://twitter.com/h/1">May 4, 2017</a></blockquote><script async src="//platform.twitter.com/widgets.js"></script>',
        [S],
    ),
    (
        f"<div class=embed-twitter><blockquote class=twitter-tweet><p>{S}</p>— Harbour (@h)"
        "<a href=https://twitter.com/h/1>May 4</a></blockquote></div>",
        [S],
    ),
    (f"<twitter-widget><blockquote><p>{S}</p></blockquote></twitter-widget>", [S]),
    (f"<blockquote class=instagram-media><p><a href=https://www.instagram.com/p/1>{S}</a></p></blockquote>", [S]),
    (f"<blockquote><p>{S}</p><footer>— <cite>The keeper</cite></footer></blockquote>", [S]),
    (f"<q>{S}</q>", [S]),
]


def page(inside: str, head: str = "<title>Lighthouse notes</title>") -> str:
    first, last = ("".join(f"<p>{line}</p>" for line in lines) for lines in (PROSE[:2], PROSE[2:]))
    furniture = "<nav><ul><li><a href=/a>Home</a><li><a href=/b>About us</a></ul></nav>"
    return f"<html><head>{head}</head><body>{furniture}<article><h1>Lighthouse notes</h1>{first}{inside}{last}</article></body></html>"


def lines_of(markup: str, **rules: object) -> list[str]:
    result = extract(RawPage("http://example.org/a", markup.encode()), replace(ALL, **rules))  # type: ignore[arg-type]
    assert isinstance(result, Document), result
    return result.text.split("\n")


@pytest.mark.parametrize(("inside", "wanted"), [*MARKUP, *STRUCTURE])
def test_no_line_of_the_article_is_lost_for_its_markup(inside: str, wanted: list[str]) -> None:
    lines = lines_of(page(inside))
    assert [line for line in PROSE if line not in lines] == []
    assert [words for words in wanted if not any(words in line for line in lines)] == []
    assert not {"Home", "About us"} & set(lines)


@pytest.mark.parametrize(("inside", "wanted"), [*MARKUP, *STRUCTURE])
def test_the_scan_gives_each_part_a_line_in_its_order(inside: str, wanted: list[str]) -> None:
    text = BlockPage.of(page(inside)).all_text()
    places = [text.find(words) for words in wanted]
    assert -1 not in places
    assert places == sorted(places)


SITE = "We are a small newspaper on the northern coast, and have told what happens in its harbours since 1880."
BOXES = [
    "<p>{}</p>", "<div class=about>{}</div>", "<footer><p>{}</p></footer>", "<aside><h3>About us</h3><p>{}</p></aside>",
    "<div id=footer><p>{}</p></div>", "<section class=about-us><p>{}</p></section>", "<p class=site-description>{}</p>",
    "<div role=contentinfo>{}</div>", "<table><tr><td>{}</td></tr></table>", "<center><small>{}</small></center>",
]  # fmt: skip


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("extractor", [extractors.BLOCKS, extractors.CASCADE])
def test_a_sites_description_of_itself_is_no_standfirst(box: str, extractor: str) -> None:
    head = f'<title>Lighthouse notes</title><meta name="description" content="{SITE}">'
    lines = lines_of(page("", head).replace("</article>", f"</article>{box.format(SITE)}"), extractor=extractor)
    assert lines[0] == PROSE[0]


@pytest.mark.parametrize("line", [
    "The bell rang twice.", "And nobody came.", "Tick, tock, said the clock.", "* * *", "Refrain", "He waited.", "“Not yet,” she said.",
    "Row, row, row your boat", "Amen.", "Silence.",
])  # fmt: skip
def test_repeated_paragraphs_stay(line: str) -> None:
    lines = lines_of(f"<title>x</title><article>{''.join(f'<p>{prose}</p><p>{line}</p>' for prose in PROSE)}</article>")
    assert lines.count(line) == 4


LONG_ADDRESS = "the-keeper-of-the-old-lighthouse-at-the-edge-of-the-harbour@northern-coast.example.org"


@pytest.mark.parametrize(("inside", "rules"), [
    (f"<p>Write to {LONG_ADDRESS} now.</p>", {"mask_pii": True}),
    (f"<p>Write to {LONG_ADDRESS} or {LONG_ADDRESS} now.</p>", {"mask_pii": True}),
    ("<p>Card 4111 1111 1111 1111 and IBAN DE89 3704 0044 0532 0130 00, mail a-very-long-name@example.org</p>", {"mask_pii": True}),
    ("<p>Short text of one line.</p><p>" + "Subscribe to our newsletter today</p><p>" * 4, {}),
    ("<p>Short text of one line.</p><p>" + "Share this article on Facebook</p><p>" * 4, {}),
    ("<p>Short text of one line.</p>" + "<p>Please enable JavaScript to view this page in full</p>" * 2, {}),
    ("<p>Short text of one line that ends.</p>" + "<p>this line has no end and goes</p>" * 4, {"filters": ("c4",)}),
    ("<h1>A title that is rather long, so that the text without it is short</h1><p>And this is it.</p>", {}),
    ("<p>Short \u00ad\u00ad\u00ad\u00ad\u00ad\u00ad\u00ad\u00ad\u00ad\u00ad\u00ad\u00ad text.</p>", {}),
    ("<p>Short      " + " &#9; " * 40 + " text.</p>", {}),
])  # fmt: skip
def test_the_least_length_holds_after_every_cut(inside: str, rules: dict[str, object]) -> None:
    """The text before the last cut is long enough, the text after it is not."""
    body = RawPage(
        "http://example.org/a",
        f"<html><head><title>A title that is rather long, so that the text without it is short</title></head><body>{inside}".encode(),
    )
    whole = extract(body, replace(ALL, **rules))  # type: ignore[arg-type]
    length = len(whole.text) if isinstance(whole, Document) else 0
    result = extract(body, replace(ALL, min_characters=length + 1, **rules))  # type: ignore[arg-type]
    assert isinstance(result, Drop)
    assert result.reason in ("too_short", "no_text", "c4")
    if length:
        kept = extract(body, replace(ALL, min_characters=length, **rules))  # type: ignore[arg-type]
        assert isinstance(kept, Document)
