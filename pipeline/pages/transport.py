"""The transport below requests: one TLS context for all hosts, and connections to allowed addresses only, with deadlines.

Measured: requests' own adapter reads the CA bundle for every new TLS host, which takes 8.5 times the CPU of this one.
"""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
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
from pipeline.pages.deadlines import Deadline, SocketHandle
from pipeline.pages.failures import AddressBusyError
from pipeline.pages.live_response import LiveResponse
from pipeline.pages.resolver import Resolver

CONNECT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Dialer:
    """Makes connections: looks the host up once, checks every address, then connects to the checked addresses themselves.

    Behind a proxy, the proxy looks names up, and the only host to connect to is the proxy: `trusts_host` skips the check.
    """

    policy: AddressPolicy
    resolver: Resolver
    trusts_host: bool = False

    def dial(self, host: str, port: int, seconds: float, admits: Callable[[str], bool] = lambda _: True) -> socket.socket:
        """A connection to the first of the host's addresses that answers. The remaining time is divided among the remaining
        addresses.

        `admits` is asked about the first address: where it refuses, no connection is made. Raises OSError,
        ForbiddenAddressError, AddressBusyError.
        """
        end = time.monotonic() + seconds
        addresses = self._addresses(host, port, seconds)
        if addresses and not self.trusts_host and not admits(addresses[0][1][0]):
            raise AddressBusyError
        failure: OSError = OSError(f"{host}: no address")
        for attempt, (family, address) in enumerate(addresses):
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(max(0.001, (end - time.monotonic()) / (len(addresses) - attempt)))
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
        addresses = [(family, address) for family, _, _, _, address in self.resolver(host, port, seconds)]
        if not self.trusts_host:
            self.policy.vet_addresses(host, (address for _, address in addresses))
        return addresses


class _Request(threading.local):
    """The request that this thread makes; the connections that it opens or reuses belong to it."""

    deadline: Deadline
    dialer: Dialer
    admits: Callable[[str], bool]
    reused: bool = False


_request = _Request()


@contextmanager
def request_scope(deadline: Deadline, dialer: Dialer, admits: Callable[[str], bool]) -> Iterator[None]:
    """Inside the `with` block, `dialer` makes this thread's connections, to addresses that `admits`, and `deadline` cuts them."""
    _request.deadline, _request.dialer, _request.admits, _request.reused = deadline, dialer, admits, False
    try:
        yield
    finally:
        del _request.deadline, _request.dialer, _request.admits


def connection_was_reused() -> bool:
    """Whether this thread's last request used a connection kept alive, which its server may have closed in the meantime."""
    return _request.reused


class _Connection(HTTPConnection):
    """A connection that its request's deadline can cut, whether new or kept alive."""

    response_class = LiveResponse
    _handle: SocketHandle | None = None
    _used = False

    def _new_conn(self) -> socket.socket:
        deadline = _request.deadline
        seconds = min(CONNECT_SECONDS, deadline.seconds_left)
        try:
            connection = _request.dialer.dial(self._dns_host, self.port or self.default_port, seconds, _request.admits)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, f"{self.host}: no connection in {seconds:.0f} s") from error
        except OSError as error:
            raise NewConnectionError(self, f"{self.host}: {error}") from error
        self._used = False
        self._handle = SocketHandle(connection)
        deadline.watch(self._handle)
        return connection

    def request(self, *arguments: Any, **options: Any) -> None:
        """Send a request, as urllib3 does; the new request's deadline watches a connection kept alive."""
        if self._handle is not None:
            _request.deadline.watch(self._handle)
            _request.reused = self._used
        super().request(*arguments, **options)
        self._used = True

    def close(self) -> None:
        """Close the connection and its handle."""
        super().close()
        if self._handle is not None:
            self._handle.close()
            self._handle = None


class _TLSConnection(_Connection, HTTPSConnection):
    """A `_Connection` with TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _TLSPool(HTTPSConnectionPool):
    ConnectionCls = _TLSConnection


_POOLS = {"http": _Pool, "https": _TLSPool}


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """A context that verifies certificates and host names.

    Raises OSError where the bundle (by default Mozilla's) cannot be read.
    """
    return ssl.create_default_context(cafile=ca_bundle or certifi.where())


class Adapter(HTTPAdapter):
    """requests' transport adapter with the pools and connections of this module. Safe to share between threads."""

    def __init__(self, context: ssl.SSLContext, pools: int) -> None:
        self._tls: dict[str, Any] = {"ssl_context": context, "cert_reqs": "CERT_REQUIRED"}
        super().__init__(pool_connections=pools, pool_maxsize=1)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Make the pool manager, with this module's pools and the one TLS context."""
        self.poolmanager = PoolManager(num_pools=connections, maxsize=maxsize, block=block, **self._tls, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        """A pool manager behind a proxy, with this module's pools."""
        manager: ProxyManager = super().proxy_manager_for(proxy, **self._tls, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager

    def get_connection_with_tls_context(
        self, request: PreparedRequest, verify: Any, proxies: Any = None, cert: Any = None
    ) -> HTTPConnectionPool:
        """The pool of the URL's host. It is given no certificates: they would make urllib3 read the bundle again."""
        url = request.url or ""
        if proxies:
            return self.proxy_manager_for(proxies["https"]).connection_from_url(url)
        origin = "/".join(url.split("/", 3)[:3])
        return self.poolmanager.pools.get(origin) or self._pool(origin)

    def _pool(self, origin: str) -> HTTPConnectionPool:
        """A new pool, with the origin as its key: urllib3 makes its own key from twenty settings at every request."""
        parts = parse_url(origin)
        if parts.scheme not in _POOLS or not parts.host:
            raise LocationParseError(origin.rpartition("@")[2])
        port = parts.port or (443 if parts.scheme == "https" else 80)
        origin_keys = {"scheme": parts.scheme, "host": parts.host, "port": port}
        pool: HTTPConnectionPool = self.poolmanager.connection_from_pool_key(
            origin, self.poolmanager.connection_pool_kw | origin_keys
        )
        return pool

    def request_url(self, request: PreparedRequest, proxies: Any) -> str:
        """The target of the request line. It is parsed once, where requests parses the URL seven times."""
        url = request.url or ""
        return url if proxies and url.startswith("http:") else request.path_url

    def cert_verify(self, conn: Any, url: str, verify: bool | str | None, cert: Any) -> None:
        """Do nothing: the TLS context verifies."""

    def build_response(self, req: PreparedRequest, resp: Any) -> Response:
        """The response with status, headers and raw stream; cookies are not stored."""
        response = Response()
        response.status_code, response.reason, response.raw = resp.status, resp.reason, resp
        response.url, response.request = req.url or "", req
        return response


def get_request(url: str, headers: dict[str, str]) -> PreparedRequest:
    """A GET request for exactly this URL.

    It is normalised already; requests would quote it in its own way and check headers each time.
    """
    request = PreparedRequest()
    request.method, request.url = "GET", url
    request.headers = headers  # type: ignore[assignment]
    return request


def timeouts(deadline: Deadline, read_seconds: float) -> tuple[float, float]:
    """Time-outs for connecting and for one silence, in seconds; the deadline bounds their sum."""
    left = deadline.seconds_left
    return min(CONNECT_SECONDS, left), min(read_seconds, left)
