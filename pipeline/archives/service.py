"""A polite client of an archive's servers: its rate is shared by all workers, and every refusal makes all of them wait."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Self
from urllib.parse import urlsplit

from pipeline.archives.rate import RateLimit
from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.failures import RequestError
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.retry import RETRIED_FAILURES, RETRIED_STATUSES, back_off_seconds, retry_after_seconds
from pipeline.redaction import excerpt
from tokenizer.errors import OutageError

REFUSALS = RETRIED_STATUSES | {401, 403}
"""Answers that ask for patience: Common Crawl says 403 and 503 to whoever asks too fast."""
ATTEMPTS = 5
MAX_WAIT_SECONDS = 300.0
MAX_RESPONSE_BYTES = 128 << 20
REFUSED_IN_A_ROW = 20
"""Refused requests, each with all its attempts, after which the archive is taken to be closed to us."""
READ_AHEAD_BYTES = 1 << 18
NOTHING: Mapping[str, str] = MappingProxyType({})


class RefusedError(Exception):
    """The archive gave no usable answer, however often it was asked."""


class GoneError(Exception):
    """The archive does not hold what was asked for."""


class BadAnswerError(Exception):
    """The archive answers with something else than what was asked for."""


@dataclass(frozen=True, slots=True)
class Access:
    """How an archive's servers are asked. `folder` is where the workers of a machine share the rate."""

    agent: str
    folder: str
    requests_per_second: float
    allow_addresses: tuple[str, ...] = ()
    proxy: str | None = None
    ca_bundle: str | None = None
    deadline_seconds: float = 60.0
    stops: bool = True

    def service(self) -> "ArchiveService":
        """A new client. Close it."""
        return ArchiveService(self)


class ArchiveService:
    """A client of one archive."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._opened: Client | None = None
        self.limit = RateLimit(access.folder, access.requests_per_second)
        self._refused = 0
        self.requests = self.bytes = 0

    @property
    def _client(self) -> Client:
        """The HTTP client, made at first use: an archive may be a folder."""
        if self._opened is None:
            access = self._access
            self._opened = Client(
                access.agent,
                AddressPolicy.of(access.allow_addresses),
                RequestLimits(access.deadline_seconds, MAX_RESPONSE_BYTES),
                proxy=access.proxy,
                ca_bundle=access.ca_bundle,
                pools=4,
            )
        return self._opened

    def get(self, url: str, headers: Mapping[str, str] = NOTHING, *, empty: bool = True) -> HttpResponse:
        """The answer to a GET that is no refusal; a redirect, or a 404, is an answer. Without `empty`, an empty body is none.

        Raises RefusedError after ATTEMPTS refusals or failures, and OutageError where nothing else has come for long.
        """
        failure = ""
        for attempt in range(1, ATTEMPTS + 1):
            requested: float | None = None
            try:
                with self.limit.request():
                    self.requests += 1
                    response = self._client.get(url, headers=headers)
            except RequestError as error:
                if error.failure not in RETRIED_FAILURES:
                    raise RefusedError(excerpt(f"{error.failure}: {error.detail}", 120)) from error
                failure = f"{error.failure}: {error.detail}"
            else:
                self.bytes += len(response.payload)
                if response.status in REFUSALS:
                    failure = f"{response.status} {response.phrase}"
                    requested = retry_after_seconds(response.header("retry-after"), datetime.now(UTC))
                elif not (empty or response.body) and response.status == 200 and not _is_empty_list(response):
                    failure = "an empty answer"
                else:
                    self._refused = 0
                    return response
            if attempt < ATTEMPTS:
                own = back_off_seconds(attempt, 2 / self._access.requests_per_second)
                self.limit.pause(min(MAX_WAIT_SECONDS, own if requested is None else requested))
        self._refused += 1
        if self._access.stops and self._refused >= REFUSED_IN_A_ROW:
            raise OutageError(
                f"{urlsplit(url).netloc}: refuses every request ({excerpt(failure, 80)}); finished links are kept: run the same"
                " command again later, or leave this source out"
            )
        raise RefusedError(excerpt(failure, 120))

    def read_range(self, url: str, start: int, stop: int) -> bytes:
        """The bytes from `start` to `stop` of a file; fewer where the file ends before.

        Raises GoneError where there is no such file, BadAnswerError for other bytes, RefusedError, OutageError.
        """
        asked = {"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        answer = self.get(url, asked)
        if answer.status in (404, 410):
            raise GoneError(f"{answer.status} for {url}")
        if answer.status == 416:
            raise BadAnswerError("the file ends before the range")
        if answer.status == 200 and len(answer.payload) >= stop:  # a server without ranges
            return answer.payload[start:stop]
        if answer.status != 206:
            raise BadAnswerError(f"{answer.status} in place of a range of bytes")
        if not answer.header("content-range").replace("=", " ").startswith(f"bytes {start}-"):
            raise BadAnswerError(f"another range: {answer.header('content-range')[:60]}")
        if len(answer.payload) > stop - start:
            raise BadAnswerError(f"{len(answer.payload):,} bytes in place of {stop - start:,}")
        return answer.payload

    def size(self, url: str) -> int:
        """Size of a file in bytes. Raises as `read_range` does."""
        answer = self.get(url, {"Range": "bytes=0-0", "Accept-Encoding": "identity"})
        if answer.status in (404, 410):
            raise GoneError(f"{answer.status} for {url}")
        total = answer.header("content-range").rpartition("/")[2]
        if answer.status != 206 or not total.isdigit():
            raise BadAnswerError(f"{answer.status} without the size of the file")
        return int(total)

    def close(self) -> None:
        """Close all connections."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _is_empty_list(response: HttpResponse) -> bool:
    """Whether an empty body is an answer: a list of JSON objects, one a line, may have none (pywb's CDX server)."""
    return "ndjson" in response.header("content-type").lower()


class RangeFile(io.RawIOBase):
    """A file on a server as a file object that reads ranges."""

    def __init__(self, service: ArchiveService, url: str) -> None:
        self._service, self._url = service, url
        self._size = service.size(url)
        self._at = 0
        self._held = (0, b"")

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """The next bytes; small reads are made larger."""
        stop = self._size if size is None or size < 0 else min(self._size, self._at + size)
        if self._at >= stop:
            return b""
        start, data = self._held
        if not start <= self._at <= stop <= start + len(data):
            start = self._at
            end = min(self._size, max(stop, start + READ_AHEAD_BYTES))
            data = self._service.read_range(self._url, start, end)
            if len(data) < end - start:
                raise OSError(f"{self._url}: {len(data):,} bytes in place of {end - start:,}")
            self._held = (start, data)
        piece = data[self._at - start : stop - start]
        self._at = stop
        return piece

    def readall(self) -> bytes:
        """All bytes from the position on."""
        return self.read(-1)
