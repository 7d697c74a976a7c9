"""What becomes of a link: a page, or a named reason why there is none."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from urllib.parse import urljoin

from pipeline.pages.answer import Answer, Failure
from pipeline.pages.media import PAGE_TYPES, declared_charset, media_type
from pipeline.pages.warc import Exchange, Way, exchange_members
from pipeline.urls import fetch_url

NO_WAY = Way()
MOVED = frozenset({301, 302, 303, 307, 308})
STATUSES_BY_NAME = frozenset({400, 401, 402, 403, 404, 405, 406, 408, 410, 418, 429, 451, 500, 502, 503, 504})


class Reason(StrEnum):
    """Why a link became no page."""

    TIMEOUT = Failure.TIMEOUT.value
    DNS = Failure.DNS.value
    CONNECTION = Failure.CONNECTION.value
    TLS = Failure.TLS.value
    PROXY = Failure.PROXY.value
    FORBIDDEN_ADDRESS = Failure.FORBIDDEN_ADDRESS.value
    BAD_URL = Failure.BAD_URL.value
    BAD_RESPONSE = Failure.BAD_RESPONSE.value
    TRUNCATED = Failure.TRUNCATED.value
    BAD_CODING = Failure.BAD_CODING.value
    UNKNOWN_CODING = Failure.UNKNOWN_CODING.value
    TOO_LARGE = Failure.TOO_LARGE.value
    ROBOTS = "robots"
    ROBOTS_UNREACHABLE = "robots_unreachable"
    TOO_MANY_REDIRECTS = "too_many_redirects"
    BAD_REDIRECT = "bad_redirect"
    NOT_HTML = "not_html"
    EMPTY = "empty"
    HOST_SET_ASIDE = "host_set_aside"
    NOT_ARCHIVED = "not_archived"
    BAD_RECORD = "bad_record"
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
    HTTP_OTHER = "http_other"

    @classmethod
    def of_status(cls, status: int) -> "Reason":
        """Of an HTTP status that is no success."""
        return cls(f"http_{status}") if status in STATUSES_BY_NAME else cls.HTTP_OTHER


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page: its answer, and the WARC members of the whole way to it (redirects first, then the page's own)."""

    url: str
    answer: Answer
    media_type: str
    charset: str | None
    fetched_at: datetime
    way: Way
    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Dropped:
    """A URL that became no page."""

    url: str
    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Moved:
    """A URL that was redirected to a host that another part asks: to be gone on with there."""

    url: str
    target: str
    redirects: int
    way: Way


Outcome = Fetched | Dropped | Moved


def page_of(asked: str, answer: Answer, date: datetime, way: Way = NO_WAY) -> Outcome:
    """What an answer that is no redirect amounts to; `asked` is the link's URL, `way` the WARC members of the redirects."""
    if not 200 <= answer.status < 300 or answer.status == 206:
        return Dropped(asked, Reason.of_status(answer.status), f"{answer.status} {answer.phrase}"[:80])
    if not answer.body.strip():
        return Dropped(asked, Reason.EMPTY)
    content_type = answer.header("content-type")
    kind = media_type(content_type, answer.body)
    if kind not in PAGE_TYPES:
        return Dropped(asked, Reason.NOT_HTML, kind[:80])
    return Fetched(asked, answer, kind, declared_charset(content_type), date, way, exchange_members(answer, date))


def redirect_target(answer: Answer) -> str:
    """Where a redirect leads, as a URL to fetch. Raises ValueError for nowhere."""
    location = answer.header("location")
    if not location:
        raise ValueError("a redirect without a Location")
    with suppress(UnicodeError):  # a header's bytes come as Latin-1; those beyond ASCII are most often UTF-8
        location = location.encode("latin-1").decode("utf-8")
    return fetch_url(urljoin(answer.url, location))
