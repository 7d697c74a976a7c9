import json

import pytest

from pipeline.documents.blocks.page import text_of
from pipeline.documents.blocks.stated_article import longest_body

LINES = ["It’s day 1 & calm.", "The ship came in."]
TEXT = "\n".join(LINES)


def page(script: str, kind: str = "type='application/ld+json'") -> str:
    return f"<html><head><script {kind}>{script}</script></head><body>x</body></html>"


def ld(body: object, key: str = "articleBody") -> str:
    return json.dumps({"@type": "NewsArticle", key: body}, ensure_ascii=False)


@pytest.mark.parametrize("markup", [
    page(ld("It&#8217;s day 1 &amp; calm.\nThe ship came in.")),
    page(ld("It’s day 1 & calm.\r\nThe ship came in.")),
    page(ld("<p>It&rsquo;s day 1 &amp; calm.</p><p>The ship came in.</p>")),
    page(ld("&lt;p&gt;It&amp;rsquo;s day 1 &amp;amp; calm.&lt;/p&gt;&lt;p&gt;The ship came in.&lt;/p&gt;")),
    page(ld("It’s <b>day</b> 1 &amp; calm.\nThe ship came in.")),
    page(ld(LINES)), page(ld({"@value": TEXT, "@language": "en"})), page(ld({"@list": LINES})),
    page(ld(TEXT, "schema:articleBody")), page(ld(TEXT, "http://schema.org/articleBody")),
    page("[" + ld("short") + "," + ld(TEXT) + "]"), page('{"@graph": [{"a": ' + ld(TEXT) + "}]}"),
    page(ld(TEXT), 'type="application/ld+json; charset=utf-8"'), page(ld(TEXT), "TYPE=Application/LD+JSON"),
    page(ld(TEXT), 'type="application/ld&#43;json"'), page(f"<!-- {ld(TEXT)} -->"), page(f"//<![CDATA[\n{ld(TEXT)}\n//]]>"),
    page(f"/*<![CDATA[*/ {ld(TEXT)} /*]]>*/"), page(ld(TEXT) + ";"), page('{"articleBody": "' + TEXT + '"}'),
    page('{"articleBody": "' + TEXT.replace("\n", "<br\\/>") + '"}'),
])  # fmt: skip
def test_article_body_is_read_in_every_spelling(markup: str) -> None:
    assert longest_body(markup, text_of) == TEXT


@pytest.mark.parametrize("markup", [
    "", "<p>articleBody</p>", page("{articleBody"), page(ld(1)), page(ld(None)), page("[" * 5_000), page(ld(TEXT), "type=text/javascript"),
    page('{"articleBody": ' * 3_000), "<script type=application/ld+json>{\"articleBody\"" + " " * 200_000,
])  # fmt: skip
def test_bad_json_states_nothing(markup: str) -> None:
    assert longest_body(markup, text_of) == ""


def test_short_bodies_are_passed_over() -> None:
    markup = page("[" + ld("x" * 9) + "," + ld("<p>" + "y" * 5) + "]")
    assert longest_body(markup, text_of, 9) == "x" * 9
    assert longest_body(markup, text_of, 10) == ""
