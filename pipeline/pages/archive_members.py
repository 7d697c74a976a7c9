"""Decompression of the members of an archive file: gzip members and zstd frames, with a limit on the size of each."""

import gzip
import io
import struct
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from pipeline.pages.decoding import GZIP_MAGIC, GZIP_WINDOW
from pipeline.pages.warc_record import MAX_RECORD_BYTES, WarcError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

ZSTD_STEP_BYTES = 1 << 12
"""A zstd block of 4 bytes can hold 128 KiB: a small step bounds what one step gives."""
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
DICTIONARY_MAGIC = struct.pack("<I", 0x184D2A5D)
"""The skippable frame that begins a .warc.zst file whose records need its dictionary."""


def member_content(data: bytes, file: BinaryIO) -> bytes:
    """The content of one gzip member or zstd frame of a file; other data is returned unchanged. Raises WarcError."""
    if data.startswith(GZIP_MAGIC):
        decompress: NewMember = gunzip
    elif data.startswith(ZSTD_MAGIC):
        file.seek(0)
        decompress = unzstd(dictionary_of(file))
    else:
        return data
    content, _, complete = decompress()(data)
    if not complete:
        raise WarcError("the member ends early")
    return content


MemberStep = Callable[[bytes], tuple[bytes, bytes, bool]]
"""Decompresses more of one member: the content, the bytes after the member, whether the member is complete."""
NewMember = Callable[[], MemberStep]


def gunzip() -> MemberStep:
    """A new gzip member's decompression."""
    engine = zlib.decompressobj(GZIP_WINDOW)
    size = 0

    def step(data: bytes) -> tuple[bytes, bytes, bool]:
        nonlocal size
        try:
            content = engine.decompress(data, MAX_RECORD_BYTES - size + 1)
        except zlib.error as error:
            raise WarcError(f"damaged gzip member: {error}") from error
        size += len(content)
        _check_size(size)
        return content, engine.unused_data, engine.eof

    return step


def unzstd(dictionary: "zstd.ZstdDict | None") -> NewMember:
    """The decompression of zstd frames that need a dictionary, or none."""

    def new() -> MemberStep:
        engine = zstd.ZstdDecompressor(zstd_dict=dictionary)
        size = 0

        def step(data: bytes) -> tuple[bytes, bytes, bool]:
            nonlocal size
            parts: list[bytes] = []
            at = 0
            try:
                while at < len(data) and not engine.eof:
                    parts.append(engine.decompress(data[at : at + ZSTD_STEP_BYTES]))
                    at += ZSTD_STEP_BYTES
                    size += len(parts[-1])
                    _check_size(size)
            except zstd.ZstdError as error:
                raise WarcError(f"damaged zstd frame: {error}") from error
            rest = engine.unused_data + data[at:] if engine.eof else b""
            return b"".join(parts), rest, engine.eof

        return step

    return new


class LargeMemberError(WarcError):
    """A member expands to more than any record that is read."""


def _check_size(size: int) -> None:
    if size > MAX_RECORD_BYTES:
        raise LargeMemberError("a member of more than 256 MiB: recompress the file record by record")


def dictionary_of(file: BinaryIO) -> "zstd.ZstdDict | None":
    """The dictionary in the file's first frame, plain or compressed; the file is left at the frame after it."""
    head = file.read(8)
    if not head.startswith(DICTIONARY_MAGIC):
        file.seek(0)
        return None
    size = int.from_bytes(head[4:], "little")
    if size > MAX_RECORD_BYTES:
        raise WarcError(f"a dictionary of {size:,} bytes")
    data = file.read(size)
    try:
        dictionary = zstd.ZstdDict(unzstd(None)()(data)[0] if data.startswith(ZSTD_MAGIC) else data)
        zstd.ZstdDecompressor(zstd_dict=dictionary)  # reads it
    except (zstd.ZstdError, ValueError) as error:
        raise WarcError(f"damaged dictionary: {error}") from error
    return dictionary


def unpacked(file: BinaryIO) -> io.BufferedIOBase:
    """An archive's bytes without their compression, as a file that cannot be moved back."""
    start = file.read(len(DICTIONARY_MAGIC))
    file.seek(0)
    if start.startswith(GZIP_MAGIC):
        return gzip.GzipFile(fileobj=file, mode="rb")
    if start.startswith((ZSTD_MAGIC, DICTIONARY_MAGIC)):
        return cast("io.BufferedIOBase", zstd.ZstdFile(file, "rb", zstd_dict=dictionary_of(file)))
    return cast("io.BufferedIOBase", file)
