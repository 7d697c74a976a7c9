"""Memory allocators: which this process uses, and what they keep of freed memory."""

import ctypes
import os
import sys
from collections.abc import Callable

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # malloc.h

MAPPED_FROM_BYTES = 4 << 20

KEPT_FREE_BYTES = 16 << 20


def choose_allocators() -> None:
    """How this process allocates, before it imports what allocates or starts a thread.

    Arrow by jemalloc where it is built in: 30 MB less than its own choice. glibc's malloc from one arena: 64 fetching threads spread over
    16 of them held 20 to 30 MB more and grew by 1.6 MB a minute, where one grows by 0.15.
    """
    if sys.platform == "linux":
        os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "jemalloc")
    _mallopt({M_ARENA_MAX: 1})


def keep_freed_memory() -> None:
    """Fix glibc's thresholds, for work on arrays batch by batch. Left to itself it raises them to what was freed, so that large arrays
    leave holes (40 MB of 390 in dedup), or gives back what the next batch asks for.
    """
    _mallopt({M_MMAP_THRESHOLD: MAPPED_FROM_BYTES, M_TRIM_THRESHOLD: KEPT_FREE_BYTES})


def give_back_freed_memory() -> None:
    """Between two kinds of work: what the one leaves behind is in the other's way."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    if trim := _of_glibc("malloc_trim"):
        trim(0)


def _mallopt(options: dict[int, int]) -> None:
    if mallopt := _of_glibc("mallopt"):
        for option, value in options.items():
            mallopt(option, value)


def _of_glibc(name: str) -> Callable[..., int] | None:
    """A function of its own, where this process has glibc."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform == "linux" else None
