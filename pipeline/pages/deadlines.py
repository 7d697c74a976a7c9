"""Total deadlines for sockets. A time-out only bounds one silence; a server that drips a byte now and then outlasts it for ever."""

import heapq
import itertools
import socket
import threading
import time
from types import TracebackType
from typing import Self


class Handle:
    """A second descriptor of a connection, which TLS does not take over: cutting it ends whatever the connection waits for."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket: socket.socket | None = connection.dup()
        self._lock = threading.Lock()

    def cut(self) -> None:
        """Shut the connection both ways, from any thread."""
        with self._lock:
            if self._socket is None:
                return
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                return  # the other side was faster

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


class Guard:
    """One request's deadline: inside the block every watched connection is cut once the time is over."""

    def __init__(self, watchdog: "Watchdog", seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.done = False
        self._watchdog = watchdog
        self._cut = False
        self._handles: list[Handle] = []
        self._lock = threading.Lock()

    @property
    def expired(self) -> bool:
        """Whether the time is over: what was read after that is no whole answer."""
        return self._cut or time.monotonic() >= self.deadline

    @property
    def seconds_left(self) -> float:
        """At least a millisecond: sockets take 0 for "do not block"."""
        return max(0.001, self.deadline - time.monotonic())

    def watch(self, handle: Handle) -> None:
        """Cut this connection too."""
        with self._lock:
            self._handles.append(handle)
            late = self._cut
        if late:
            handle.cut()

    def cut(self) -> None:
        """End what is waited for."""
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
    """One thread that cuts what has outlived its deadline. Close it, or use it as a context."""

    def __init__(self) -> None:
        self._waiting: list[tuple[float, int, Guard]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def guard(self, seconds: float) -> Guard:
        """A deadline that many seconds from now."""
        return Guard(self, seconds)

    def add(self, guard: Guard) -> None:
        """Watch over it from now on."""
        with self._changed:
            heapq.heappush(self._waiting, (guard.deadline, next(self._order), guard))
            if self._waiting[0][2] is guard:
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
            for guard in due:
                guard.cut()

    def _next_due(self) -> list[Guard] | None:
        """Wait for deadlines to pass; None when closed. Guards of finished requests fall out as they come to the top."""
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
