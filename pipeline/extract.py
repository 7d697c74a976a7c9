"""The public face of extraction: a page's main text, or the reason that it has none."""

from pipeline.documents.drops import ExtractDrop
from pipeline.documents.extract import extract as extract_page
from pipeline.documents.response import page_from_response
from pipeline.documents.rules import DEFAULT_RULES, ExtractionRules
from pipeline.documents.trail import Trail
from pipeline.records import Document, Drop, RawPage

__all__ = ["DEFAULT_RULES", "ExtractDrop", "ExtractionRules", "RawPage", "extract", "page_from_response"]


def extract(
    page: RawPage | str | bytes, rules: ExtractionRules = DEFAULT_RULES, trail: Trail | None = None, *, url: str = ""
) -> Document | Drop:
    """The page's document, or the drop that says why there is none. `trail` records what each step did.

    HTML may be given in place of a page: str, or bytes whose charset is found as browsers find it. `url`, its address if it has one, is
    for HTML only. The result depends on the arguments alone. Time and memory are not limited: for pages that may be hostile use the
    transform `Extract`. Raises TypeError for anything else than a page or HTML, ValueError for a `url` that is not http or https.

    >>> extract("<p>Too short.</p>").reason
    <ExtractDrop.TOO_SHORT: 'too_short'>
    >>> extract("<title>Rain</title><p>" + "It rained all day and most of the night in the old town. " * 4)
    <Document 86adc261347a title='Rain' language='en' text='It rained all day and most of the night '… (227 characters)>
    """
    if isinstance(page, RawPage):
        if url:
            raise ValueError(f"url {url!r}: the page has one of its own, {page.url!r}; give url with HTML only")
        return extract_page(page, rules, trail)
    return extract_page(_page_of_html(page, url), rules, trail)


def _page_of_html(html: object, url: str) -> RawPage:
    if isinstance(html, bytearray | memoryview):
        html = bytes(html)
    if not isinstance(html, str | bytes):
        raise TypeError(f"page: a {type(html).__name__}; give HTML as str or bytes, or a RawPage")
    if not isinstance(url, str):
        raise TypeError(f"url: a {type(url).__name__}; give a str")
    body, charset = (html.encode("utf-8", "replace"), "utf-8") if isinstance(html, str) else (html, None)
    if not url:
        return RawPage("", body, charset=charset)
    return page_from_response(url, body, {"Content-Type": f"text/html; charset={charset}" if charset else "text/html"})
