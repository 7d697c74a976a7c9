"""Look-ups of host names with a deadline: `getaddrinfo` knows none, and waits half a minute for a name server that is silent."""

import socket
import threading
import time
from concurrent.futures import Future
from typing import Any

from pipeline.pages.addresses import Lookup

KEPT_SECONDS = 60.0
KEPT_NAMES = 1 << 14


class Resolver:
    """Looks names up, each in a thread of its own, and keeps the answers for a minute; safe to share between threads.

    A look-up that is given up ends when the system's resolver does: its thread holds nothing, and no exit waits for it.
    """

    def __init__(self, lookup: Lookup = socket.getaddrinfo) -> None:
        self._lookup = lookup
        self._kept: dict[tuple[str, int], tuple[float, list[Any]]] = {}

    def __call__(self, host: str, port: int, seconds: float) -> list[Any]:
        """As `socket.getaddrinfo` answers for streams. Raises TimeoutError after so many seconds."""
        if ":" in host or host[-1:].isdigit():  # an address: nobody is asked
            return self._lookup(host, port, type=socket.SOCK_STREAM)
        kept = self._kept.get((host, port))
        if kept is not None and time.monotonic() - kept[0] < KEPT_SECONDS:
            return kept[1]
        pending: Future[list[Any]] = Future()
        threading.Thread(target=self._look_up, args=(host, port, pending), name=f"look up {host}", daemon=True).start()
        try:
            found = pending.result(seconds)
        except TimeoutError:
            raise TimeoutError(f"{host}: no address in {seconds:.1f} s") from None
        if len(self._kept) >= KEPT_NAMES:
            self._kept.clear()
        self._kept[host, port] = (time.monotonic(), found)
        return found

    def _look_up(self, host: str, port: int, pending: Future[list[Any]]) -> None:
        try:
            pending.set_result(self._lookup(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:  # UnicodeError for what cannot be a name
            pending.set_exception(error)
