"""A page to its document: decode, gate, parse, extract, clean, filter. Total and pure; what is dropped says why.

This module and all below it import no Beam: they also run in the small processes of pipeline.extraction.sandbox.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final, Self
from urllib.parse import urlsplit

from pipeline import paper
from pipeline.extraction import charset, coarse, extractors, filters, html, language, pdf, pii, quality
from pipeline.records import Document, Drop, Page

STAGE_NAME: Final = "documents"
ALL_LANGUAGES: Final = "all"
TEXT_TYPE: Final = "text/plain"
HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml", "application/xml", "text/xml"})


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
class RawPage:
    """A page's bytes as fetched, decoded of any transfer coding, and what its document will say of it."""

    url: str
    body: bytes
    media_type: str | None = "text/html"
    charset: str | None = None
    final_url: str = ""
    dedup_key: str = ""
    domain: str = ""
    karma: int = 0
    submitted_at: datetime | None = None

    @classmethod
    def of(cls, page: Page, body: bytes) -> Self:
        """The page of a crawl's index with its body."""
        return cls(
            page.url,
            body,
            page.media_type,
            page.charset,
            page.final_url,
            page.dedup_key,
            page.domain,
            page.karma,
            page.submitted_at,
        )


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


class _Dropped(Exception):  # noqa: N818 (the way out of the steps below, not an error)
    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def extract(page: RawPage, rules: Rules = DEFAULT_RULES, trail: Trail | None = None) -> Document | Drop:
    """The page's document, or why there is none. Total and pure: the same page and rules give the same answer, whatever came before.

    It bounds neither time nor memory: a corpus is extracted through `pipeline.extraction.sandbox.Sandbox`.
    """
    trail = trail or Trail()
    try:
        return _document(page, rules, trail)
    except _Dropped as dropped:
        return Drop(STAGE_NAME, page.url, dropped.reason, dropped.detail)


def document_id(text: str) -> bytes:
    """The id of a text: blake2b-128 of its UTF-8 bytes."""
    return blake2b(text.encode(), digest_size=16).digest()


def _document(page: RawPage, rules: Rules, trail: Trail) -> Document:
    domain = page.domain or urlsplit(page.url).hostname or ""
    _admit(page, domain, rules)
    text, title, published = _main_text(page, rules, trail)
    text = _cleaned(text, rules, trail)
    label, confidence = _language(text, rules, trail)
    text = _filtered(text, rules, trail)
    identity = document_id(text)
    if identity in rules.takedown.document_ids:
        raise _Dropped(Reason.TAKEN_DOWN, f"document {identity.hex()}")
    return Document(
        identity, page.url, page.dedup_key, domain, title, label, confidence, page.karma, page.submitted_at, published, text
    )


def _admit(page: RawPage, domain: str, rules: Rules) -> None:
    if not rules.takedown.keys.isdisjoint((page.dedup_key, page.url, page.final_url)):
        raise _Dropped(Reason.TAKEN_DOWN, "its URL is listed")
    for host in (domain, urlsplit(page.final_url).hostname or ""):
        if site := filters.on_site(host, rules.takedown.domains):
            raise _Dropped(Reason.TAKEN_DOWN, f"domain {site}")
        if site := filters.on_site(host, rules.excluded_sites):
            raise _Dropped(Reason.EXCLUDED_SITE, site)


def _main_text(page: RawPage, rules: Rules, trail: Trail) -> tuple[str, str | None, date | None]:
    """Text, title and day of publication."""
    if len(page.body) > rules.gates.page_bytes:
        raise _Dropped(Reason.TOO_LARGE, f"{len(page.body)} bytes, at most {rules.gates.page_bytes}")
    if rules.pdf and page.media_type == pdf.MEDIA_TYPE:
        return _of_pdf(page.body, trail)
    markup, encoding = charset.decode(page.body, page.charset)
    trail.note("decode", f"{len(page.body)} bytes of {encoding}: {len(markup)} characters")
    if rules.plain_text and page.media_type == TEXT_TYPE:
        return markup, None, None
    if page.media_type not in HTML_TYPES and not (page.media_type is None and html.looks_like_markup(markup)):
        raise _Dropped(Reason.MEDIA_TYPE, page.media_type or "unknown")
    if reason := html.too_large(markup, rules.gates):
        raise _Dropped(Reason.TOO_LARGE, reason)
    text, head = _extracted(markup, rules, trail)
    if not text.strip():
        raise _Dropped(Reason.NO_TEXT)
    if rules.strip_title:
        text, found = filters.strip_title(text.strip(), head.headings)
        trail.note("title", "removed from the text" if found else "not in the text's first lines")
    return text, charset.clean(head.title) if head.title else None, head.published


def _of_pdf(body: bytes, trail: Trail) -> tuple[str, str | None, None]:
    try:
        text, title = pdf.text_and_title(body)
    except pdf.LIBRARY_FAILURES as error:
        raise _Dropped(Reason.EXTRACTOR_FAILED, type(error).__name__) from error
    trail.counts["extracted_pdf"] += 1
    trail.note("extract", f"pypdf: {len(text)} characters")
    if not text.strip():
        raise _Dropped(Reason.NO_TEXT)
    return text, charset.clean(title).strip() or None if title else None, None


def _extracted(markup: str, rules: Rules, trail: Trail) -> tuple[str, html.Head]:
    try:
        if rules.extractor == "resiliparse":
            text, method, head = coarse.main_text(markup)
        else:
            tree = html.parse(markup)
            if tree is None:
                raise _Dropped(Reason.NO_MARKUP)
            head = html.head(tree, markup)
            text, method = extractors.main_text(rules.extractor, markup, tree)
    except extractors.LIBRARY_FAILURES as error:
        raise _Dropped(Reason.EXTRACTOR_FAILED, type(error).__name__) from error
    trail.counts[f"extracted_{method}"] += 1
    trail.note("extract", f"{rules.extractor}, by {method}: {len(text)} characters")
    return text, head


def _cleaned(text: str, rules: Rules, trail: Trail) -> str:
    text = filters.tidy(charset.clean(text))
    if rules.strip_boilerplate:
        text, removed = filters.strip_boilerplate(text)
        trail.counts["boilerplate_lines"] += removed
        trail.note("boilerplate", f"{removed} lines removed, {len(text)} characters left")
    if detail := filters.too_short(text, rules.min_characters):
        raise _Dropped(Reason.TOO_SHORT, detail)
    return text


def _language(text: str, rules: Rules, trail: Trail) -> tuple[str, float]:
    label, confidence = language.identify(text)
    trail.note("language", f"{label} ({confidence:.2f})")
    if rules.languages and label not in rules.languages:
        raise _Dropped(Reason.LANGUAGE, f"{label} {confidence:.2f}")
    return label, confidence


def _filtered(text: str, rules: Rules, trail: Trail) -> str:
    if word := filters.bad_word(text, rules.bad_words):
        raise _Dropped(Reason.BAD_WORDS, word)
    for name in rules.filters:
        if name in quality.LINE_RULES:
            text, removed = quality.LINE_RULES[name](text)
            trail.counts[f"{name}_lines"] += removed
            trail.note(name, f"{removed} lines removed, {len(text)} characters left")
        if detail := quality.FILTERS[name](text):
            raise _Dropped(Reason(name), detail)
        trail.note(name, "kept")
    if rules.mask_pii:
        text, masked = pii.mask(text)
        trail.counts["pii_masked"] += masked
        trail.note("mask_pii", f"{masked} masked")
    return text
