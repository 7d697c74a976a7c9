"""A reader of an object in a store that is asked for ranges of its bytes."""

import io
import os
from collections.abc import Callable
from typing import Any, NamedTuple

TAIL_BYTES = 64 << 10
"""What a reader fetches to learn an object's size: the footer of a Parquet file, or all of a small object."""
FIRST_WINDOW_BYTES = 64 << 10
LAST_WINDOW_BYTES = 8 << 20
"""The bounds of what a reader fetches at once while it reads on."""
AHEAD = 4
"""A reader that reads on fetches a fourth of what it has read so far: where it stops, no more than that was in vain."""
GAP_BYTES = 64 << 10
"""A reader that skips no more than this still reads on, what it skips included: between the pages of a WARC file are their requests,
and another thread may be behind."""


class Range(NamedTuple):
    """Bytes of an object from `start` on, and the object's size, if the store told it."""

    start: int
    size: int | None
    data: bytes


def answered_range(content_range: str | None, data: bytes) -> Range:
    """The range that an answer's `Content-Range` names; the whole object if it has none.

    >>> answered_range("bytes 6-9/10", b"6789")
    Range(start=6, size=10, data=b'6789')
    """
    if not content_range:
        return Range(0, len(data), data)
    begin, _, rest = content_range.removeprefix("bytes ").partition("-")
    return Range(int(begin), int(rest.partition("/")[2]), data)


class RangeReader(io.RawIOBase):
    """A seekable reader that fetches ranges: what is asked, and more of them while it reads on.

    It keeps the last two ranges, so that threads may read a little out of order. `load` takes the value of a `Range` header and the
    first byte that is wanted; it gives an empty range where the object ends before that byte.
    """

    def __init__(self, load: Callable[[str, int], Range]) -> None:
        self._loaded = load
        self._position = 0
        self._size: int | None = None
        self._start = 0
        self._window = b""
        self._earlier = (0, b"")
        self._read_on = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """The position of the next byte that is read."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move the position. From the end, the object's size and its last bytes are fetched first."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position}.get(whence)
        self._position = (self._length() if base is None else base) + offset
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the object goes. Returns the number of bytes."""
        data = self.read(len(memoryview(buffer).cast("B")))
        memoryview(buffer).cast("B")[: len(data)] = data
        return len(data)

    def read(self, count: int | None = -1) -> bytes:
        """The next `count` bytes, all that are left for -1; fewer only at the end."""
        if count is None or count < 0:
            count = max(0, self._length() - self._position)
        end = self._position + count
        if self._size is not None:
            end = min(end, self._size)
        pieces: list[bytes] = []
        while self._position < end:
            piece = self._held(end - self._position)
            if not piece:
                self._fetch(end - self._position)
                if not (piece := self._held(end - self._position)):
                    break
            pieces.append(piece)
            self._position += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _held(self, count: int) -> bytes:
        """At most `count` bytes at the position that a fetched range holds."""
        for start, window in ((self._start, self._window), self._earlier):
            if start <= self._position < start + len(window):
                return window[self._position - start : self._position - start + count]
        return b""

    def readall(self) -> bytes:
        """All that is left."""
        return self.read(-1)

    def _length(self) -> int:
        if self._size is None:
            self._load(f"bytes=-{TAIL_BYTES}")
        return self._size or 0

    def _fetch(self, wanted: int) -> None:
        """Load a range that holds the byte at the position."""
        end = self._start + len(self._window)
        if self._window and end <= self._position <= end + GAP_BYTES:
            self._read_on += len(self._window)
            ahead = min(LAST_WINDOW_BYTES, max(FIRST_WINDOW_BYTES, self._read_on // AHEAD))
            last = max(self._position + wanted, end + ahead)
            self._earlier = (self._start, self._window)
            self._load(f"bytes={end}-{last - 1}", end)
        elif self._start - GAP_BYTES <= self._position < self._start:  # a thread that is behind
            ahead_of_it = (self._start, self._window)
            last = min(self._position + wanted, self._start)
            self._load(f"bytes={self._position}-{last - 1}", self._position)
            self._earlier = (self._start, self._window)
            self._start, self._window = ahead_of_it
        else:
            self._read_on = 0
            self._earlier = (self._start, self._window)
            self._load(f"bytes={self._position}-{self._position + wanted - 1}", self._position)

    def _load(self, span: str, start: int = 0) -> None:
        found = self._loaded(span, start)
        self._start, self._window = found.start, found.data
        self._size = self._size if found.size is None else found.size
