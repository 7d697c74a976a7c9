"""Archives that were compressed as a whole: their records have no places of their own, so a plain copy is read in their place."""

import gzip
import sys
import zlib
from typing import IO, BinaryIO

from pipeline.pages.archive_members import unpacked
from pipeline.pages.archive_spans import archive_streams
from pipeline.pages.warc_record import NotAnArchiveError, WarcError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

UNPACKED = "unpacked"
"""The kind of file that a plain copy is."""
MAX_EXPANSION = 200
FREE_BYTES = 1 << 30
"""A copy may have this many bytes, however small the archive is."""
_PIECE_BYTES = 1 << 20


def unpack(file: BinaryIO, size: int, copy: IO[bytes]) -> WarcError | None:
    """Write the plain bytes of an archive of `size` bytes; the error that ended them early, where one did.

    Raises NotAnArchiveError where the archive expands more than 200-fold, and beyond 1 GiB.
    """
    limit = FREE_BYTES + MAX_EXPANSION * size
    for _, stream in archive_streams(file):
        try:
            with unpacked(stream) as plain:
                while piece := plain.read1(_PIECE_BYTES):
                    copy.write(piece)
                    if copy.tell() > limit:
                        raise NotAnArchiveError(f"it expands to more than {limit:,} bytes, which no archive of pages does")
        except (EOFError, zlib.error, gzip.BadGzipFile, zstd.ZstdError) as error:
            return WarcError(f"damaged after {copy.tell():,} bytes of its content: {error}")
    return None
