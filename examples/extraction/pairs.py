"""Twelve pages of our own, and the text that trafilatura's default and webtext's default find in them: docs/before-after.md."""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import trafilatura

from pipeline.documents.extract import extract
from pipeline.documents.rules import DEFAULT_RULES
from pipeline.records import Document, RawPage

FOLDER: Final = Path(__file__).parent
RULES: Final = replace(DEFAULT_RULES, languages=frozenset(), min_characters=0)
EXCERPT: Final = re.compile(r"<!-- excerpt -->\n(.*)\n<!-- end -->", re.DOTALL)
TITLE: Final = re.compile(r"<title>(.*)</title>")
PARAGRAPH: Final = re.compile(r"^<p>(.*)</p>$", re.MULTILINE)
WIDTH: Final = 96
CONTINUED: Final = "  ↳ "

HEAD: Final = """# Before and after: what the extractor makes of twelve kinds of markup

The extractor takes the main text from an HTML page. This page shows what it does with twelve kinds
of markup that extractors often get wrong. Each section has three parts: an excerpt of a page in
`examples/extraction/`, the text that trafilatura {version} finds in it with its default settings
(`trafilatura.extract(page)`), and the text that webtext's default extractor finds. The title of the
page and the paragraphs around the excerpt, which are the same on all pages, are not shown.
`python -m examples.extraction` writes this page, and a test checks that it is up to date.

In the texts, `→` is a tab, `·` an invisible joiner, and `↳` continues a long line.
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """An excerpt of a page, and the lines that the two extractors make of it."""

    title: str
    source: str
    before: list[str]
    after: list[str]


def pairs() -> Iterator[Pair]:
    """The pairs, in the order of the pages' names."""
    for path in sorted(FOLDER.glob("*.html")):
        page = path.read_text(encoding="utf-8")
        source, title = EXCERPT.search(page), TITLE.search(page)
        if source is None or title is None:
            raise ValueError(f"{path}: has no excerpt or no title")
        around = [title[1], *PARAGRAPH.findall(EXCERPT.sub("", page))]
        document = extract(RawPage("http://example.org/", page.encode()), RULES)
        ours = document.text if isinstance(document, Document) else f"dropped: {document.reason}"
        yield Pair(title[1], source[1], _rest(trafilatura.extract(page) or "", around), _rest(ours, around))


def _rest(text: str, around: list[str]) -> list[str]:
    """The lines of a text without those that stand around the excerpt."""
    for line in around:
        text = text.replace(line, "")
    return [line for line in text.split("\n") if line.strip()]


def page_text(all_pairs: list[Pair]) -> str:
    """The page of the docs."""
    pieces = [HEAD.format(version=version("trafilatura"))]
    for number, pair in enumerate(all_pairs, 1):
        pieces.append(
            f"\n## {number}. {pair.title}\n\n{_block('html', pair.source.splitlines())}"
            f"\ntrafilatura:\n\n{_block('text', pair.before)}\nwebtext:\n\n{_block('text', pair.after)}"
        )
    return "".join(pieces)


def _block(language: str, lines: list[str]) -> str:
    shown = [piece for line in lines or ["(nothing)"] for piece in _pieces(_visible(line))]
    return "\n".join([f"```{language}", *shown, "```", ""])


def _visible(line: str) -> str:
    """The line with marks in place of characters that cannot be seen."""
    return "".join(
        "→" if character == "\t" else "·" if unicodedata.category(character) == "Cf" else _control(character)
        for character in line
    ).rstrip()


def _control(character: str) -> str:
    return f"\\x{ord(character):02x}" if unicodedata.category(character) == "Cc" else character


def _pieces(line: str) -> Iterator[str]:
    yield line[:WIDTH]
    for start in range(WIDTH, len(line), WIDTH - len(CONTINUED)):
        yield CONTINUED + line[start : start + WIDTH - len(CONTINUED)]


def write(path: Path) -> None:
    """Write the page."""
    path.write_text(page_text(list(pairs())), encoding="utf-8")
