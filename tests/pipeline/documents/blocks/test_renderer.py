"""What a person would copy: white space, lines, tables, code, marks."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents.blocks.page import BlockPage, text_of
from pipeline.documents.blocks.renderer import balance, finish


@pytest.mark.parametrize(("markup", "text"), [
    ("<p>one\n   two\tthree</p>", "one two three"),
    ("<div>\n   one\n   two\n</div>", "one two"),
    ("<p>one<br>two<br/>three<BR >four</p>", "one\ntwo\nthree\nfour"),
    ("<p>one<p>two", "one\ntwo"),
    ("<ul><li>a<li>b<ul><li>c</ul></ul>d", "a\nb\nc\nd"),
    ("<dl><dt>term<dd>meaning<dt>next</dl>", "term\nmeaning\nnext"),
    ("<p>a<b>b</b><i>c</i> <u>d</u></p>", "abc d"),
    ("<span>a </span><span>b</span>", "a b"),
    ("<p>a<!-- b -->c<!-->d", "acd"),
    ("a<hr>b<h2>c</h2>d", "a\nb\nc\nd"),
    ("<p>a&nbsp;b&#160;c\u00a0d&#xA0;e &nbsp; f</p>", "a b c d e f"),
    ("<p>&nbsp;</p><p>a</p><p>&#160;</p>", "a"),
    ("<p>a &NonBreakingSpace; b &#0000000000160; c &Tab; &NewLine; d &#x0000000020; e &#0000000010; f</p>", "a b c d e f"),
    ("<p>a&NewLine;b&Tab;c&#0000000000065;</p>", "a b cA"),
    ("<p>a &tab; &NBSP; &nonbreakingspace; b</p>", "a &tab; &NBSP; &nonbreakingspace; b"),
    (f"<p>a &#{'0' * 59}32; b &#{'0' * 97}160;c &#{'0' * 198}10;</p>", "a b  c \n"),
    ("<pre>a&Tab;b&NewLine;c</pre>", "a\tb\nc"), ("<p>a&nbspb &Tab b</p>", "a b &Tab b"),
    ("<p>co&shy;op co\u00adop</p>", "coop coop"),
    ("<p>می\u200cخواهند \U0001f468\u200d\U0001f469</p>", "می\u200cخواهند \U0001f468\u200d\U0001f469"),
    ("<p>It\u0092s \u0097 &#147;x&#148; \u0085</p>", "It’s — “x” …"),
    ("<p>a &lt;b&gt; &amp;lt; &amp;amp; 1 < 2 <3</p>", "a <b> &lt; &amp; 1 < 2 <3"),
    ("<p>&am<b>p;</b> &l<b>t;</b> a&amp<i>;</i></p>", "&amp; &lt; a&;"),
    ("<p>on 4 <time>May 2017</time>, she</p>", "on 4 May 2017, she"),
    ("<details><summary>Why?</summary>Since.</details>", "Why?\nSince."),
    ("<h3><button>Why?</button></h3><p>Since.", "Why?\nSince."),
    ("<figure><img alt=x><figcaption>A ship</figcaption></figure>", "A ship"),
    ("<p>text<sup><a href=#n>[1]</a></sup> more", "text[1] more"),
    ("<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp></ruby>字", "漢(かん)字"),
    ("a<wbr>b", "ab"),
    ("<blockquote>said <br><br>she</blockquote>", "said\nshe"),
    ("loose<p>one</p>loose<div>two</div>loose", "loose\none\nloose\ntwo\nloose"),
    ("<font>one<br><br>two</font><center>three</center>", "one\ntwo\nthree"),
])  # fmt: skip
def test_white_space_is_as_a_browser_shows_it(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.parametrize(("markup", "text"), [
    ("<pre>\ndef f():\n    return 1\n\nf()</pre>", "def f():\n    return 1\n\nf()"),
    ("<pre>  <b>a</b>\r\n\tb</pre>", "  a\n\tb"),
    ("<pre><code>x &lt; 1\n  y</code></pre>z", "x < 1\n  y\nz"),
    ("<pre>a<br>  b</pre>", "a\n  b"),
    ("<pre><div>a</div><div>  b</div></pre>", "a\n  b"),
    ("<div style='white-space: pre-wrap'>a\n  b</div>", "a\n  b"),
    ("<div><code>def f():\n    return 1</code></div>", "def f():\n    return 1"),
    ("<p>use <code>f\n  g</code> here</p>", "use f g here"),
    ("<code>a<br>&nbsp;&nbsp;b</code>", "a\n  b"),
    ("<table><tr><td class=code><div>a</div><div><code>&nbsp;&nbsp;b</code></div></table>", "a\n  b"),
    ("<listing>a\n b</listing>", "a\n b"), ("<p style='color:red; white-space:break-spaces'>a\n  b</p>", "a\n  b"),
    ("<pre>a&#13;\nb&#13;&#10;c&#xD;d</pre>", "a\nb\nc d"), ("<p>a&#13;b", "a b"),
    ("<pre>a\n</pre><p>b", "a\nb"), ("<pre>a\n\n</pre><p>b", "a\n\nb"), ("<p>b<pre>a\r\n</pre>c", "b\na\nc"),
    ("<pre><code>a\n  b\n</code></pre><pre>c\n</pre>d", "a\n  b\nc\nd"),
])  # fmt: skip
def test_code_keeps_its_white_space(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.parametrize(("style", "text"), [
    ("white-space: pre-line", "a b\nc"), ("WHITE-SPACE:Pre-Line;color:red", "a b\nc"),
    ("color:red;white-space :\tpre-line !important", "a b\nc"),
    ("white-space-collapse: preserve-breaks", "a b\nc"), ("white-space: preserve-breaks nowrap", "a b\nc"),
    ("white-space:pre;white-space:pre-line", "a b\nc"), ("white-space: pre-line; white-space: -moz-pre-wrap", "a b\nc"),
    ("white-space: pre", "a  b\n\n  c"), ("white-space:pre-wrap", "a  b\n\n  c"), ("white-space:break-spaces", "a  b\n\n  c"),
    ("white-space:pre !important; white-space:normal", "a  b\n\n  c"), ("/* as typed */white-space/**/:/**/pre", "a  b\n\n  c"),
    ("white-space: preserve wrap", "a  b\n\n  c"), ("white-space: pre-wrap; white-space: -o-pre-wrap", "a  b\n\n  c"),
    ("white-space:normal", "a b c"), ("white-space:pre;white-space:nowrap", "a b c"), ("x-white-space:pre", "a b c"),
    ("--white-space: pre", "a b c"), ("color:white;space:pre", "a b c"), ("white-space: prelude", "a b c"), ("white-space:", "a b c"),
    ("white-space", "a b c"), ("white-space: pre wrong", "a b c"), ("white-space:pre/", "a b c"), ("/* white-space: pre", "a b c"),
    ("white-space:inherit", "a b c"),
])  # fmt: skip
def test_a_style_says_which_white_space_is_text(style: str, text: str) -> None:
    assert text_of(f'<div style="{style}">a  b\n\n  c</div>') == text


@pytest.mark.parametrize(("markup", "text"), [
    ("<div style=white-space:pre-line><p>a\n b</p>\n\n<p>c</p></div>d\ne", "a\nb\nc\nd e"),
    ("<p style=white-space:pre-line>a<br>b\n<b>c</b>\n<i>d</i> e", "a\nb\nc\nd e"),
    ("<p style=white-space:pre-line>a&#10;b&NewLine;c&#x0a;d&#009;e&nbsp;f\r\ng", "a\nb\nc\nd e f\ng"),
    ("<p style=white-space:pre-line>\na\n<span style=white-space:nowrap>b\nc</span>\nd\n", "a\nb c\nd"),
    ("<pre style='white-space: normal'>a\n  b</pre>", "a b"), ("<pre style='white-space: pre-line'>a\n  b</pre>", "a\nb"),
    ("<pre>a\n <b style='white-space: unset'> b</b></pre>", "a\n  b"),
    ("<p style=white-space:pre>a  b<span style=white-space:normal>  c  d</span>", "a  b c d"),
    ("<table><tr><td style=white-space:pre-line>a\nb<td>c<tr><td>1<td>2</table>", "a b\tc\n1\t2"),
    ("<code style=white-space:normal>a\n b</code>", "a b"),
])  # fmt: skip
def test_elements_pass_on_what_becomes_of_white_space(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.parametrize(("markup", "text"), [
    ("<xmp><b>a</b> &lt;\n  b &amp; c</xmp>d", "<b>a</b> &lt;\n  b &amp; c\nd"), ("<p>a<xmp>&nbsp;</xmp>b", "a\n&nbsp;\nb"),
    ("<XMP class=x>a</xmpx></p><!-- </XMP\n>b", "a</xmpx></p><!-- \nb"), ("<xmp></xmp>a", "a"), ("a<xmp>b", "a\nb"), ("<xmp>", ""),
    ("<xmp>" + "&" * 99 + "</xmp>&am" + "<b>p;</b>", "&" * 99 + "\n&amp;"), ("<xmp style='white-space:normal'>a\n b</xmp>", "a\n b"),
    ("<ul><li><xmp><li></xmp>a<li>b</ul>", "<li>\na\nb"), ("<template><xmp>a</xmp></template>b", "b"), ("</xmp>a", "a"),
    ("a<plaintext>b <b>c</b>\n &lt; </plaintext> d", "a\nb <b>c</b>\n &lt; </plaintext> d"),
    ("<p>a<PLAINTEXT>\n</p>", "a\n</p>"), ("<xmp><plaintext></xmp>a", "<plaintext>\na"), ("<div><plaintext>", ""),
])  # fmt: skip
def test_source_shown_as_text_is_no_markup(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.parametrize(("markup", "text"), [
    ("<p>a</div>b", "ab"), ("<p>a </section>b", "a b"), ("a</li>b", "ab"), ("<p>a</h2>b", "ab"), ("<td>a</tr></table>b", "ab"),
    ("<p>a</article></main></aside>b", "ab"), ("<table><tr><td>a</div>b<td>c<tr><td>1<td>2</table>", "ab\tc\n1\t2"),
    ("<ul><li>a<ol></li>b</ol></ul>", "a\nb"), ("a</blockquote></dd></dl>b", "ab"), ("<p>a</ul></center></address>b", "ab"),
    ("<div><p>a</div>b", "a\nb"), ("<h1>a</h2>b", "a\nb"), ("a</p>b", "a\nb"), ("<div>a</p>b</div>", "a\nb"), ("<p>a</br>b", "a\nb"),
])  # fmt: skip
def test_an_end_tag_of_no_open_element_ends_no_line(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.parametrize(("markup", "text"), [
    ("<table><tr><th>Name<th>Age<tr><td>Ada<td>36</table>", "Name\tAge\nAda\t36"),
    ("<table><caption>Ages</caption><tr><td>Ada<td>36<tr><td>Bob<td>40</table>", "Ages\nAda\t36\nBob\t40"),
    ("<table><tr><td>a<td><td>c</table>", "a\t\tc"),
    ("<table><tr><td>a<br>b<td><p>c</p><p>d</p></table>", "a b\tc d"),
    ("<table><thead><tr><th>x<th>y<tbody><tr><td>1<td>2<tfoot><tr><td>3<td>4</table>", "x\ty\n1\t2\n3\t4"),
    ("<table><tr><td><table><tr><td>a<td>b</table><td>c</table>", "a\tb\nc"),
    ("<table><tr><td>only<tr><td>one</table>", "only\none"),
    (f"<table><tr><td>Home<td><p>{'long prose ' * 60}</p></table>", "Home\n" + ("long prose " * 60).strip()),
    ("<table><tr><td>menu<td><p>a<p>b<p>c<p>d</table>", "menu\na\nb\nc\nd"),
    ("<table><tr><td>x<td><pre>a\n b</pre></table>", "x\na\n b"),
    ("<table><tr><td>a</td></tr></table><table><tr><td>b</td></tr></table>", "a\nb"),
])  # fmt: skip
def test_tables_of_data_have_a_line_per_row_and_others_dissolve(markup: str, text: str) -> None:
    assert text_of(markup) == text


@pytest.mark.parametrize(("markup", "text"), [
    ("<script>a<b</script>x", "x"),
    ("<script/>var a;</script>x", "x"),
    ("<script type='text/javascript'/>var a = 1;</script>x", "x"),
    ("<script src=a />x<script>b</script>", "x"),
    ("<SCRIPT>a</ScRiPt >x", "x"),
    ("<style>p{}</style>x<style/>y", "xy"),
    ("<p>x<script>document.write('</p>')</script>y", "xy"),
    ("<script>a</script\n>x", "x"),
    ("<noscript>no</noscript>x", "x"),
    ("<textarea>no</textarea>x<iframe>no</iframe>", "x"),
    ("<title>no</title>x<svg><title>no</title><text>no</text></svg>y", "xy"),
    ("<select><option>a<option>b</select>x", "x"),
    ("<div><video><p>no</div>x<template>no</template>", "x"),
    ("<p>x <span hidden>no</span>y <i style='display:none'>no</i>z", "x y z"),
    ("<script>if (a</b) { </script>x", "x"),
])  # fmt: skip
def test_what_is_no_text_never_leaks(markup: str, text: str) -> None:
    assert text_of(markup).replace("\n", "") == text


@pytest.mark.parametrize(("line", "balanced"), [
    ("a\u202bb\u202cc", "a\u202bb\u202cc"), ("a\u202bb", "ab"), ("a\u202cb", "ab"), ("\u2067a\u2069b", "\u2067a\u2069b"),
    ("\u2067a\u202cb\u2069", "ab"), ("\u202e\u202eab\u202c", "ab"), ("\u200eab\u200f", "\u200eab\u200f"),
    ("\u202dx\u202c\n\u202dy", "\u202dx\u202c\ny"), ("\u2066\u202aa\u202c\u2069", "\u2066\u202aa\u202c\u2069"), ("\u2069", ""),
])  # fmt: skip
def test_bidirectional_controls_are_balanced_or_gone(line: str, balanced: str) -> None:
    assert balance(line) == finish(line) == balanced


TEXTS = st.text("ab é\u200c&<>;\"'#x1\u05d0漢", min_size=1, max_size=12)
INLINE = ("b", "i", "span", "a", "em", "font")
BLOCKS = ("p", "div", "li", "h2", "blockquote", "section")


def source(noise: random.Random, pretty: bool) -> str:
    """A page of nested elements; `pretty` adds line ends and indentation where a browser shows none."""
    pieces: list[str] = []
    for _ in range(noise.randint(1, 6)):
        space = "\n" + " " * noise.randint(0, 9)
        tag = noise.choice(BLOCKS)
        words = [
            noise.choice(["ship", "sea", "&amp;", "é", "1.", "<b>bold</b>", "<i>it</i>al", "x<br>y"])
            for _ in range(noise.randint(1, 7))
        ]
        pieces.append(
            f"<{tag}>{' '.join(words)}</{tag}>"
            if not pretty
            else f"{space}<{tag}>{space}{space.join(words)}{space}</{tag}>{space}"
        )
    return "".join(pieces)


@pytest.mark.parametrize("seed", range(200))
def test_minified_and_pretty_printed_source_give_the_same_text(seed: int) -> None:
    def pretty(seed: int, pretty: bool) -> str:
        return re.sub(r"\s*<br>\s*", "<br>", text_of(source(random.Random(seed), pretty)))

    noise_free = pretty(seed, False)
    assert noise_free
    assert pretty(seed, True) == noise_free


@settings(max_examples=200, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=5))
def test_rendered_text_renders_to_itself(lines: list[str]) -> None:
    once = text_of("".join(f"<p>{line}</p>" for line in lines))
    escaped = once.replace("&", "&amp;").replace("<", "&lt;")
    assert text_of("".join(f"<p>{line}</p>" for line in escaped.split("\n"))) == once


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from([
    "<p>", "</p>", "<div>", "</div>", "<table>", "<tr>", "<td>", "</table>", "<b>", "</b>", "<a href=x>", "</a>", "<pre>", "</pre>", "<li>",
    "<select>", "</select>", "<script>", "</script>", "<br>", "<!--", "-->", "word ", "&amp", "<", "</", "<svg", ">", "<h1>",
    "<span hidden>", "\n", "é",
    "<xmp>", "</xmp>", "&", "<plaintext>", "<p style=white-space:pre-line>", "<i style='white-space:pre;'>",
]), max_size=40))  # fmt: skip
def test_any_markup_gives_blocks_within_its_bounds(pieces: list[str]) -> None:
    page = BlockPage.of("".join(pieces))
    texts = page.block_texts()
    assert len(texts) == page.counts.blocks
    assert "".join("".join(texts).split()) == "".join(page.all_text().split())
    assert page.choice.likely.shape == (page.counts.blocks,)
