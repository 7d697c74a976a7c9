"""Pages that send their reader on: a Refresh header or `<meta http-equiv="refresh">` with another page's URL is a redirect."""

import codecs
import html
import re
from collections.abc import Iterator

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.locations import BLANKS, decoded, resolved
from pipeline.pages.media import HTML_TYPES, media_type
from pipeline.redaction import redact
from pipeline.urls import fetch_url

MAX_DELAY_SECONDS = 100
"""A page that stays for longer is read as it is, as by Scrapy."""
SEARCHED_BYTES = 1 << 16
_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_REFRESH = re.compile(r"\s*(?:(\d+)[\d.]*|\.[\d.]*)(\s*[;,]?\s*)(.*)", re.DOTALL | re.ASCII)
_URL = re.compile(r"(?:url\s*=\s*)?(?:\"([^\"]*)|'([^']*)|(.*))", re.DOTALL | re.IGNORECASE | re.ASCII)
_ATTRIBUTE = r"[^\s/>=]+(?:\s*=\s*(?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)|[^\s>\"'][^\s>]*)?)?"
_NEXT = re.compile(
    rf"<!--(?:-?>|.*?(?:--!?>|\Z))|<(?P<name>/?[a-z][^\s/>]*)(?P<attributes>(?:[\s/]+|{_ATTRIBUTE}|=)*)(?:>|\Z)|<[!?/][^>]*(?:>|\Z)",
    re.DOTALL | re.IGNORECASE | re.ASCII,
)
"""The next comment, tag or declaration; each ends at the latest with the text, so that no text takes long."""
_NAMED_VALUE = re.compile(r"([^\s/>=]+)(?:\s*=\s*(?:\"([^\"]*)|'([^']*)|([^\s>\"'][^\s>]*))?)?", re.ASCII)
_TEXT_ELEMENTS = frozenset(
    {"script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes", "template", "noscript"}
)
"""Elements whose content is text, is no part of the page, or is for readers without scripts."""
_ENTITY = re.compile(r"&(?:#[0-9]+|#[xX][0-9a-fA-F]+|[A-Za-z][A-Za-z0-9]*);")


def refresh_target(response: HttpResponse) -> str | None:
    """The URL that a page sends its reader to, in the form to fetch; None where it sends nowhere, to itself, or later.

    A header comes before the page's elements; the first that is valid counts.
    """
    if not 200 <= response.status < 300:
        return None
    for seconds, url in _refreshes(response):
        return url if seconds <= MAX_DELAY_SECONDS and redact(url) != redact(response.url) else None
    return None


def _refreshes(response: HttpResponse) -> Iterator[tuple[int, str]]:
    """Seconds and URL of each valid refresh, in the order in which they count."""
    for name, value in response.headers:
        if name.lower() == "refresh":
            yield from _valid(response.url, response.url, decoded(value))
    start = response.body[:SEARCHED_BYTES]
    if not _may_refresh(start) or media_type(response.header("content-type"), response.body) not in HTML_TYPES:
        return
    base = response.url
    for name, attributes in elements(_text(start)):
        if name == "base":
            base = _base(response.url, base, attributes.get("href", ""))
        elif attributes.get("http-equiv", "").strip(BLANKS).lower() == "refresh":
            yield from _valid(response.url, base, attributes.get("content", ""))


def _valid(page: str, base: str, value: str) -> Iterator[tuple[int, str]]:
    """The refresh of a value, unless the value or its URL is invalid."""
    parsed = parse_refresh(value)
    if parsed is None:
        return
    try:
        yield parsed[0], fetch_url(resolved(base, parsed[1])) if parsed[1] else page
    except ValueError:
        return


def _may_refresh(start: bytes) -> bool:
    lower = start.replace(b"\0", b"").lower()
    return b"http-equiv" in lower and b"refresh" in lower


def _text(start: bytes) -> str:
    """The beginning of a page as text; bytes beyond ASCII that are not UTF-8 are percent-encoded, as they are in URLs."""
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return start[len(mark) :].decode(encoding, "replace")
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeError:
        return decoded(start.decode("latin-1"))


def parse_refresh(value: str) -> tuple[int, str] | None:
    """Seconds and URL of a refresh; the URL is empty where a page sends to itself. None where the value is invalid.

    These are the shared declarative refresh steps of the HTML standard.

    >>> parse_refresh("5; URL='/a?b=c'"), parse_refresh("0"), parse_refresh("soon; url=/a")
    ((5, '/a?b=c'), (0, ''), None)
    """
    match = _REFRESH.match(value)
    if not match or (match[3] and not match[2]):
        return None
    url = _URL.match(match[3])
    assert url
    return int((match[1] or "0")[:9]), next(part for part in url.groups() if part is not None).strip(BLANKS)


def elements(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The `meta` and `base` elements of a page, with the first value of each attribute."""
    at = text.find("<")
    while at >= 0:
        match = _NEXT.match(text, at)
        end = match.end() if match else at + 1
        name = (match["name"] or "").lower() if match else ""
        if match and name in ("meta", "base"):
            attributes: dict[str, str] = {}
            for key, *values in _NAMED_VALUE.findall(match["attributes"]):
                attributes.setdefault(key.lower(), _ENTITY.sub(lambda entity: html.unescape(entity[0]), "".join(values)))
            yield name, attributes
        elif name in _TEXT_ELEMENTS:
            close = re.compile(rf"</{name}(?=[\s/>])|\Z", re.IGNORECASE).search(text, end)
            end = close.start() if close else len(text)
        at = text.find("<", end)


def _base(page: str, base: str, reference: str) -> str:
    """The page's base URL after a `base` element; the first with an address counts."""
    if base != page or not reference.strip(BLANKS):
        return base
    try:
        return fetch_url(resolved(page, reference.strip(BLANKS)))
    except ValueError:
        return base
