"""HTTP client: one request gives one complete response or one named failure, within its deadline, whatever the server does."""

import http.client
import logging
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

import requests
import urllib3
from requests import Response

from pipeline.pages.addresses import AddressPolicy, ForbiddenAddressError, Lookup
from pipeline.pages.deadlines import Deadline, Watchdog
from pipeline.pages.decoding import ACCEPTED, DecodingError, TooLargeError, UnknownCodingError, codings, decode
from pipeline.pages.failures import AddressBusyError, RequestError, RequestFailure
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.live_response import head_of
from pipeline.pages.ports import vet_port
from pipeline.pages.resolver import Resolver
from pipeline.pages.transport import Adapter, Dialer, connection_was_reused, get_request, request_scope, timeouts, tls_context
from pipeline.redaction import excerpt

CHUNK_BYTES = 1 << 16
READ_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits on the time and the size of one request."""

    deadline_seconds: float = 60.0
    max_body_bytes: int = 10_000_000


class Client:
    """Sends requests; safe to share between threads. Close it, or use it as a context manager.

    It takes no proxy, password or cookie from the environment, and keeps no cookie: it uses requests' transport, not its sessions.
    """

    def __init__(
        self,
        agent: str,
        policy: AddressPolicy,
        limits: RequestLimits,
        *,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        pools: int = 64,
        lookup: Lookup = socket.getaddrinfo,
    ) -> None:
        # urllib3 would log URLs with the keys in them, in every process that fetches.
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

    def get(
        self,
        url: str,
        first_bytes: int | None = None,
        cookie: str = "",
        admits: Callable[[str], bool] = lambda _: True,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> HttpResponse:
        """The response to a GET; a redirect is a response too. Raises RequestError.

        With `first_bytes`, the body is cut to that many bytes, and a longer one is not a failure. `cookie` is the Cookie header,
        which the response's request headers leave out. `admits` is asked before a connection to an address is made; where it
        refuses, AddressBusyError is raised. `headers` are sent besides the client's own, or in place of them.
        """
        with self._watchdog.deadline(self._limits.deadline_seconds) as deadline:
            try:
                with request_scope(deadline, self._dialer, admits):
                    sent = {**self._headers, **headers, "Cookie": cookie} if cookie else {**self._headers, **headers}
                    response = self._exchange_with_retry(url, deadline, first_bytes, sent)
            except (RequestError, AddressBusyError):
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException) as error:
                raise _request_error(error, deadline) from error
            except (ForbiddenAddressError, OSError, ValueError) as error:
                raise _request_error(error, deadline) from error
            if deadline.expired:
                raise RequestError(RequestFailure.TIMEOUT, f"no complete response in {self._limits.deadline_seconds:g} s")
            return response

    def close(self) -> None:
        """Close all connections."""
        self._adapter.close()
        self._watchdog.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _exchange_with_retry(
        self, url: str, deadline: Deadline, first_bytes: int | None, headers: dict[str, str]
    ) -> HttpResponse:
        """Send the request; once more where the server had closed the connection kept alive (RFC 9112 section 9.3.1)."""
        try:
            return self._exchange(url, deadline, first_bytes, headers)
        except requests.ConnectionError as error:
            closed = any(isinstance(cause, (ConnectionResetError, BrokenPipeError)) for cause in _causes(error))
            if not closed or not connection_was_reused() or deadline.expired:
                raise
        return self._exchange(url, deadline, first_bytes, headers)

    def _exchange(self, url: str, deadline: Deadline, first_bytes: int | None, headers: dict[str, str]) -> HttpResponse:
        vet_port(url)
        if self._proxies:
            self._policy.vet_host(urlsplit(url).hostname or "")
        request = get_request(url, headers)
        response = self._adapter.send(request, stream=True, timeout=timeouts(deadline, READ_SECONDS), proxies=self._proxies)
        try:
            return self._read(response, first_bytes)
        finally:
            if not response.raw.closed:
                response.raw.close()  # unread data is left: the connection cannot be reused
            response.raw.release_conn()

    def _read(self, response: Response, first_bytes: int | None) -> HttpResponse:
        raw = response.raw
        head = head_of(raw)
        transfer = head.value("transfer-encoding")
        if set(codings(transfer)) - {"chunked"}:
            raise RequestError(RequestFailure.UNKNOWN_CODING, f"Transfer-Encoding: {transfer[:40]}")
        coding = head.value("content-encoding")
        sent: list[bytes] = []
        stream = decode(_chunks(raw, sent), coding, self._limits.max_body_bytes)
        body = b"".join(stream) if first_bytes is None else _beginning(stream, first_bytes)
        coded = b"".join(sent) if codings(coding) else None
        return HttpResponse(response.url, head.status, head.phrase, head.fields, body, tuple(self._headers.items()), coded)


def _chunks(raw: urllib3.HTTPResponse, sent: list[bytes]) -> Iterator[bytes]:
    """The body without its transfer coding; its chunks are also appended to `sent`."""
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


def _request_error(error: Exception, deadline: Deadline) -> RequestError:
    """The named failure behind an error of requests, urllib3, http.client, ssl or socket."""
    chain = list(_causes(error))
    connected = not any(isinstance(cause, _UNCONNECTED) for cause in chain)
    if deadline.expired:
        return RequestError(RequestFailure.TIMEOUT, "no complete response before the deadline", connected=connected)
    for kinds, failure in _FAILURES:
        for cause in chain:
            if isinstance(cause, kinds):
                return RequestError(failure, _line(cause), connected=connected)
    return RequestError(RequestFailure.BAD_RESPONSE, _line(error))


_FAILURES: tuple[tuple[tuple[type[BaseException], ...], RequestFailure], ...] = (
    ((ForbiddenAddressError,), RequestFailure.FORBIDDEN_ADDRESS),
    ((TooLargeError,), RequestFailure.TOO_LARGE),
    ((UnknownCodingError,), RequestFailure.UNKNOWN_CODING),
    ((DecodingError,), RequestFailure.BAD_CODING),
    ((urllib3.exceptions.NameResolutionError, socket.gaierror), RequestFailure.DNS),
    ((ssl.SSLError, urllib3.exceptions.SSLError), RequestFailure.TLS),
    # urllib3 blames the proxy for these, whichever side closed the connection.
    ((ConnectionResetError, BrokenPipeError), RequestFailure.CONNECTION),
    ((urllib3.exceptions.ProxyError,), RequestFailure.PROXY),
    ((urllib3.exceptions.NewConnectionError,), RequestFailure.CONNECTION),
    ((urllib3.exceptions.TimeoutError, requests.Timeout, TimeoutError), RequestFailure.TIMEOUT),
    ((urllib3.exceptions.LocationParseError, requests.exceptions.InvalidURL, UnicodeError), RequestFailure.BAD_URL),
    ((http.client.IncompleteRead, urllib3.exceptions.IncompleteRead), RequestFailure.TRUNCATED),
    ((http.client.HTTPException, urllib3.exceptions.InvalidHeader), RequestFailure.BAD_RESPONSE),
    ((OSError,), RequestFailure.CONNECTION),
)
"""Most specific first: urllib3 wraps one error in another."""

_UNCONNECTED = (
    urllib3.exceptions.NameResolutionError,
    urllib3.exceptions.NewConnectionError,
    urllib3.exceptions.ConnectTimeoutError,
    socket.gaierror,
)
"""Errors of requests that got no connection."""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and the errors behind it, however they are linked."""
    seen: set[int] = set()
    waiting: list[BaseException] = [error]
    while waiting:
        current = waiting.pop(0)
        if id(current) in seen:
            continue
        seen.add(id(current))
        # All of requests' errors are OSErrors: the errors that they wrap are more specific.
        if not isinstance(current, requests.RequestException) or isinstance(
            current, (requests.Timeout, requests.exceptions.InvalidURL)
        ):
            yield current
        linked = [current.__cause__, current.__context__, getattr(current, "reason", None), *current.args]
        waiting.extend(item for item in linked if isinstance(item, BaseException))


def _line(error: BaseException) -> str:
    return excerpt(f"{type(error).__name__}: {error}", 200)
