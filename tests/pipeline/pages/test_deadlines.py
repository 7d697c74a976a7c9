import socket
import time

import pytest

from pipeline.pages.deadlines import SocketHandle, Watchdog


def test_wait_ends_at_the_deadline() -> None:
    near, far = socket.socketpair()
    with far, Watchdog() as watchdog, watchdog.deadline(0.2) as deadline:
        handle = SocketHandle(near)
        deadline.watch(handle)
        assert not deadline.expired
        near.settimeout(30)
        assert near.recv(10) == b""
        assert time.monotonic() >= deadline.ends_at
        assert deadline.expired
        handle.close()
        near.close()


def test_connection_after_the_deadline_is_cut_at_once() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog() as watchdog, watchdog.deadline(0.0) as deadline:
        while not deadline._cut:
            time.sleep(0.001)
        handle = SocketHandle(near)
        deadline.watch(handle)
        assert near.recv(10) == b""
        handle.close()


def test_connection_of_a_finished_request_is_not_cut() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog() as watchdog:
        handle = SocketHandle(near)
        with watchdog.deadline(0.1) as deadline:
            deadline.watch(handle)
        near.settimeout(0.3)
        with watchdog.deadline(0.2) as later, pytest.raises(TimeoutError):
            near.recv(10)
        assert later.expired
        far.sendall(b"still open")
        assert near.recv(10) == b"still open"
        handle.close()


def test_cutting_a_closed_handle_does_nothing() -> None:
    near, far = socket.socketpair()
    with near, far:
        handle = SocketHandle(near)
        handle.close()
        handle.close()
        handle.cut()
        far.sendall(b"open")
        assert near.recv(4) == b"open"


def test_nearer_deadline_added_later_is_enforced_first() -> None:
    near, far = socket.socketpair()
    with near, far, Watchdog() as watchdog, watchdog.deadline(60.0), watchdog.deadline(0.1) as deadline:
        handle = SocketHandle(near)
        deadline.watch(handle)
        far.settimeout(10)
        assert far.recv(1) == b""
        handle.close()
