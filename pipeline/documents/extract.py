"""A page to its document: decode, gate, parse, extract, clean, filter. Total and pure; what is dropped says why.

This module and all below it import no Beam: they also run in the small processes of pipeline.documents.sandbox.
"""

from datetime import date
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

from pipeline.documents import charset, cleaning, extractors, fast_extractor, html, language, pdf, pii, quality
from pipeline.documents.rules import DEFAULT_RULES, STAGE_NAME, Reason, Rules, Trail
from pipeline.records import Document, Drop, RawPage

TEXT_TYPE: Final = "text/plain"
HTML_TYPES: Final = frozenset({"text/html", "application/xhtml+xml", "application/xml", "text/xml"})


class _Dropped(Exception):  # noqa: N818 (the way out of the steps below, not an error)
    def __init__(self, reason: Reason, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def extract(page: RawPage, rules: Rules = DEFAULT_RULES, trail: Trail | None = None) -> Document | Drop:
    """The page's document, or why there is none. Total and pure: the same page and rules give the same answer, whatever came before.

    It bounds neither time nor memory: a corpus is extracted through `pipeline.documents.sandbox.Sandbox`.
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
        if site := cleaning.on_site(host, rules.takedown.domains):
            raise _Dropped(Reason.TAKEN_DOWN, f"domain {site}")
        if site := cleaning.on_site(host, rules.excluded_sites):
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
        text, found = cleaning.strip_title(text.strip(), head.headings)
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
            text, method, head = fast_extractor.main_text(markup)
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
    text = cleaning.tidy(charset.clean(text))
    if rules.strip_boilerplate:
        text, removed = cleaning.strip_boilerplate(text)
        trail.counts["boilerplate_lines"] += removed
        trail.note("boilerplate", f"{removed} lines removed, {len(text)} characters left")
    if detail := cleaning.too_short(text, rules.min_characters):
        raise _Dropped(Reason.TOO_SHORT, detail)
    return text


def _language(text: str, rules: Rules, trail: Trail) -> tuple[str, float]:
    label, confidence = language.identify(text)
    trail.note("language", f"{label} ({confidence:.2f})")
    if rules.languages and label not in rules.languages:
        raise _Dropped(Reason.LANGUAGE, f"{label} {confidence:.2f}")
    return label, confidence


def _filtered(text: str, rules: Rules, trail: Trail) -> str:
    if word := cleaning.bad_word(text, rules.bad_words):
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
