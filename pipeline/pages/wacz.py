"""WARC files inside a WACZ file, which is a ZIP file that stores them as they are: as ranges of its bytes. Nothing is unpacked."""

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from typing import BinaryIO, cast

from pipeline.pages.warc_record import NotAnArchiveError

ZIP_MAGIC = b"PK\x03\x04"
_ARCHIVE = re.compile(r".+\.w?arc(\.gz)?", re.IGNORECASE)
_LOCAL_HEAD_BYTES = 30
_LOCAL_NAMES = struct.Struct("<HH")
_BUFFER_BYTES = 1 << 16


def stored_archives(file: BinaryIO) -> Iterator[tuple[int, BinaryIO]]:
    """The WARC and ARC files in a ZIP file: offset and content of each. Raises NotAnArchiveError where none can be read."""
    try:
        with zipfile.ZipFile(file) as archive:
            members = [member for member in archive.infolist() if _ARCHIVE.fullmatch(member.filename)]
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error) as error:
        raise NotAnArchiveError(f"a ZIP file that cannot be read ({error})") from error
    if not members:
        raise NotAnArchiveError("a ZIP file without a *.warc or *.warc.gz file in it")
    for member in members:
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise NotAnArchiveError(f"a ZIP file that packs {member.filename[:80]}, in place of storing it: unpack it")
        start = _content_offset(file, member.header_offset)
        yield start, cast("BinaryIO", io.BufferedReader(_Range(file, start, member.file_size), _BUFFER_BYTES))


def _content_offset(file: BinaryIO, header: int) -> int:
    """Where a member's content begins, after its local header (APPNOTE 4.3.7)."""
    file.seek(max(header, 0))
    head = file.read(_LOCAL_HEAD_BYTES) if header >= 0 else b""
    if len(head) < _LOCAL_HEAD_BYTES or not head.startswith(ZIP_MAGIC):
        raise NotAnArchiveError(f"a ZIP file that cannot be read (no member at byte {header})")
    name, extra = _LOCAL_NAMES.unpack_from(head, 26)
    return header + _LOCAL_HEAD_BYTES + int(name) + int(extra)


class _Range(io.RawIOBase):
    """Bytes `start` to `start + size` of a file, as a file of their own. A range beyond the end of the file ends with it."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file = file
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset within the range."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        """Fill the buffer from the file."""
        self._file.seek(self._start + self._at)
        data = self._file.read(max(0, min(len(buffer), self._size - self._at)))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
