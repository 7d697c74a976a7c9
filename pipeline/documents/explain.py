"""What each step of the stage `documents` did to one page: what a person wants to see when a document is missing."""

from collections.abc import Iterator

from pipeline.documents.forkserver import Limits
from pipeline.documents.page_ranges import PageRange, page_ranges
from pipeline.documents.rules import Rules
from pipeline.documents.sandbox import Answer, Sandbox
from pipeline.records import Document, Page, RawPage
from pipeline.storage.files import InputError
from pipeline.storage.manifest import load_stage

EXCERPT_CHARACTERS = 400


def explain_page(folder: str, url: str, rules: Rules, limits: Limits) -> str:
    """The page's way through the stage, a step a line. Raises InputError where the pages folder does not hold it."""
    place, page = _find(folder, url)
    with Sandbox(rules, limits) as sandbox:
        answer = sandbox.extract(RawPage.of(page, place.body(page)))
    return "\n".join(f"{step:<12} {did}" for step, did in (*_origin(page), *answer.steps, *_end(answer)))


def _find(folder: str, url: str) -> tuple[PageRange, Page]:
    for place in page_ranges(folder, load_stage(folder, "pages")):
        for page in place.pages():
            if url in (page.url, page.final_url, page.dedup_key):
                return place, page
    raise InputError(f"{url}: not among the pages of {folder}; the drops there say which links could not be fetched")


def _origin(page: Page) -> Iterator[tuple[str, str]]:
    yield "page", page.url
    if page.final_url != page.url:
        yield "redirected", page.final_url
    yield "fetched", f"{page.fetched_at:%Y-%m-%d %H:%M}, status {page.status}, {page.media_type or 'no media type'}"
    yield "archived", f"{page.warc_file} at byte {page.warc_offset}, {page.body_bytes} bytes of body"


def _end(answer: Answer) -> Iterator[tuple[str, str]]:
    result = answer.result
    if isinstance(result, Document):
        yield "kept", f"{len(result.text)} characters, document {result.document_id.hex()}, title {result.title!r}"
        yield "text", result.text[:EXCERPT_CHARACTERS]
    else:
        yield "dropped", f"{result.reason}: {result.detail}" if result.detail else str(result.reason)
