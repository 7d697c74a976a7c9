"""An account of one page: what each step of the stage `documents` does to it, for a person who misses its document."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pipeline.documents.explain_html import render
from pipeline.documents.limits import SandboxLimits
from pipeline.documents.page_ranges import PageRange, page_ranges
from pipeline.documents.response import page_from_response
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_protocol import Extraction
from pipeline.records import Document, Drop, Page, RawPage
from pipeline.storage import files
from pipeline.storage.manifest import load_stage
from pipeline.urls import dedup_key
from tokenizer.errors import InputError, path_fault
from tokenizer.labels import printable, printable_text

EXCERPT_CHARACTERS: Final = 400
TEXT: Final = "text"

Steps = list[tuple[str, str]]


class Explained(NamedTuple):
    """Where a page comes from, step by step, and its extraction with the account of its blocks."""

    url: str
    origin: Steps
    extraction: Extraction


def explain_page(source: str, url: str, rules: ExtractionRules, limits: SandboxLimits) -> str:
    """The page's way through the stage, one step per line. Parameters and errors are those of `follow`."""
    explained = follow(source, url, rules, limits)
    lines = (*explained.origin, *explained.extraction.steps, *_end(explained.extraction))
    return "\n".join(f"{step:<12} {printable_text(effect) if step == TEXT else printable(effect)}" for step, effect in lines)


def explain_page_html(source: str, url: str, rules: ExtractionRules, limits: SandboxLimits) -> str:
    """The page's way through the stage as an HTML page, with each of its blocks. Parameters and errors are those of `follow`."""
    explained = follow(source, url, rules, limits)
    extraction = explained.extraction
    steps = [*explained.origin, *extraction.steps, *(line for line in _end(extraction) if line[0] != TEXT)]
    return render(explained.url, steps, extraction.result, extraction.account)


def follow(source: str, url: str, rules: ExtractionRules, limits: SandboxLimits) -> Explained:
    """Extract one page again and note each step.

    `source` is a pages folder, or a file that holds the page's HTML. `url` is any spelling of the page's address, or of one that led to it.
    Raises InputError where the folder does not hold the page, or the file cannot be read.
    """
    try:
        key = dedup_key(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise InputError(f"--explain {url}: not an address ({error})") from error
    if files.is_local(source) and Path(source).is_file():
        raw_page: RawPage | Drop = _from_file(source, url if "://" in url else f"http://{url}", rules.gates.page_bytes)
        name, origin = raw_page.url if isinstance(raw_page, RawPage) else url, [("page", url), ("file", source)]
    else:
        found = _find(source, key)
        if found is None:
            raise InputError(f"{url}: not among the pages of {source}; its drops table says which links could not be fetched")
        pages, page = found
        raw_page, name, origin = pages.read(page), page.url, list(_origin(page))
    with Sandbox(rules, limits, accounts=True) as sandbox:
        extraction = Extraction(raw_page) if isinstance(raw_page, Drop) else sandbox.extract(raw_page)
    return Explained(name, origin, extraction)


def _from_file(path: str, url: str, most_bytes: int) -> RawPage:
    try:
        with Path(path).open("rb") as file:
            return page_from_response(url, file.read(most_bytes + 1), {})
    except OSError as error:
        raise InputError(f"{path}: {path_fault(error)}") from error


def _find(folder: str, key: str) -> tuple[PageRange, Page] | None:
    """The page whose address has the key, else the first that was redirected there."""
    redirected = None
    for pages in page_ranges(folder, load_stage(folder, "pages")):
        for page in pages.pages():
            if key in (page.dedup_key, dedup_key(page.url)):
                return pages, page
            if redirected is None and key in map(dedup_key, {page.final_url, *page.redirects} - {page.url}):
                redirected = pages, page
    return redirected


def _origin(page: Page) -> Iterator[tuple[str, str]]:
    yield "page", page.url
    if page.final_url != page.url:
        yield "redirected", page.final_url
    yield "fetched", f"{page.fetched_at:%Y-%m-%d %H:%M}, status {page.status}, {page.media_type or 'no media type'}"
    yield "archived", f"{page.warc_file} at byte {page.warc_offset}, {page.body_bytes} bytes of body"


def _end(extraction: Extraction) -> Iterator[tuple[str, str]]:
    result = extraction.result
    if isinstance(result, Document):
        yield "kept", f"{len(result.text)} characters, document {result.document_id.hex()}, title {result.title!r}"
        yield TEXT, result.text[:EXCERPT_CHARACTERS]
    else:
        yield "dropped", f"{result.reason}: {result.detail}" if result.detail else str(result.reason)
