"""The text layer of PDF files, read by PDFium.

A bad file raises an error, ends the sandbox's worker, or exceeds its limits. PDFium gives the lines of a page in the order in which they
are drawn, which is column after column, and marks the hyphens that end lines.
"""

import re
from collections import Counter
from importlib.util import find_spec
from itertools import pairwise
from typing import Any, Final

from pipeline.documents import extractors

LIBRARY_FAILURES: Final = (*extractors.LIBRARY_FAILURES, OSError)
"""What PDFium's bindings raise for a bad file; `text_and_title` turns their own error into ValueError."""

BROKEN_WORD: Final = re.compile(r"(\w+)[-\u00ad]?\ufffe\s*(\w+)")
HYPHEN_AT_END: Final = re.compile(r"(\w+)[-\u00ad\u2010]\n(\w+)")
END_OF_PARAGRAPH: Final = re.compile(r"""[.!?:;。！？]["'”’)\]]*$""")  # noqa: RUF001
BEGIN_OF_ITEM: Final = re.compile(r"(?:[•‣▪●◦*–—-]|\(?\d{1,3}(?:\.\d+)*[.)]|\[\d+\])\s")  # noqa: RUF001
FULL_LINE: Final = 0.8
"""A line of this share of the page's usual width was broken for its width, not for its sense."""

SHORTEST_FULL_LINE: Final = 25
PAGE_BREAK: Final = re.compile(r"(?<=[^\W\d_])(?<![-\ufffe])\n\n(?=[^\W\d_A-Z][^\W\d_]*\s)")
"""Between two pages where a sentence goes on: before a word in lower case."""

DIGITS: Final = re.compile(r"[\divxlc]+", re.IGNORECASE)
REPEATED: Final = 3
"""A line that begins or ends this many pages, apart from its numbers, is a running head."""


def is_available() -> bool:
    """Whether PDFium's bindings, which are optional, are installed."""
    return find_spec("pypdfium2") is not None


def text_and_title(body: bytes) -> tuple[str, str | None]:
    """The text of all pages, a paragraph per line, and the title in the file's metadata. Raises LIBRARY_FAILURES."""
    import pypdfium2  # optional

    try:
        document = pypdfium2.PdfDocument(body)
        pages = [_page_text(document, number) for number in range(len(document))]
        title = document.get_metadata_dict().get("Title")
    except pypdfium2.PdfiumError as error:
        raise ValueError(str(error)) from error
    return running_text(pages), title


def _page_text(document: Any, number: int) -> str:
    page = document[number]
    text_page = page.get_textpage()
    try:
        return str(text_page.get_text_range())
    finally:
        text_page.close()
        page.close()


def running_text(pages: list[str]) -> str:
    r"""The text of pages: running heads go, words that hyphens break are whole, lines of a paragraph are joined.

    >>> running_text(["The keeper of the old light\ufffehouse climbed the\r\nstairs at six.\r\nHe was old."])
    'The keeper of the old lighthouse climbed the stairs at six.\nHe was old.'
    """
    lines = [[line.rstrip() for line in page.replace("\r\n", "\n").replace("\r", "\n").split("\n")] for page in pages]
    text = "\n\n".join("\n".join(page).strip("\n") for page in _without_running_heads(lines))
    hyphenated = Counter(re.findall(r"\w+-\w+", text))
    joined = BROKEN_WORD.sub(lambda match: _whole_word(match, hyphenated), text)
    joined = HYPHEN_AT_END.sub(lambda match: _whole_word(match, hyphenated), joined).replace("\ufffe", "-")
    return PAGE_BREAK.sub(" ", "\n\n".join(_joined_lines(page.split("\n")) for page in joined.split("\n\n")))


def _whole_word(match: re.Match[str], hyphenated: Counter[str]) -> str:
    """The word that a line's end broke. It keeps its hyphen where it has one elsewhere, or before a capital or a digit."""
    first, second = match[1], match[2]
    with_hyphen = f"{first}-{second}"
    return with_hyphen if hyphenated[with_hyphen] or not second[0].islower() else first + second


def _without_running_heads(pages: list[list[str]]) -> list[list[str]]:
    """The pages without first and last lines that are a number, or that other pages have too."""
    shown = [[line for line in page if line] for page in pages]
    counts = Counter(DIGITS.sub("#", page[place]) for page in shown for place in (0, -1) if page)

    def is_head(line: str) -> bool:
        plain = DIGITS.sub("#", line)
        return not plain.strip("# -–—.|") or (counts[plain] >= REPEATED and len(pages) > REPEATED)  # noqa: RUF001

    return [page[bool(page and is_head(page[0])) : len(page) - (len(page) > 1 and is_head(page[-1]))] for page in shown]


def _joined_lines(lines: list[str]) -> str:
    """A page's lines with those of a paragraph in one."""
    lengths = sorted(len(line) for line in lines if line)
    width = lengths[len(lengths) * 3 // 4] if lengths else 0
    text = lines[0] if lines else ""
    for line, following in pairwise(lines):
        full = len(line) >= max(FULL_LINE * width, SHORTEST_FULL_LINE)
        ends = END_OF_PARAGRAPH.search(line) and len(line) < width
        text += (" " if full and not ends and not BEGIN_OF_ITEM.match(following) else "\n") + following
    return text
