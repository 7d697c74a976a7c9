"""Memory on CPU: large pages for large tensors, kept from one step to the next.

A step allocates and frees hundreds of MB. By default glibc maps each tensor above 32 MB separately, and the kernel clears its
pages every time. With 4 KiB pages, that took as long as the arithmetic (copy of 206 MB: 154 ms; with large pages: 28 ms). Keeping
freed pages made steps another 6 % faster and removed most of the variation between steps.
"""

import ctypes
import os

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # malloc.h


def keep_large_pages() -> None:
    """Make torch request transparent huge pages and malloc keep freed memory. Call it before torch's first allocation."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # glibc
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_MMAP_MAX, 0)
