"""An account of one page: what each step of the stage `documents` does to it, for a person who misses its document."""

from collections.abc import Iterator

from pipeline.documents.limits import SandboxLimits
from pipeline.documents.page_ranges import PageRange, page_ranges
from pipeline.documents.rules import ExtractionRules
from pipeline.documents.sandbox import Sandbox
from pipeline.documents.sandbox_protocol import Extraction
from pipeline.records import Document, Drop, Page
from pipeline.storage.manifest import load_stage
from pipeline.urls import dedup_key
from tokenizer.errors import InputError
from tokenizer.labels import printable, printable_text

EXCERPT_CHARACTERS = 400
TEXT = "text"


def explain_page(folder: str, url: str, rules: ExtractionRules, limits: SandboxLimits) -> str:
    """The page's way through the stage, one step per line; `url` is any spelling of its address, or of one that led to it.

    Raises InputError where the pages folder does not hold the page.
    """
    try:
        key = dedup_key(url if "://" in url else f"http://{url}")
    except ValueError as error:
        raise InputError(f"--explain {url}: not an address ({error})") from error
    found = _find(folder, key)
    if found is None:
        raise InputError(f"{url}: not among the pages of {folder}; its drops table says which links could not be fetched")
    pages, page = found
    with Sandbox(rules, limits) as sandbox:
        raw_page = pages.read(page)
        extraction = Extraction(raw_page) if isinstance(raw_page, Drop) else sandbox.extract(raw_page)
    lines = (*_origin(page), *extraction.steps, *_end(extraction))
    return "\n".join(f"{step:<12} {printable_text(effect) if step == TEXT else printable(effect)}" for step, effect in lines)


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
