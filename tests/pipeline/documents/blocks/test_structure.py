"""What the text of a page does not depend on: how its source is laid out, and whether it was a text before."""

import os
import re
import tarfile
from collections import Counter
from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest

from pipeline.documents import charset
from pipeline.documents.blocks import tags
from pipeline.documents.blocks.page import text_of

RAW = "script|style|textarea|title|iframe|noscript|xmp|svg|math|select|noembed|noframes"
TOKEN = re.compile(
    rf"<!--.*?(?:--!?>|\Z)|<({RAW})\b.*?(?:</\1\s*>|\Z)|</?([a-zA-Z][^\s/>]*)(?:[^>\"']|\"[^\"]*\"|'[^']*')*>|<[!?/][^>]*>",
    re.IGNORECASE | re.DOTALL,
)
INLINE_BLOCK = {"button", "legend"}
ENDS_LINE = {name for name, number in tags.TAG.items() if tags.KINDS[number] in (tags.BLOCK, tags.BREAKING)} - INLINE_BLOCK
KEEPS_SPACE = {"pre", "listing", "code", "plaintext", "xmp"}
SPACES = re.compile(r"[ \t\n\r\f]+")
STYLED = re.compile(r"white-space\s*:\s*(?:pre|break)", re.IGNORECASE)


def laid_out(markup: str, space: str, around: str) -> str:
    """The same page with other white space where a browser shows none or one space: in text, and `around` tags that end lines."""
    pieces: list[str] = []
    keeps: Counter[str] = Counter()
    at = 0
    for token in TOKEN.finditer(markup):
        text = markup[at : token.start()]
        pieces.append(text if keeps.total() else SPACES.sub(space, text))
        at, name, tag = token.end(), (token[2] or "").lower(), token[0]
        if name in KEEPS_SPACE and not tag.endswith("/>"):
            keeps[name] = max(0, keeps[name] + (-1 if tag[1] == "/" else 1))
        pieces.append(f"{around}{tag}{around}" if name in ENDS_LINE - KEEPS_SPACE and not keeps.total() else tag)
    pieces.append(markup[at:] if keeps.total() else SPACES.sub(space, markup[at:]))
    return "".join(pieces)


def as_html(text: str) -> str:
    """A text as HTML: a paragraph per line; lines with white space of their own, and lines beside empty ones, are preformatted."""
    lines = text.split("\n")
    blank = [not line.strip() for line in lines]
    pieces: list[str] = []
    kept: list[str] = []
    for i, line in enumerate(lines):
        if blank[i] or any(blank[max(0, i - 1) : i + 2]) or SPACES.sub(" ", line).strip() != line:
            kept.append(line)
            continue
        pieces += [preformatted(kept), f"<p>{escape(line, quote=False)}</p>"]
        kept = []
    return "".join([*pieces, preformatted(kept)])


def preformatted(lines: list[str]) -> str:
    return "<pre>\n" + escape("\n".join(lines), quote=False) + "</pre>" if lines else ""


PAGES = [
    "<p>one <b>two</b>\n three<br>four<p>five", "<ul><li>a<li>b <i>c</i></ul><table><tr><td>1<td>2<tr><td>3<td>4</table>",
    "<pre>a\n  b\n</pre><p>c", "<dl><dt>term<dd>meaning</dl><h2>head</h2>loose <span>text</span>",
    "<div>loose<p>para</p>loose</div>", "<p>a<code>f(\n)</code>b</p>", "<table><tr><td>x<td><pre>a\n b</pre></table>",
    "<blockquote><p>said</p></blockquote><figure><figcaption>caption</figcaption></figure>", "<p>a&nbsp;b <a href=x>link</a>. End",
    "<section><h1>x</h1><p>y</section><details><summary>Why?</summary>So.</details>", "<p>a <!-- c --> b<script>x</script> c",
    "<pre>a\n\n\tb</pre>", "<p>1 &lt; 2 &amp;amp; 3</p>",
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES)
def test_minified_and_pretty_printed_pages_have_the_same_text(page: str) -> None:
    assert text_of(laid_out(page, " ", "")) == text_of(laid_out(page, "\n      ", "\n    ")) == text_of(page)


@pytest.mark.parametrize("page", PAGES)
def test_the_text_of_a_text_is_itself(page: str) -> None:
    text = text_of(page)
    assert text_of(as_html(text)) == text


STRIDE = 1 if os.environ.get("WEBTEXT_FULL") else 4


def real_pages(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.glob("*.tar.xz")):
        with tarfile.open(path) as archive:
            for member in archive.getmembers()[::STRIDE]:
                if (file := archive.extractfile(member)) is not None:
                    yield member.name, charset.decode(file.read(), None)[0]


@pytest.mark.slow
def test_all_real_pages_keep_their_text_in_any_layout_and_as_text(shared_data: Path) -> None:
    differing, compared = [], 0
    for name, markup in real_pages(shared_data / "html"):
        text = text_of(markup)
        compared += 1
        if text_of(as_html(text)) != text:
            differing.append(f"{name}: as text")
        if STYLED.search(markup):
            continue
        for space, around in ((" ", ""), ("\n      ", "\n    ")):
            if text_of(laid_out(markup, space, around)) != text:
                differing.append(f"{name}: {around!r}")
    assert compared > 1_200 // STRIDE
    assert differing == []
