"""Total deadlines for requests.

A socket time-out bounds one silence only: a server that sends a byte now and then never reaches it.
"""

import heapq
import itertools
import socket
import threading
import time
from types import TracebackType
from typing import Self


class SocketHandle:
    """A second descriptor of a connection, which TLS does not take over. Cutting it ends every wait on the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket: socket.socket | None = connection.dup()
        self._lock = threading.Lock()

    def cut(self) -> None:
        """Shut the connection in both directions; callable from any thread."""
        with self._lock:
            if self._socket is None:
                return
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the other side has closed it

    def close(self) -> None:
        """Release the descriptor."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class Deadline:
    """The deadline of one request: inside the `with` block, watched connections are cut when the time is over."""

    def __init__(self, watchdog: "Watchdog", seconds: float) -> None:
        self.ends_at = time.monotonic() + seconds
        self.done = False
        self._watchdog = watchdog
        self._cut = False
        self._handles: list[SocketHandle] = []
        self._lock = threading.Lock()

    @property
    def expired(self) -> bool:
        """Whether the time is over: a response that was read past it is not complete."""
        return self._cut or time.monotonic() >= self.ends_at

    @property
    def seconds_left(self) -> float:
        """The time left; at least a millisecond, since sockets take 0 for "do not block"."""
        return max(0.001, self.ends_at - time.monotonic())

    def watch(self, handle: SocketHandle) -> None:
        """Cut this connection too when the time is over."""
        with self._lock:
            self._handles.append(handle)
            late = self._cut
        if late:
            handle.cut()

    def cut(self) -> None:
        """Cut the watched connections, unless the request is finished."""
        with self._lock:
            if self.done:
                return
            self._cut = True
            handles = list(self._handles)
        for handle in handles:
            handle.cut()

    def __enter__(self) -> Self:
        self._watchdog.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._lock:
            self.done = True
            self._handles.clear()


class Watchdog:
    """A thread that cuts the connections of requests past their deadlines. Close it, or use it as a context manager."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Deadline]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def deadline(self, seconds: float) -> Deadline:
        """A deadline `seconds` from now, for a `with` block."""
        return Deadline(self, seconds)

    def add(self, deadline: Deadline) -> None:
        """Enforce a deadline from now on."""
        with self._changed:
            heapq.heappush(self._waiting, (deadline.ends_at, next(self._order), deadline))
            if self._waiting[0][2] is deadline:
                self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _watch(self) -> None:
        while (due := self._next_due()) is not None:
            for deadline in due:
                deadline.cut()

    def _next_due(self) -> list[Deadline] | None:
        """Wait for deadlines to pass and return them; None when closed.

        Finished requests leave the heap when they reach its top.
        """
        with self._changed:
            while not self._closed:
                while self._waiting and self._waiting[0][2].done:
                    heapq.heappop(self._waiting)
                now = time.monotonic()
                due = []
                while self._waiting and self._waiting[0][0] <= now:
                    due.append(heapq.heappop(self._waiting)[2])
                if due:
                    return due
                self._changed.wait(self._waiting[0][0] - now if self._waiting else None)
            return None
