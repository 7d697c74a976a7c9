"""From a page to its document, or to the reason of its drop: decode, gate, parse, extract, clean, filter.

This module and all that it imports know no Beam: they also run in the small processes of pipeline.documents.sandbox.
"""

from contextlib import suppress
from datetime import date
from hashlib import blake2b
from typing import Final
from urllib.parse import urlsplit

from pipeline.documents import (
    charset,
    cleaning,
    extractors,
    fast_extractor,
    gates,
    language,
    page_head,
    pdf,
    pii,
    published,
    quality,
)
from pipeline.documents.blocks import extractor as block_extractor
from pipeline.documents.blocks import verdicts
from pipeline.documents.drops import STAGE_NAME, ExtractDrop
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.trail import Trail
from pipeline.pages import media
from pipeline.records import Document, Drop, RawPage
from pipeline.redaction import redact
from pipeline.urls import dedup_key

MARKUP_TYPES: Final = media.HTML_TYPES | media.XML_TYPES


class _Rejection(Exception):  # noqa: N818 (it ends the steps below, it is no error)
    def __init__(self, reason: ExtractDrop | quality.QualityFilter, detail: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def extract(page: RawPage, rules: ExtractionRules = DEFAULT_RULES, trail: Trail | None = None) -> Document | Drop:
    """The page's document, or the drop that says why there is none. `trail` records what each step did.

    Total and pure: the result depends on the page and the rules alone. Time and memory are not limited: to extract pages that may be
    hostile, use `pipeline.documents.sandbox.Sandbox`.

    >>> extract(RawPage("http://example.org/", b"<p>Too short.</p>"))
    Drop(stage='documents', item='http://example.org/', reason=<ExtractDrop.TOO_SHORT: 'too_short'>, detail='10 characters, at least 128')
    """
    trail = trail or Trail()
    try:
        return _document(page, rules, trail)
    except _Rejection as rejection:
        return Drop(STAGE_NAME, page.url, rejection.reason, rejection.detail)


def document_id(text: str) -> bytes:
    """The id of a text, 16 bytes: blake2b-128 of its UTF-8 bytes."""
    return blake2b(text.encode(), digest_size=16).digest()


def _document(page: RawPage, rules: ExtractionRules, trail: Trail) -> Document:
    domain = page.domain or _host(page.url)
    _admit(page, domain, rules)
    text, title, day = _main_text(page, rules, trail)
    text = _clean(text, rules, trail)
    label, confidence = _language(text, rules, trail)
    text = _filter(text, label, rules, trail)
    identity = document_id(text)
    if listed := rules.takedown.listed_text(identity, text):
        raise _Rejection(ExtractDrop.TAKEN_DOWN, listed)
    return Document(
        identity,
        redact(page.url),
        page.dedup_key,
        domain,
        title and redact(title),
        label,
        confidence,
        page.karma,
        page.submitted_at,
        day,
        text,
        trail.confidence,
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # such as an IPv6 address without its closing bracket
        return ""


def _admit(page: RawPage, domain: str, rules: ExtractionRules) -> None:
    keys = _keys(page)
    hosts = dict.fromkeys((domain, *map(_host, keys)))
    if listed := rules.takedown.listed(keys, hosts):
        raise _Rejection(ExtractDrop.TAKEN_DOWN, listed)
    for host in hosts:
        if site := cleaning.on_site(host, rules.excluded_sites):
            raise _Rejection(ExtractDrop.EXCLUDED_SITE, site)


def _keys(page: RawPage) -> list[str]:
    """The dedup keys of the page's address, of its final address, and of every address between them that redirected."""
    keys = [page.dedup_key] if page.dedup_key else []
    for url in dict.fromkeys((page.url, page.final_url, *page.redirects)):
        with suppress(ValueError):  # a page of another crawler may have any address
            keys.append(dedup_key(url))
    return keys


def _main_text(page: RawPage, rules: ExtractionRules, trail: Trail) -> tuple[str, str | None, date | None]:
    """The page's text, title and day of publication."""
    if len(page.body) > rules.gates.page_bytes:
        raise _Rejection(ExtractDrop.TOO_LARGE, f"{len(page.body)} bytes, at most {rules.gates.page_bytes}")
    if rules.pdf and page.media_type == media.PDF:
        return _pdf_text(page.body, trail)
    markup, encoding = charset.decode(page.body, page.charset)
    trail.note("decode", f"{len(page.body)} bytes of {encoding}: {len(markup)} characters")
    if rules.plain_text and page.media_type == media.PLAIN_TEXT:
        return markup, None, None
    if page.media_type not in MARKUP_TYPES and not (page.media_type is None and gates.looks_like_markup(markup)):
        raise _Rejection(ExtractDrop.MEDIA_TYPE, page.media_type or "unknown")
    if reason := gates.too_large(markup, rules.gates):
        raise _Rejection(ExtractDrop.TOO_LARGE, reason)
    text, head = _markup_text(markup, page.final_url or page.url, rules, trail)
    trail.start_from(text)
    if not text.strip():
        raise _Rejection(ExtractDrop.NO_TEXT)
    if rules.strip_title:
        text, removed = cleaning.strip_title(text.strip(), head.headings)
        trail.follow("title", text)
        trail.note("title", "removed from the text" if removed else "not in the text's first lines")
    return text, charset.clean(head.title) if head.title else None, published.publication_day(markup, page.final_url or page.url)


def _pdf_text(body: bytes, trail: Trail) -> tuple[str, str | None, None]:
    try:
        text, title = pdf.text_and_title(body)
    except pdf.LIBRARY_FAILURES as error:
        raise _Rejection(ExtractDrop.EXTRACTOR_FAILED, type(error).__name__) from error
    trail.counts["extracted_pdf"] += 1
    trail.note("extract", f"pypdfium2: {len(text)} characters")
    if not text.strip():
        raise _Rejection(ExtractDrop.NO_TEXT)
    return text, charset.clean(title).strip() or None if title else None, None


def _markup_text(markup: str, url: str, rules: ExtractionRules, trail: Trail) -> tuple[str, page_head.PageHead]:
    try:
        if rules.extractor == extractors.RESILIPARSE:
            text, method, head = fast_extractor.main_text(markup)
        else:
            found = block_extractor.main_text(rules.extractor, markup, url, rules.min_confidence)
            text, method, head, trail.confidence = found.text, found.method, found.head, found.confidence
            if trail.account is not None:
                trail.account.path = verdicts.path_of(found, rules.extractor, rules.min_confidence)
                trail.account.blocks = verdicts.verdicts(found, rules.extractor)
    except extractors.LIBRARY_FAILURES as error:
        raise _Rejection(ExtractDrop.EXTRACTOR_FAILED, type(error).__name__) from error
    if method == block_extractor.NO_MARKUP:
        raise _Rejection(ExtractDrop.NO_MARKUP)
    trail.counts[f"extracted_{method}"] += 1
    sure = "" if trail.confidence is None else f", expected F1 {trail.confidence:.2f}"
    trail.note("extract", f"{rules.extractor}, by {method}: {len(text)} characters{sure}")
    return text, head


def _clean(text: str, rules: ExtractionRules, trail: Trail) -> str:
    text = cleaning.tidy(charset.clean(text))
    trail.start_from(text)
    if rules.strip_boilerplate:
        text, removed = cleaning.strip_boilerplate(text)
        trail.counts["boilerplate_lines"] += removed
        trail.follow("boilerplate", text)
        trail.note("boilerplate", f"{removed} lines removed, {len(text)} characters left")
    if detail := cleaning.too_short(text, rules.min_characters):
        raise _Rejection(ExtractDrop.TOO_SHORT, detail)
    return text


def _language(text: str, rules: ExtractionRules, trail: Trail) -> tuple[str, float]:
    label, confidence = language.identify(text)
    trail.note("language", f"{label} ({confidence:.2f})")
    if rules.languages and label not in rules.languages:
        raise _Rejection(ExtractDrop.LANGUAGE, f"{label} {confidence:.2f}")
    return label, confidence


def _filter(text: str, label: str, rules: ExtractionRules, trail: Trail) -> str:
    if word := cleaning.bad_word(text, rules.bad_words):
        raise _Rejection(ExtractDrop.BAD_WORDS, word)
    for name in rules.filters:
        quality_filter = quality.FILTERS[name]
        if quality_filter.strip_lines is not None:
            text, removed = quality_filter.strip_lines(text)
            trail.counts[f"{name}_lines"] += removed
            trail.follow(name, text)
            trail.note(name, f"{removed} lines removed, {len(text)} characters left")
        if detail := quality_filter.reason(text, label):
            raise _Rejection(quality_filter, detail)
        trail.note(name, "kept")
    if rules.mask_pii:
        text, masked = pii.mask(text)
        trail.counts["pii_masked"] += masked
        trail.note("mask_pii", f"{masked} masked")
    if detail := cleaning.too_short(text, rules.min_characters):
        raise _Rejection(ExtractDrop.TOO_SHORT, detail)
    return text
