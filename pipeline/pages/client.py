"""One request: a URL in, one whole answer or one named failure out, within its deadline, whatever the server does."""

import http.client
import logging
import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

import requests
import urllib3
from requests import Response

from pipeline.pages.addresses import AddressPolicy, ForbiddenAddressError, Lookup
from pipeline.pages.answer import Answer, Failure, RequestError
from pipeline.pages.deadlines import Guard, Watchdog
from pipeline.pages.decoding import ACCEPTED, DecodingError, TooLargeError, UnknownCodingError, codings, decoded
from pipeline.pages.resolver import Resolver
from pipeline.pages.transport import Adapter, Dialer, connection_was_reused, prepared, requesting, time_outs, tls_context

CHUNK_BYTES = 1 << 16
READ_SECONDS = 10.0
MAX_HEADER_BYTES = 256 * 1024
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost."""

    deadline_seconds: float = 60.0
    max_body_bytes: int = 10_000_000


class Client:
    """Sends requests, from any thread. Close it, or use it as a context.

    It takes no proxy, password or cookie from the environment or from servers: it uses requests' transport, below its sessions.
    """

    def __init__(
        self,
        agent: str,
        policy: AddressPolicy,
        limits: Limits,
        *,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        pools: int = 64,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        # It would write down URLs as they are, keys and all, in every process that fetches.
        logging.getLogger("urllib3").setLevel(logging.CRITICAL)
        self._headers = {
            "User-Agent": agent,
            "Accept": "text/html,application/xhtml+xml,text/plain;q=0.9,*/*;q=0.1",
            "Accept-Encoding": ACCEPTED,
            "Accept-Language": "en,*;q=0.5",
        }
        self._policy = policy
        self._dialer = Dialer(policy, Resolver(lookup), trusts_host=proxy is not None)
        self._limits = limits
        self._proxies = {"http": proxy, "https": proxy} if proxy else None
        self._adapter = Adapter(tls_context(ca_bundle), pools)
        self._watchdog = Watchdog()

    def get(self, url: str, first_bytes: int | None = None) -> Answer:
        """The answer to a GET; redirects are answers too. Raises RequestError.

        With `first_bytes` a longer body is no failure: that many bytes of it are the answer.
        """
        with self._watchdog.guard(self._limits.deadline_seconds) as guard:
            try:
                answer = self._exchange_anew(url, guard, first_bytes)
            except RequestError:
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
                raise _named(error, guard) from error
            except (ForbiddenAddressError, OSError, ValueError) as error:
                raise _named(error, guard) from error
            if guard.expired:
                raise RequestError(Failure.TIMEOUT, f"no whole answer in {self._limits.deadline_seconds:g} s")
            return answer

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()
        self._watchdog.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange_anew(self, url: str, guard: Guard, first_bytes: int | None) -> Answer:
        """The exchange; once more where it met a kept connection that the server had closed (RFC 9112 section 9.3.1)."""
        try:
            return self._exchange(url, guard, first_bytes)
        except requests.ConnectionError as error:
            closed = any(isinstance(cause, (ConnectionResetError, BrokenPipeError)) for cause in _causes(error))
            if not closed or not connection_was_reused() or guard.expired:
                raise
        return self._exchange(url, guard, first_bytes)

    def _exchange(self, url: str, guard: Guard, first_bytes: int | None) -> Answer:
        if self._proxies:
            self._policy.vet_host(urlsplit(url).hostname or "")
        request = prepared(url, self._headers)
        with requesting(guard, self._dialer):
            response = self._adapter.send(request, stream=True, timeout=time_outs(guard, READ_SECONDS), proxies=self._proxies)
            try:
                return self._read(response, first_bytes)
            finally:
                if not response.raw.closed:
                    response.raw.close()  # something is left to read: the connection cannot serve again
                response.raw.release_conn()

    def _read(self, response: Response, first_bytes: int | None) -> Answer:
        raw = response.raw
        headers = tuple(raw.headers.items())
        if sum(len(name) + len(value) for name, value in headers) > MAX_HEADER_BYTES:
            raise RequestError(Failure.BAD_RESPONSE, f"more than {MAX_HEADER_BYTES} bytes of headers")
        if not 200 <= response.status_code <= 599:
            raise RequestError(Failure.BAD_RESPONSE, f"status {response.status_code}")
        length = raw.headers.get("Content-Length")
        if length is not None and not all(_LENGTH.fullmatch(part.strip()) for part in length.split(",")):
            raise RequestError(Failure.BAD_RESPONSE, f"Content-Length: {length[:40]}")
        coding = raw.headers.get("Content-Encoding", "")
        sent: list[bytes] = []
        stream = decoded(_chunks(raw, sent), coding, self._limits.max_body_bytes)
        body = b"".join(stream) if first_bytes is None else _beginning(stream, first_bytes)
        coded = b"".join(sent) if codings(coding) else None
        return Answer(
            response.url, response.status_code, response.reason or "", headers, body, tuple(self._headers.items()), coded
        )


def _chunks(raw: urllib3.HTTPResponse, sent: list[bytes]) -> Iterator[bytes]:
    """The body without its transfer coding; what has come is kept in `sent`."""
    for chunk in raw.stream(CHUNK_BYTES, decode_content=False):
        sent.append(chunk)
        yield chunk


def _beginning(stream: Iterator[bytes], size: int) -> bytes:
    parts = []
    missing = size
    for chunk in stream:
        parts.append(chunk[:missing])
        missing -= len(parts[-1])
        if not missing:
            break
    return b"".join(parts)


def _named(error: Exception, guard: Guard) -> RequestError:
    """The failure behind an error of requests, urllib3, http.client, ssl or socket."""
    if guard.expired:
        return RequestError(Failure.TIMEOUT, "no whole answer before the deadline")
    chain = list(_causes(error))
    for kinds, failure in _NAMES:
        for cause in chain:
            if isinstance(cause, kinds):
                return RequestError(failure, _line(cause))
    cut = "prematurely" in str(error)  # urllib3 has no type of its own for a chunked body without its last chunk
    return RequestError(Failure.TRUNCATED if cut else Failure.BAD_RESPONSE, _line(error))


_NAMES: tuple[tuple[tuple[type[BaseException], ...], Failure], ...] = (
    ((ForbiddenAddressError,), Failure.FORBIDDEN_ADDRESS),
    ((TooLargeError,), Failure.TOO_LARGE),
    ((UnknownCodingError,), Failure.UNKNOWN_CODING),
    ((DecodingError,), Failure.BAD_CODING),
    ((urllib3.exceptions.NameResolutionError, socket.gaierror), Failure.DNS),
    ((ssl.SSLError, urllib3.exceptions.SSLError), Failure.TLS),
    (
        (ConnectionResetError, BrokenPipeError),
        Failure.CONNECTION,
    ),  # urllib3 blames the proxy for these, wherever the end came from
    ((urllib3.exceptions.ProxyError,), Failure.PROXY),
    ((urllib3.exceptions.NewConnectionError,), Failure.CONNECTION),
    ((urllib3.exceptions.TimeoutError, requests.Timeout, TimeoutError), Failure.TIMEOUT),
    ((urllib3.exceptions.LocationParseError, requests.exceptions.InvalidURL, UnicodeError), Failure.BAD_URL),
    ((urllib3.exceptions.InvalidChunkLength,), Failure.BAD_RESPONSE),
    ((http.client.IncompleteRead, urllib3.exceptions.IncompleteRead), Failure.TRUNCATED),
    ((http.client.HTTPException, urllib3.exceptions.InvalidHeader), Failure.BAD_RESPONSE),
    ((OSError,), Failure.CONNECTION),
)
"""In the order of what tells most: urllib3 wraps one error in another."""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and those it stands for, however they are linked."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        # requests' own errors are OSErrors all: what they wrap is what happened.
        if not isinstance(current, requests.RequestException) or isinstance(
            current, (requests.Timeout, requests.exceptions.InvalidURL)
        ):
            yield current
        linked = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        waiting.extend(item for item in linked if isinstance(item, BaseException))


def _line(error: BaseException) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
