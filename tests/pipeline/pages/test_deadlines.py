import socket
import time

import pytest

from pipeline.pages.deadlines import SocketHandle, Watchdog


def test_a_wait_ends_at_the_deadline() -> None:
    near, far = socket.socketpair()
    with far, Watchdog() as watchdog, watchdog.guard(0.2) as guard:
        handle = SocketHandle(near)
        guard.watch(handle)
        assert not guard.expired
        started = time.monotonic()
        assert near.recv(10) == b""
        assert 0.15 <= time.monotonic() - started < 5
        assert guard.expired
        handle.close()
        near.close()


def test_what_comes_late_is_cut_at_once() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog() as watchdog, watchdog.guard(0.0) as guard:
        while not guard._cut:
            time.sleep(0.001)
        handle = SocketHandle(near)
        guard.watch(handle)
        assert near.recv(10) == b""
        handle.close()


def test_a_finished_request_is_left_alone() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog() as watchdog:
        handle = SocketHandle(near)
        with watchdog.guard(0.1) as guard:
            guard.watch(handle)
        near.settimeout(0.3)
        with watchdog.guard(0.2) as later, pytest.raises(TimeoutError):
            near.recv(10)
        assert later.expired
        far.sendall(b"still open")
        assert near.recv(10) == b"still open"
        handle.close()


def test_a_closed_handle_is_cut_without_harm() -> None:
    near, far = socket.socketpair()
    with near, far:
        handle = SocketHandle(near)
        handle.close()
        handle.close()
        handle.cut()
        far.sendall(b"open")
        assert near.recv(4) == b"open"


def test_a_nearer_deadline_that_comes_later_is_met_first() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog() as watchdog, watchdog.guard(60.0), watchdog.guard(0.1) as guard:
        handle = SocketHandle(near)
        guard.watch(handle)
        far.settimeout(10)
        assert far.recv(1) == b""
        handle.close()
