"""Memory on CPU: large pages for large tensors, kept from one step to the next.

A step allocates and frees hundreds of MB, and as glibc has it each tensor of over 32 MB is a mapping of its own: the kernel clears its
pages anew every time. In pages of 4 KiB that took as long as the arithmetic on them (a copy of 206 MB: 154 ms, with large pages 28);
pages that are kept took another 6 % off a step, and most of the difference between a step and the next.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_large_pages() -> None:
    """Let torch ask for transparent huge pages, and malloc keep what it has. Torch reads this at its first allocation: call it before."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_MMAP_MAX, 0)
