"""Lines that repeat over many pages of one site: its furniture. Pure functions; pipeline.documents.site_phases runs them.

Such lines are what an extractor that sees one page at a time cannot know: a byline box, a label, a notice that stands in the article on
every page. A line counts once for each distinct text of a site, and only as hashes, so that memory is bounded whatever the texts are.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.documents.cleaning import SENTENCE_END, tidy

ENTRY: Final = np.dtype([("site", "<u8"), ("line", "<u8"), ("document", "<u8")])
"""That a line stands in a document of a site. The line PAGE counts the site's documents."""

LINE: Final = np.dtype([("site", "<u8"), ("line", "<u8")])
"""A line that is furniture of a site."""

PAGE: Final = 0
MOST_OF_TEXT: Final = 0.5
"""Where more than this share of a text would go, it stays as it is: its site's pages are versions of one page, and dedup's business."""

LONGEST_LINE: Final = 1_000
"""A line with more characters is an article's, on however many pages it is."""

LETTER: Final = re.compile(r"[^\W\d_]")
CODE: Final = re.compile(
    r"\s|[#>$@%*-]\s?|.*[={}\\;<>|`]|.*\w\(|(?:import|from|def|class|return|package|using|include|public|private|static|const|let|var)\b"
)
"""How a line begins, or what it holds, that may be a line of a program, of its output, or of a list."""

QUOTES: Final = "\"'”’»)]"  # noqa: RUF001 (quotation marks)


@dataclass(frozen=True, slots=True)
class SiteLineRules:
    """When a line is a site's furniture: it stands on `pages` of its distinct texts or more, and on that share of them or more.

    `prose` also counts lines that end as sentences do: a notice, but also the preface of each part of a series.
    """

    pages: int = 5
    share: float = 0.5
    prose: bool = False


class Stripped(NamedTuple):
    """A text without furniture, and the lines that went."""

    text: str
    removed: tuple[str, ...]


def hash_of(text: str) -> int:
    """64 bits of a text, never PAGE."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") or 1


def may_be_furniture(line: str, *, prose: bool) -> bool:
    """Whether a line may be furniture, if it repeats: it has a letter, is not long, looks like no code, and ends as no sentence does.

    >>> [may_be_furniture(line, prose=False) for line in ("About the author", "He nodded.", "    return x", "x = f(y)", "* * *")]
    [True, False, False, False, False]
    """
    if len(line) > LONGEST_LINE or CODE.match(line) or not LETTER.search(line):
        return False
    return prose or not line.rstrip().rstrip(QUOTES).endswith((*SENTENCE_END, "…", "！", "？"))  # noqa: RUF001 (full-width marks)


def entries_of(site: str, text: str, rules: SiteLineRules) -> npt.NDArray[np.void]:
    """The entries of a document: one for itself and one for each distinct line that may be furniture."""
    lines = {line for line in text.split("\n") if may_be_furniture(line, prose=rules.prose)}
    hashes = [PAGE, *sorted({hash_of(line.rstrip()) for line in lines})]
    entries = np.empty(len(hashes), ENTRY)
    entries["site"], entries["line"], entries["document"] = hash_of(site), hashes, hash_of(text)
    return entries


def furniture_of(entries: npt.NDArray[np.void], rules: SiteLineRules) -> npt.NDArray[np.void]:
    """The lines that are furniture, sorted, of all entries of some sites. The order of the entries does not matter."""
    distinct = np.unique(entries)
    pairs, counts = np.unique(distinct[["site", "line"]].astype(LINE), return_counts=True)
    is_page = pairs["line"] == PAGE
    sites, pages = pairs["site"][is_page], counts[is_page]
    of_site = pages[np.searchsorted(sites, pairs["site"])] if len(sites) else counts
    keep = ~is_page & (counts >= rules.pages) & (counts >= rules.share * of_site)
    furniture: npt.NDArray[np.void] = pairs[keep]
    return furniture


def by_site(furniture: Iterable[npt.NDArray[np.void]], sites: npt.NDArray[np.uint64]) -> dict[int, frozenset[int]]:
    """The furniture of the sites with these hashes: site to its lines."""
    found: dict[int, set[int]] = {}
    for lines in furniture:
        for site, line in lines[np.isin(lines["site"], sites)].tolist():
            found.setdefault(site, set()).add(line)
    return {site: frozenset(lines) for site, lines in found.items()}


def strip(text: str, furniture: frozenset[int], rules: SiteLineRules) -> Stripped:
    r"""The text without its site's furniture; unchanged where most of it would go.

    >>> strip("One\nShare it\nTwo\nThree", frozenset({hash_of("Share it")}), SiteLineRules())
    Stripped(text='One\nTwo\nThree', removed=('Share it',))
    """
    kept: list[str] = []
    removed: list[str] = []
    for line in text.split("\n"):
        is_furniture = may_be_furniture(line, prose=rules.prose) and hash_of(line.rstrip()) in furniture
        (removed if is_furniture else kept).append(line)
    if not removed or sum(map(len, removed)) > MOST_OF_TEXT * len(text):
        return Stripped(text, ())
    return Stripped(tidy("\n".join(kept)), tuple(removed))
