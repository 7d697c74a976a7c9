"""The rules of extraction: which pages become documents, and what is cut from their text."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pipeline import paper
from pipeline.documents import quality
from pipeline.documents.cleaning import on_site
from pipeline.documents.extractors import CONFIDENCE, EXTRACTORS
from pipeline.documents.gates import DEFAULT_GATES, Gates
from pipeline.documents.language_codes import ALL_LANGUAGES, labels_of
from pipeline.storage.takedown_list import DOCUMENT, SITE, SUBMISSION, TEXT, URL, detail_of, fold


@dataclass(frozen=True, slots=True)
class Takedown:
    """What must not be in the corpus: dedup keys of URLs, canonical domains with all their subdomains, document ids, passages.

    `passages` are folded (`takedown_list.fold`). `linked` pairs the dedup keys of listed submissions' links with the submissions.
    """

    keys: frozenset[str] = frozenset()
    domains: frozenset[str] = frozenset()
    document_ids: frozenset[bytes] = frozenset()
    passages: frozenset[str] = frozenset()
    linked: frozenset[tuple[str, str]] = frozenset()

    def listed(self, keys: Iterable[str], hosts: Iterable[str]) -> str | None:
        """What is listed of a page's dedup keys and canonical hosts, as its drop says it; None where nothing is."""
        keys = list(keys)
        if key := next((key for key in keys if key in self.keys), None):
            return f"{URL} {key}"
        if self.linked and (names := [name for key, name in self.linked if key in keys]):
            return f"{SUBMISSION} {min(names)}"
        site = next((site for host in hosts if (site := on_site(host, self.domains))), None)
        return f"{SITE} {site}" if site else None

    def listed_text(self, identity: bytes, text: str) -> str | None:
        """What is listed of a document's id and text, as its drop says it; None where nothing is."""
        if identity in self.document_ids:
            return f"{DOCUMENT} {identity.hex()}"
        if not self.passages:
            return None
        folded = fold(text)
        return next((detail_of(TEXT, passage) for passage in sorted(self.passages) if passage in folded), None)


EMPTY_TAKEDOWN: Final = Takedown()


@dataclass(frozen=True, slots=True)
class ExtractionRules:
    """How pages become documents; the defaults are the stage's.

    `min_confidence` is the expected F1 below which the extractor `blocks` asks another. No languages means all languages; their codes may
    be ISO 639's or BCP 47's. Filters run in the given order. Raises ValueError for an unknown extractor, filter or language.
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
        labels = frozenset(labels_of(self.languages, "languages"))
        object.__setattr__(self, "languages", frozenset() if ALL_LANGUAGES in labels else labels)


DEFAULT_RULES: Final = ExtractionRules()
