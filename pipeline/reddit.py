"""Reads submissions from Reddit dumps of any year: every line becomes a submission or is told why not.

Measured on real dumps: python-zstandard is silently short on 49 of 49 truncated files, backports.zstd raises on all; a reader that decodes
fixed-size chunks loses 13.7 % of a dump with raw multibyte titles. So lines are split as bytes, and each is parsed alone.
"""

import bz2
import gzip
import json
import lzma
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from enum import StrEnum
from typing import IO, Any, BinaryIO, NamedTuple, cast

import msgspec

from pipeline.storage import files
from pipeline.storage.files import InputError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK_BYTES = 1 << 20
MAX_LINE_BYTES = 4 << 20
MOST_KARMA = 1 << 40
SECONDS_OF_YEARS = (-62_135_596_800, 253_402_300_800)
"""Where the year 1 begins and the year 9999 ends, in seconds since 1970."""
LONG_WINDOW: dict[int, int] = {zstd.DecompressionParameter.window_log_max: 31}
"""Real dumps are written with a window of 2^31 bytes: one such file may hold 2 GiB while it is read."""
GIVE_UP_LINES = 1000
"""A file whose first lines are none of them JSON objects is no dump."""


class LineFault(StrEnum):
    """Why a line is no submission."""

    BLANK_LINE = "blank_line"
    LINE_TOO_LONG = "line_too_long"
    NOT_JSON = "not_json"
    NOT_A_SUBMISSION = "not_a_submission"


class Rejected(NamedTuple):
    """A line (from 1) that is no submission."""

    line: int
    reason: LineFault
    detail: str


class Post(msgspec.Struct, frozen=True, gc=False):
    """A submission as a dump has it, its field variants resolved. `created_at` is in seconds since 1970."""

    id: str
    subreddit: str
    score: int | None
    created_at: int | None
    url: str
    is_self: bool
    over_18: bool
    quarantine: bool


def read_submissions(path: str, rejected: Callable[[Rejected], None] | None = None) -> Iterator[Post]:
    """The submissions of a dump (zstd, xz, bzip2, gzip or plain JSON lines), in its order, in constant memory.

    A line that is none goes to `rejected`; without it, it raises InputError with file and line. A file that is empty, cut short, damaged
    or no dump at all raises InputError.
    """
    for found in parse_lines(path):
        if isinstance(found, Post):
            yield found
        elif rejected is not None:
            rejected(found)
        else:
            raise InputError(f"{path}:{found.line}: {found.reason.replace('_', ' ')} ({found.detail}); mend or remove the line")


def parse_lines(path: str, progress: Callable[[int], object] | None = None) -> Iterator[Post | Rejected]:
    """Every line of a dump, in order. `progress` is told the file's bytes as they are read."""
    number = 0
    objects = False
    for line in split_lines(_blocks(path, progress)):
        number += 1
        found = parse_line(line, number)
        if not objects:
            if isinstance(found, Post) or found.reason is LineFault.NOT_A_SUBMISSION:
                objects = True
            elif number >= GIVE_UP_LINES:
                break
        yield found
    if not number:
        raise InputError(f"{path}: empty; download it again")
    if not objects:
        raise InputError(
            f"{path}:1: none of its {number} lines read is a JSON object; give dumps of submissions, one JSON object a line"
        )


def split_lines(blocks: Iterator[bytes]) -> Iterator[bytes | int]:
    """Lines without their ends; of a line over 4 MiB only its length, so that no line can fill the memory."""
    tail: list[bytes] = []
    held = 0
    for block in blocks:
        *lines, last = block.split(b"\n")
        if lines:
            yield _joined(tail, held, lines[0])
            yield from lines[1:]
            tail, held = [], 0
        held += len(last)
        if held <= MAX_LINE_BYTES:
            tail.append(last)
        else:
            tail = []
    if held:
        yield _joined(tail, held, b"")


def _joined(tail: list[bytes], held: int, end: bytes) -> bytes | int:
    length = held + len(end)
    return length if length > MAX_LINE_BYTES else b"".join([*tail, end])


def parse_line(line: bytes | int, number: int) -> Post | Rejected:
    """One line of a dump: total, never raises."""
    if isinstance(line, int):
        return Rejected(number, LineFault.LINE_TOO_LONG, f"{line} bytes, at most {MAX_LINE_BYTES}")
    try:
        row = _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_leniently(line, number)
    return _post(row, number)


def _parse_leniently(line: bytes, number: int) -> Post | Rejected:
    """What msgspec refuses and dumps hold: bytes that are no UTF-8, lone surrogates (both become U+FFFD), NaN; else the fault."""
    if not line.strip():
        return Rejected(number, LineFault.BLANK_LINE, "")
    try:
        row = json.loads(line.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        return Rejected(number, LineFault.NOT_JSON, str(error)[:200])
    if not isinstance(row, dict):
        return Rejected(number, LineFault.NOT_A_SUBMISSION, f"a JSON {type(row).__name__}, not an object")
    known = {name: _without_surrogates(row[name]) for name in _Row.__struct_fields__ if name in row}
    return _post(_Row(**known), number)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


class _Row(msgspec.Struct, gc=False):
    """The fields of a dump's line that links are made of, as they come; all others are skipped while parsing."""

    id: Any = None
    name: Any = None
    subreddit: Any = None
    score: Any = None
    created_utc: Any = None
    url: Any = None
    url_overridden_by_dest: Any = None
    is_self: Any = None
    over_18: Any = None
    quarantine: Any = None
    crosspost_parent_list: Any = None


_DECODER = msgspec.json.Decoder(_Row)


def _post(row: _Row, number: int) -> Post | Rejected:
    name = row.id or str(row.name or "").removeprefix("t3_")
    if not name or type(name) is not str:
        return Rejected(number, LineFault.NOT_A_SUBMISSION, "an object without an id")
    url, is_self = row.url_overridden_by_dest or row.url, row.is_self
    parents = row.crosspost_parent_list
    if parents and isinstance(parents, list) and isinstance(parents[0], dict):
        parent = parents[0]
        url, is_self = parent.get("url_overridden_by_dest") or parent.get("url") or url, parent.get("is_self")
    return Post(
        name,
        row.subreddit if type(row.subreddit) is str else "",
        karma(row.score),
        instant(row.created_utc),
        url if type(url) is str else "",
        is_self is True,
        row.over_18 is True,
        row.quarantine is True,
    )


def karma(value: Any) -> int | None:
    """A submission's score; None for none, and for what no submission has: millions of such must add up in 64 bits."""
    number = whole_number(value)
    return number if number is not None and abs(number) < MOST_KARMA else None


def instant(value: Any) -> int | None:
    """Seconds since 1970; None for none, and for what lies in no year from 1 to 9999: no date could say it."""
    number = whole_number(value)
    return number if number is not None and SECONDS_OF_YEARS[0] <= number < SECONDS_OF_YEARS[1] else None


def whole_number(value: Any) -> int | None:
    """Dumps give numbers as int, float or text; None for what is no whole number of 64 bits.

    >>> [whole_number(v) for v in (7, "7", 7.0, "7.5", None, True)]
    [7, 7, 7, None, None, None]
    """
    if type(value) is int:
        number = value
    elif type(value) is float and value.is_integer():
        number = int(value)
    elif type(value) is str and len(value) < 25:
        try:
            number = int(float(value)) if float(value).is_integer() else 1 << 63
        except (ValueError, OverflowError):
            return None
    else:
        return None
    return number if -(1 << 63) <= number < 1 << 63 else None


def _blocks(path: str, progress: Callable[[int], object] | None) -> Iterator[bytes]:
    """The decompressed bytes. Raises InputError where the file is missing, cut short or damaged."""
    try:
        with files.open_input(path) as raw, _opened(raw) as stream:
            told = 0
            while block := stream.read(BLOCK_BYTES):
                yield block
                if progress is not None and (at := raw.tell()) > told:
                    progress(at - told)
                    told = at
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (EOFError, OSError, zlib.error, lzma.LZMAError, zstd.ZstdError) as error:
        raise InputError(f"{path}: cut short or damaged ({error}); download it again") from error


def _opened(raw: BinaryIO) -> AbstractContextManager[IO[bytes]]:
    """The decompressed stream, by the file's first bytes: names lie."""
    magic = raw.read(6)
    raw.seek(0)
    if magic[:4] == b"\x28\xb5\x2f\xfd" or magic[1:4] == b"\x2a\x4d\x18":
        return cast("AbstractContextManager[IO[bytes]]", zstd.ZstdFile(raw, options=LONG_WINDOW))
    return next((kind(raw) for start, kind in _BY_MAGIC if magic.startswith(start)), nullcontext(raw))


_BY_MAGIC: tuple[tuple[bytes, Callable[[Any], AbstractContextManager[Any]]], ...] = (
    (b"\xfd7zXZ\0", lzma.LZMAFile),
    (b"BZh", bz2.BZ2File),
    (b"\x1f\x8b", lambda raw: gzip.GzipFile(fileobj=raw)),
)


def read_urls(path: str, name: str) -> Iterator[Post | Rejected]:
    """A list of URLs, one a line, as submissions called `name:line`; after a tab their karma, where it is known.

    Raises InputError where the list is empty or damaged.
    """
    number = 0
    for line in split_lines(_blocks(path, None)):
        number += 1
        yield _listed(line, number, name)
    if not number:
        raise InputError(f"{path}: empty; give a URL a line")


def _listed(line: bytes | int, number: int, name: str) -> Post | Rejected:
    if isinstance(line, int):
        return Rejected(number, LineFault.LINE_TOO_LONG, f"{line} bytes, at most {MAX_LINE_BYTES}")
    url, _, said = line.decode("utf-8-sig", "replace").strip().partition("\t")
    if not url:
        return Rejected(number, LineFault.BLANK_LINE, "")
    return Post(f"{name}:{number}", "", karma(said.strip()), None, url, is_self=False, over_18=False, quarantine=False)
