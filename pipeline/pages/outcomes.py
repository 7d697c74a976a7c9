"""Outcomes of a link: a page, a drop with its reason, or a redirect to a host that another part asks."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pipeline.pages.failures import RequestFailure
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.locations import BLANKS, decoded, resolved
from pipeline.pages.media import PAGE_TYPES, declared_charset, media_type
from pipeline.pages.warc_writer import RedirectChain, UnwritableResponseError, response_head
from pipeline.records import Drop
from pipeline.redaction import excerpt, redact
from pipeline.urls import fetch_url

NO_REDIRECTS = RedirectChain()
REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
NAMED_STATUSES = frozenset({400, 401, 402, 403, 404, 405, 406, 408, 410, 418, 429, 451, 500, 502, 503, 504})


class PageDrop(StrEnum):
    """Why a link became no page."""

    TIMEOUT = RequestFailure.TIMEOUT.value
    DNS = RequestFailure.DNS.value
    CONNECTION = RequestFailure.CONNECTION.value
    TLS = RequestFailure.TLS.value
    PROXY = RequestFailure.PROXY.value
    FORBIDDEN_ADDRESS = RequestFailure.FORBIDDEN_ADDRESS.value
    BAD_URL = RequestFailure.BAD_URL.value
    BAD_RESPONSE = RequestFailure.BAD_RESPONSE.value
    TRUNCATED = RequestFailure.TRUNCATED.value
    BAD_CODING = RequestFailure.BAD_CODING.value
    UNKNOWN_CODING = RequestFailure.UNKNOWN_CODING.value
    TOO_LARGE = RequestFailure.TOO_LARGE.value
    ROBOTS = "robots"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BAD_REDIRECT = "bad_redirect"
    NOT_HTML = "not_html"
    EMPTY = "empty"
    HOST_SET_ASIDE = "host_set_aside"
    NOT_ARCHIVED = "not_archived"
    OUTSIDE_WINDOW = "outside_window"
    ARCHIVE_REFUSED = "archive_refused"
    ARCHIVE_GONE = "archive_gone"
    DIGEST_MISMATCH = "digest_mismatch"
    BAD_RECORD = "bad_record"
    CREDENTIALS_REMOVED = "credentials_removed"
    TAKEN_DOWN = "taken_down"
    HTTP_400 = "http_400"
    HTTP_401 = "http_401"
    HTTP_402 = "http_402"
    HTTP_403 = "http_403"
    HTTP_404 = "http_404"
    HTTP_405 = "http_405"
    HTTP_406 = "http_406"
    HTTP_408 = "http_408"
    HTTP_410 = "http_410"
    HTTP_418 = "http_418"
    HTTP_429 = "http_429"
    HTTP_451 = "http_451"
    HTTP_500 = "http_500"
    HTTP_502 = "http_502"
    HTTP_503 = "http_503"
    HTTP_504 = "http_504"
    HTTP_5XX = "http_5xx"
    HTTP_OTHER = "http_other"

    @classmethod
    def of_status(cls, status: int) -> "PageDrop":
        """The reason for an HTTP status that is not a success."""
        if status in NAMED_STATUSES:
            return cls(f"http_{status}")
        return cls.HTTP_5XX if status >= 500 else cls.HTTP_OTHER


MAY_PASS = frozenset(
    {
        PageDrop.TIMEOUT,
        PageDrop.DNS,
        PageDrop.CONNECTION,
        PageDrop.PROXY,
        PageDrop.TRUNCATED,
        PageDrop.ROBOTS_UNREACHABLE,
        PageDrop.HOST_SET_ASIDE,
        PageDrop.ARCHIVE_REFUSED,
        PageDrop.HTTP_408,
        PageDrop.HTTP_429,
        PageDrop.HTTP_500,
        PageDrop.HTTP_502,
        PageDrop.HTTP_503,
        PageDrop.HTTP_504,
        PageDrop.HTTP_5XX,
    }
)
"""Failures that may pass: the link may be a page at another time. All other drops are answers."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an archive's page came from: `source` as --source names it, the address of the record or of the capture, the file and the
    offset, the payload's digest, when it was fetched from the archive, and how many days after the submission it was captured.
    """

    source: str
    uri: str
    file: str
    offset: int | None
    digest: str | None
    fetched_at: datetime
    distance_days: float | None


@dataclass(frozen=True, slots=True)
class FetchedPage:
    """A page: its response, and the redirects that led to it from the link's `url`. `head` is the response's as its record holds it.

    `fetched_at` is the time of its capture where it comes from an archive, which `origin` names.
    """

    url: str
    response: HttpResponse
    media_type: str
    charset: str | None
    fetched_at: datetime
    chain: RedirectChain
    head: bytes
    origin: Origin | None = None


@dataclass(frozen=True, slots=True)
class DroppedLink:
    """A link's `url` that gave no page."""

    url: str
    reason: PageDrop
    detail: str = ""

    def drop(self, stage: str) -> Drop:
        """The row of the stage's drops table, without credentials."""
        return Drop(stage, redact(self.url), self.reason, redact(self.detail) or None)


@dataclass(frozen=True, slots=True)
class MovedLink:
    """A link's `url` that was redirected to a host that another part asks; that part continues at `target`."""

    url: str
    target: str
    redirects: int
    chain: RedirectChain


@dataclass(frozen=True, slots=True)
class KeptPage:
    """A link's `url` whose page of an earlier crawl holds: robots.txt allows it, or cannot be read."""

    url: str


FetchOutcome = FetchedPage | DroppedLink | MovedLink | KeptPage


def distance_days(captured_at: datetime, submitted_at: datetime | None) -> float | None:
    """Days from a submission to a capture, negative before it; None without a submission."""
    return None if submitted_at is None else (captured_at - submitted_at).total_seconds() / 86_400


def page_or_drop(
    url: str,
    response: HttpResponse,
    date: datetime,
    chain: RedirectChain = NO_REDIRECTS,
    kept_types: frozenset[str] = PAGE_TYPES,
) -> FetchedPage | DroppedLink:
    """The outcome of the link `url` whose last response is not a redirect. Responses of other types than `kept_types` are drops."""
    if not 200 <= response.status < 300 or response.status == 206:
        return DroppedLink(url, PageDrop.of_status(response.status), excerpt(f"{response.status} {response.phrase}", 80))
    if not response.body.strip():
        return DroppedLink(url, PageDrop.EMPTY)
    content_type = response.header("content-type")
    kind = media_type(content_type, response.body)
    if kind not in kept_types:
        return DroppedLink(url, PageDrop.NOT_HTML, excerpt(kind, 80))
    try:
        head = response_head(response)
    except UnwritableResponseError as error:
        return DroppedLink(url, PageDrop.BAD_RESPONSE, excerpt(str(error), 80))
    return FetchedPage(url, response, kind, declared_charset(content_type), date, chain, head)


def redirect_target(response: HttpResponse) -> str:
    """The URL that a redirect leads to, in the form to fetch. Raises ValueError where it leads nowhere, or to several places."""
    locations = {value.strip(BLANKS) for name, value in response.headers if name.lower() == "location"}
    if len(locations) > 1:
        raise ValueError("a redirect with several Locations")
    location = locations.pop() if locations else ""
    if not location:
        raise ValueError("a redirect without a Location")
    return fetch_url(resolved(response.url, decoded(location)))
