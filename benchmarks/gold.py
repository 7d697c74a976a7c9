"""Pages with gold text, and measures of how close an extracted text comes to it."""

import hashlib
import json
import re
import statistics
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lxml import html as lxml_html

HALVES = ("worked on", "kept aside")
SHINGLE_WORDS = 4
ARTICLES = ("scrapinghub", "newspaper4k", "mozilla", "webmainbench")


@dataclass(frozen=True)
class GoldPage:
    """A page's bytes and its gold: the text, or strings that must and must not be in it."""

    name: str
    url: str
    body: bytes
    text: str | None
    included: tuple[str, ...]
    excluded: tuple[str, ...]

    @property
    def collection(self) -> str:
        """The repository that the page comes from."""
        return self.name.split("/")[0]

    @property
    def half(self) -> str:
        """`worked on` (seen while the rules were written) or `kept aside`; a hash of the name decides, so it never changes."""
        return HALVES[hashlib.sha256(self.name.encode()).digest()[0] % 2]


def load(folder: Path, collections: Iterable[str]) -> list[GoldPage]:
    """Load the pages with gold of the named collections, sorted by name."""
    gold = {g["file"]: g for g in map(json.loads, (folder / "gold.jsonl").open())}
    pages = []
    for collection in collections:
        with tarfile.open(folder / f"{collection}.tar.xz") as archive:
            for member in archive:
                known = gold.get(member.name)
                if known is not None and (file := archive.extractfile(member)) is not None:
                    pages.append(_page(member.name, file.read(), known))
    return sorted(pages, key=lambda page: page.name)


def _page(name: str, body: bytes, known: dict) -> GoldPage:
    text = known.get("text") or known.get("markdown")
    if "expected_html" in known:
        text = lxml_html.fromstring(known["expected_html"]).text_content()
    return GoldPage(name, known["url"] or "", body, text, tuple(known.get("with", ())), tuple(known.get("without", ())))


def shingles(text: str) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text)
    return Counter(tuple(words[i : i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1)))


def overlap(gold: str, extracted: str) -> tuple[float, float, float]:
    """Return the shares of common, surplus and missing shingles: scrapinghub's measure, in which all pages have equal weight."""
    expected, actual = shingles(gold), shingles(extracted)
    common = (expected & actual).total()
    counts = (common, actual.total() - common, expected.total() - common)
    return tuple(count / (sum(counts) or 1) for count in counts)  # type: ignore[return-value]


@dataclass(frozen=True)
class ShingleScore:
    """Precision and recall of shingles."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        return 2 * self.precision * self.recall / ((self.precision + self.recall) or 1)


def score(pages: Iterable[tuple[GoldPage, str]]) -> ShingleScore:
    common, surplus, missing = (
        sum(column) for column in zip(*(overlap(page.text or "", text) for page, text in pages), strict=True)
    )
    return ShingleScore(common / ((common + surplus) or 1), common / ((common + missing) or 1))


def strings(pages: Iterable[tuple[GoldPage, str]]) -> tuple[int, int, int, int]:
    """Count trafilatura's strings: included ones kept, all included ones, excluded ones kept, all excluded ones."""
    kept = included = wrong = excluded = 0
    for page, text in pages:
        kept += sum(s in text for s in page.included)
        included += len(page.included)
        wrong += sum(s in text for s in page.excluded)
        excluded += len(page.excluded)
    return kept, included, wrong, excluded


def time_contenders(
    pages: list[GoldPage], contenders: dict[str, Callable[[GoldPage], str]], rounds: int
) -> dict[str, tuple[list[str], float]]:
    """Return each contender's texts and its CPU milliseconds per page, the median of interleaved rounds."""
    spent: dict[str, list[float]] = {name: [] for name in contenders}
    texts: dict[str, list[str]] = {}
    for _ in range(rounds):
        for name, extract in contenders.items():
            began = time.process_time()
            texts[name] = [extract(page) for page in pages]
            spent[name].append(time.process_time() - began)
    return {name: (texts[name], statistics.median(times) / len(pages) * 1000) for name, times in spent.items()}
