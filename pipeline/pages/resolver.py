"""Look-ups of host names with a deadline: `getaddrinfo` has none, and waits half a minute for a silent name server."""

import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from pipeline.pages.addresses import Lookup

CACHE_SECONDS = 60.0
CACHE_NAMES = 1 << 14


class Resolver:
    """Looks names up, each in its own thread, and keeps the answers for a minute. Safe to share between threads.

    The thread of an abandoned look-up ends when the system's resolver answers. It holds no lock, and a process exits without it.
    """

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._cache: dict[tuple[str, int], tuple[float, list[Any]]] = {}

    def __call__(self, host: str, port: int, seconds: float) -> list[Any]:
        """The stream addresses that `socket.getaddrinfo` gives.

        Raises TimeoutError after `seconds`, and what `getaddrinfo` raises.
        """
        if ":" in host or host[-1:].isdigit():  # an address needs no name server
            return self._lookup(host, port, type=socket.SOCK_STREAM)
        cached = self._cache.get((host, port))
        if cached is not None and time.monotonic() - cached[0] < CACHE_SECONDS:
            return cached[1]
        pending: Future[list[Any]] = Future()
        threading.Thread(target=self._look_up, args=(host, port, pending), name=f"look up {host}", daemon=True).start()
        try:
            addresses = pending.result(seconds)
        except TimeoutError:
            raise TimeoutError(f"{host}: no address in {seconds:.1f} s") from None
        if len(self._cache) >= CACHE_NAMES:
            self._cache.clear()
        self._cache[host, port] = (time.monotonic(), addresses)
        return addresses

    def _look_up(self, host: str, port: int, pending: Future[list[Any]]) -> None:
        try:
            pending.set_result(self._lookup(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # a UnicodeError says that the host cannot be a name
            pending.set_exception(error)
