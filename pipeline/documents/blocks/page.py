"""A page as the default extractor sees it: its blocks, what the forests say of them, and its head."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from html import unescape
from typing import Final, Self

import numpy as np

from pipeline.documents.blocks import chooser, layout, renderer, tags, weights
from pipeline.documents.blocks.chooser import ChosenBlocks
from pipeline.documents.blocks.formulas import replace_mathml
from pipeline.documents.blocks.scan import Counts, scan
from pipeline.documents.page_head import PageHead
from tokenizer.compiled import Array

H1: Final = tags.ancestor_bit("h1")
ATTRIBUTE: Final = re.compile(r"([^\s=\"'<>/]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
LONGEST_META: Final = 4_000


@dataclass(frozen=True)
class BlockPage:
    """A scanned page."""

    markup: str
    scanned: layout.Scanned
    counts: Counts

    @classmethod
    def of(cls, markup: str, url: str = "") -> Self:
        """Scan a page. `url` is its address: links to places of the page itself lead nowhere."""
        address = url.partition("#")[0].encode("utf-8", "replace")
        scanned = layout.Scanned.of(markup.encode("utf-8", "replace"))
        counts = scan(scanned, address)
        if counts.has_math:
            scanned = layout.Scanned.of(replace_mathml(markup).encode("utf-8", "replace"))
            counts = scan(scanned, address)
        return cls(markup, scanned, counts)

    @property
    def is_complete(self) -> bool:
        """Whether the scan reached the page's end: not where elements nest too deep, or skipped content never ends."""
        return self.counts.status == layout.COMPLETE

    @cached_property
    def choice(self) -> ChosenBlocks:
        """What the forests say."""
        return chooser.choose(self.scanned, self.counts, weights.load())

    def text(self, keep: Array) -> str:
        """The text of the blocks that `keep` marks."""
        return renderer.render(self.scanned, self.counts, keep)

    def has_any(self, words: Sequence[bytes]) -> bool:
        """Whether one of some words stands in the page's source."""
        source = self.scanned.data.tobytes()
        return any(word in source for word in words)

    def all_text(self) -> str:
        """The text of all blocks."""
        return self.text(np.ones(self.counts.blocks, np.bool_))

    def block_texts(self) -> list[str]:
        """The text of every block by itself."""
        return renderer.render_each(self.scanned, self.counts)

    def head(self) -> PageHead:
        """The page's titles and headings."""
        title = ""
        if self.counts.title_start >= 0:
            data = self.scanned.data[self.counts.title_start : self.counts.title_end]
            title = renderer.finish(data.tobytes().decode("utf-8", "replace"))
        return PageHead.of([meta_content(self.markup, "og:title"), title], self._main_headings())

    def _main_headings(self) -> list[str]:
        """The text of each <h1>."""
        rows = np.flatnonzero(self.scanned.masks[: self.counts.blocks, layout.ANCESTRY] & H1)
        if not len(rows):
            return []
        keep = np.zeros(self.counts.blocks, np.bool_)
        keep[rows] = True
        return self.text(keep).split("\n")


def meta_content(markup: str, name: str) -> str | None:
    """The content of the first <meta> with a property or name.

    >>> meta_content('<meta content="A &amp; B" property=og:title>', "og:title")
    'A & B'
    """
    at = markup.find(name)
    while at >= 0:
        start, end = markup.rfind("<", max(0, at - LONGEST_META), at), markup.find(">", at, at + LONGEST_META)
        if start >= 0 and end > start and markup[start : start + 5].lower() == "<meta":
            values = {
                key.lower(): double or single or bare for key, double, single, bare in ATTRIBUTE.findall(markup, start, end)
            }
            if name in (values.get("property"), values.get("name")) and "content" in values:
                return unescape(values["content"])
        at = markup.find(name, at + 1)
    return None


def text_of(markup: str) -> str:
    """All text of a piece of HTML, as a browser shows it."""
    return BlockPage.of(markup).all_text()
