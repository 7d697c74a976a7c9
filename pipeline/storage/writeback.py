"""Linux's early start of writing a file to disk, so that the sync at its end has little left to wait for."""

import ctypes
from collections.abc import Callable
from functools import cache

SYNC_FILE_RANGE_WRITE = 2  # fcntl.h


@cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux's system call, which Python does not offer; None on other systems."""
    call = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if call is not None:
        call.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return call


def start_writeback(descriptor: int, start: int, size: int) -> None:
    """Ask the disk to start writing a range of a file, without waiting. Errors are ignored here: the sync reports them."""
    if call := _sync_file_range():
        call(descriptor, start, size, SYNC_FILE_RANGE_WRITE)
