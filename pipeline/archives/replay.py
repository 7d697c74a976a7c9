"""What an archive's servers say: answers of CDX servers, and replays of captures with the original's own head."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

import orjson

from pipeline.archives.cdxj import digest_bytes, instant_of
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_record import WarcRecord

ORIGINAL = "x-archive-orig-"
_OF_THE_ARCHIVE = re.compile(
    r"memento-datetime|link|content-location|preference-applied|vary|x-archive-.*|set-cookie|server-timing"
)
_CAPTURE = re.compile(r"/(\d{4,14})([a-z]{2}_)?/(https?:/{1,2}.+)", re.IGNORECASE | re.DOTALL)
_LINK = re.compile(r'<([^<>]*)>((?:\s*;\s*[\w-]+="[^"]*")*)')
_PARAMETER = re.compile(r'([\w-]+)="([^"]*)"')
_NAMES = {"timestamp": "timestamp", "original": "url", "url": "url", "mimetype": "mime", "mime": "mime", "statuscode": "status"}


class AnswerError(ValueError):
    """An archive's answer cannot be understood, or is empty: that says nothing about the page."""


@dataclass(frozen=True, slots=True)
class ServerCapture:
    """A capture that a CDX server names. `status` is 0 where the server does not say."""

    stamp: str
    url: str
    status: int
    media_type: str
    digest: bytes

    @property
    def captured_at(self) -> datetime:
        """When it was captured."""
        return instant_of(self.stamp)

    @property
    def is_revisit(self) -> bool:
        """Whether its body stands in another record, which the archive finds itself."""
        return self.media_type == "warc/revisit"


def parse_cdx(body: bytes) -> list[ServerCapture]:
    """The captures in a CDX server's JSON answer: rows under a row of names (Internet Archive), or an object a line (pywb).

    Rows that cannot be read are left out. Raises AnswerError for what is not JSON.

    >>> parse_cdx(b'[["timestamp","original"],["20130609034215","http://a.example/"]]')[0].stamp, parse_cdx(b"[]")
    ('20130609034215', [])
    """
    text = body.strip()
    try:
        if text.startswith(b"["):
            table = orjson.loads(text)
            rows = [dict(zip(table[0], row, strict=False)) for row in table[1:]] if table else []
        else:
            rows = [orjson.loads(line) for line in text.splitlines() if line.strip()]
    except (ValueError, TypeError) as error:
        raise AnswerError(f"the CDX server's answer is not JSON: {text[:60]!r}") from error
    captures = [_capture(row) for row in rows if isinstance(row, dict)]
    return [capture for capture in captures if capture is not None]


def _capture(row: dict[str, object]) -> ServerCapture | None:
    fields = {_NAMES.get(name, name): str(value) for name, value in row.items()}
    status = fields.get("status", "")
    try:
        stamp = fields["timestamp"]
        instant_of(stamp)
    except (KeyError, ValueError):
        return None
    number = int(status) if status.isascii() and status.isdigit() else 0
    return ServerCapture(stamp, fields.get("url", ""), number, fields.get("mime", ""), digest_bytes(fields.get("digest", "")))


def raw_url(url: str) -> str:
    """The address of a capture without the archive's changes, where the archive has such addresses.

    >>> raw_url("http://archive.example/web/20130609034215/http://a.example/b")
    'http://archive.example/web/20130609034215id_/http://a.example/b'
    """
    return _CAPTURE.sub(lambda match: f"/{match[1]}id_/{match[3]}", url, count=1)


def captured_url(url: str) -> tuple[str, str] | None:
    """(timestamp, original URL) that an address of a replay names; None for another address."""
    match = _CAPTURE.search(url)
    if not match:
        return None
    scheme, _, rest = match[3].partition(":")
    return match[1], f"{scheme}://{rest.lstrip('/')}"


def memento_datetime(response: HttpResponse) -> datetime | None:
    """When the archive says that a replayed capture was made (RFC 7089, 2.1.1)."""
    return _parse_date(response.header("memento-datetime"))


def linked_memento(response: HttpResponse) -> tuple[str, datetime] | None:
    """The address and the time of the memento that a TimeGate's Link header names (RFC 7089, 2.2.3); None without one."""
    for match in _LINK.finditer(response.header("link")):
        found = dict(_PARAMETER.findall(match[2]))
        if "memento" in found.get("rel", "").split() and "datetime" in found:
            date = _parse_date(found["datetime"])
            if date is not None:
                return match[1], date
    return None


def restored(response: HttpResponse, url: str) -> HttpResponse:
    """A replayed capture as the original server sent it: under its own URL, with the headers that the archive has kept.

    Where the archive names none by X-Archive-Orig-, its own headers are left out. A redirect leads to the original's target again.
    Raises WarcError, and the errors of decoding, for a body that does not fit its head.
    """
    kept = [(name[len(ORIGINAL) :], value) for name, value in response.headers if name.lower().startswith(ORIGINAL)]
    captured_at = memento_datetime(response)
    fields = kept or [
        (name, value) for name, value in response.headers if not _is_of_the_archive(name.lower(), value, captured_at)
    ]
    present = {name.lower() for name, _ in fields}
    fields += [(n, v) for n, v in response.headers if n.lower() in ("content-type", "location") and n.lower() not in present]
    fields = [(name, _original_location(value) if name.lower() == "location" else value) for name, value in fields]
    sent_coded = response.coded is not None and "content-encoding" in {name.lower() for name, _ in fields}
    payload = response.payload if sent_coded else response.body
    fields = [(name, value) for name, value in fields if name.lower() not in ("content-length", "transfer-encoding")]
    lines = [f"HTTP/1.1 {response.status} {response.phrase}".rstrip(), *(f"{name}: {value}" for name, value in fields)]
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    block = head + payload
    return http_response(WarcRecord(0, len(block), {"warc-type": "response", "warc-target-uri": url}, block))


def _is_of_the_archive(name: str, value: str, captured_at: datetime | None) -> bool:
    """Whether a header of a replay is the archive's own: a Date is, unless it is that of the capture."""
    if name == "date":
        date = _parse_date(value)
        return date is None or captured_at is None or abs(date - captured_at) > timedelta(days=1)
    return bool(_OF_THE_ARCHIVE.fullmatch(name))


def _parse_date(value: str) -> datetime | None:
    try:
        instant = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)


def _original_location(value: str) -> str:
    found = captured_url(value)
    return found[1] if found else value


def replay_target(response: HttpResponse) -> str | None:
    """The capture to which an archive sends in place of the one that was asked for; None where the redirect is the capture's own."""
    if response.header("memento-datetime") or not response.header("location"):
        return None
    target = urljoin(response.url, response.header("location"))
    return target if captured_url(target) else None
