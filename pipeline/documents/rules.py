"""TODO-DOC."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pipeline import paper
from pipeline.documents import extractors, html

STAGE_NAME: Final = "documents"

ALL_LANGUAGES: Final = "all"


class Reason(StrEnum):
    """Why a page gives no document."""

    TAKEN_DOWN = "taken_down"
    EXCLUDED_SITE = "excluded_site"
    MEDIA_TYPE = "media_type"
    TOO_LARGE = "too_large"
    NO_MARKUP = "no_markup"
    NO_TEXT = "no_text"
    EXTRACTOR_FAILED = "extractor_failed"
    TOO_SHORT = "too_short"
    LANGUAGE = "language"
    BAD_WORDS = "bad_words"
    GOPHER = "gopher"
    C4 = "c4"
    FINEWEB = "fineweb"
    CPU_TIME = "cpu_time"
    WALL_TIME = "wall_time"
    MEMORY = "memory"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Takedown:
    """What must not be in the corpus: dedup keys of URLs, domains with all below them, document ids."""

    keys: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    document_ids: frozenset[bytes] = frozenset()


NOTHING_TAKEN_DOWN: Final = Takedown()


@dataclass(frozen=True, slots=True)
class Rules:
    """How pages become documents; the defaults are the stage's."""

    extractor: str = extractors.EXTRACTORS[0]
    languages: frozenset[str] = frozenset({"en"})
    min_characters: int = paper.MIN_DOCUMENT_CHARACTERS
    excluded_sites: frozenset[str] = frozenset(paper.REMOVED_SITES)
    plain_text: bool = False
    pdf: bool = False
    strip_title: bool = True
    strip_boilerplate: bool = True
    filters: tuple[str, ...] = ()
    bad_words: frozenset[str] = frozenset()
    mask_pii: bool = False
    takedown: Takedown = NOTHING_TAKEN_DOWN
    gates: html.Gates = html.DEFAULT_GATES


DEFAULT_RULES: Final = Rules()


@dataclass(slots=True)
class Trail:
    """What each step did to a page, for a person to read, and counts of it for the books."""

    steps: list[tuple[str, str]] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def note(self, step: str, did: str) -> None:
        """Write down a step."""
        self.steps.append((step, did))
