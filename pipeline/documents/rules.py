"""The rules of extraction: which pages become documents, and what is cut from their text."""

from dataclasses import dataclass
from typing import Final

from pipeline import paper
from pipeline.documents import quality
from pipeline.documents.extractors import CONFIDENCE, EXTRACTORS
from pipeline.documents.gates import DEFAULT_GATES, Gates

ALL_LANGUAGES: Final = "all"


@dataclass(frozen=True, slots=True)
class Takedown:
    """What must not be in the corpus: dedup keys of URLs, domains with all their subdomains, document ids."""

    keys: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    document_ids: frozenset[bytes] = frozenset()


EMPTY_TAKEDOWN: Final = Takedown()


@dataclass(frozen=True, slots=True)
class ExtractionRules:
    """How pages become documents; the defaults are the stage's.

    `min_confidence` is the expected F1 below which the extractor `blocks` asks another. No languages means all
    languages. Filters run in the given order. Raises ValueError for an unknown extractor or filter.
    """

    extractor: str = EXTRACTORS[0]
    min_confidence: float = CONFIDENCE
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
    takedown: Takedown = EMPTY_TAKEDOWN
    gates: Gates = DEFAULT_GATES

    def __post_init__(self) -> None:
        if self.extractor not in EXTRACTORS:
            raise ValueError(f"extractor {self.extractor!r}: not one of {', '.join(EXTRACTORS)}")
        quality.check_names(self.filters, "filters")


DEFAULT_RULES: Final = ExtractionRules()
