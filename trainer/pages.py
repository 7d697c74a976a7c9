"""Large pages for large tensors on CPU.

A step allocates and frees hundreds of MB; in pages of 4 KiB the kernel's page faults took as long as the arithmetic on them (a copy of
206 MB: 154 ms, with large pages 28).
"""

import os


def large_pages() -> None:
    """Let torch ask for transparent huge pages. It reads this at its first allocation, so call it before making a tensor."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
