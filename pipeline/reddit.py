"""Submissions of Reddit dumps of any year: every line becomes a submission, or is rejected with a reason."""

import json
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from pipeline.storage import files
from pipeline.storage.lines import LONGEST_LINE_BYTES, read_lines
from tokenizer.errors import InputError

__all__ = ["LineFault", "Post", "RejectedLine", "parse_line", "parse_lines", "read_submissions"]

KARMA_LIMIT = 1 << 40
SECONDS_OF_YEARS = (-62_135_596_800, 253_402_300_800)
"""The start of year 1 and the end of year 9999, in seconds since 1970."""
PROFILE = "u_"
_PROFILE = re.compile(r"[uU]_[A-Za-z0-9_-]{0,30}")
_SUBREDDIT = re.compile(r"[A-Za-z0-9_]{1,21}|reddit\.com|t:[A-Za-z0-9_]{3,23}")
"""Letters, digits and underscores: 3 to 21 today, fewer in old dumps and other sites'. reddit.com (all of 2005) and t:… are older."""
OBJECT_SEARCH_LINES = 1000
"""A file without a JSON object in its first lines is no dump."""


class LineFault(StrEnum):
    """Why a line of a dump or list is no submission. Comments and headers are of lists alone."""

    BLANK_LINE = "blank_line"
    COMMENT = "comment"
    HEADER = "header"
    LINE_TOO_LONG = "line_too_long"
    NOT_JSON = "not_json"
    NOT_A_SUBMISSION = "not_a_submission"


class RejectedLine(NamedTuple):
    """A line (numbered from 1) that is no submission."""

    line: int
    reason: LineFault
    detail: str


class Post(msgspec.Struct, frozen=True, gc=False):
    """A submission of a dump, independent of the dump's field variants. `created_at` is in seconds since 1970.

    `pipeline.records.Submission` is the part of it that a link keeps.
    """

    id: str
    subreddit: str
    score: int | None
    created_at: int | None
    url: str
    is_self: bool
    over_18: bool
    quarantine: bool


def read_submissions(path: str, rejected: Callable[[RejectedLine], None] | None = None) -> Iterator[Post]:
    """The submissions of a dump (zstd, xz, bzip2, gzip or plain JSON lines), in file order, in constant memory.

    `rejected` receives the lines that are no submissions; without it, such a line raises InputError with file and line number.
    Raises InputError where the file is missing, has 0 bytes, is truncated, damaged or no dump.
    """
    for parsed in parse_lines(path):
        if isinstance(parsed, Post):
            yield parsed
        elif rejected is not None:
            rejected(parsed)
        else:
            fault = parsed.reason.replace("_", " ")
            raise InputError(f"{path}:{parsed.line}: {fault} ({parsed.detail}); correct or remove the line")


def parse_lines(
    path: str, progress: Callable[[int], object] | None = None, *, escaped: bool = True
) -> Iterator[Post | RejectedLine]:
    """Every line of a dump, in file order. `progress` is called with the number of file bytes read since its last call.

    A month without submissions is a compressed file of no lines. Raises InputError where the file has no byte at all, as after a
    download that broke, and as `read_submissions` does. `escaped` is as in `parse_line`.
    """
    number = 0
    has_object = False
    for line in read_lines(path, progress):
        number += 1
        parsed = parse_line(line, number, escaped=escaped)
        if not has_object:
            if isinstance(parsed, Post) or parsed.reason is LineFault.NOT_A_SUBMISSION:
                has_object = True
            elif number >= OBJECT_SEARCH_LINES:
                break
        yield parsed
    if not number and not files.size(path):
        raise InputError(
            f"{path}: empty, 0 bytes; download it again (a month without submissions is a compressed file of no lines: "
            "zstd < /dev/null)"
        )
    if number and not has_object:
        raise InputError(
            f"{path}:1: none of its {number} lines read is a JSON object; give dumps of submissions, one JSON object per line"
        )


def parse_line(line: bytes | int, number: int, *, escaped: bool = True) -> Post | RejectedLine:
    """The submission of one line, or why it is none. An int is the length of a line too long to read. Never raises.

    `escaped`: the line writes & < > as Reddit's API does unless asked for raw JSON (`&amp;`), which all dumps do.
    """
    if isinstance(line, int):
        return RejectedLine(number, LineFault.LINE_TOO_LONG, f"{line} bytes, at most {LONGEST_LINE_BYTES}")
    try:
        row = _DECODER.decode(line)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _parse_leniently(line, number, escaped)
    return _post(row, number, escaped)


def _parse_leniently(line: bytes, number: int, escaped: bool) -> Post | RejectedLine:
    """Parse what msgspec refuses and dumps hold: invalid UTF-8 and lone surrogates (both become U+FFFD), NaN."""
    if not line.strip():
        return RejectedLine(number, LineFault.BLANK_LINE, "")
    try:
        row = json.loads(line.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError) as error:
        return RejectedLine(number, LineFault.NOT_JSON, str(error)[:200])
    if not isinstance(row, dict):
        return RejectedLine(number, LineFault.NOT_A_SUBMISSION, f"a JSON {type(row).__name__}, not an object")
    known = {name: _without_surrogates(row[name]) for name in _Row.__struct_fields__ if name in row}
    return _post(_Row(**known), number, escaped)


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {key: _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    return value


class _Row(msgspec.Struct, gc=False):
    """The fields of a dump's line that make a submission, of any JSON type; the parser skips all others."""

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


def _post(row: _Row, number: int, escaped: bool) -> Post | RejectedLine:
    name = row.id or str(row.name or "").removeprefix("t3_")
    if not name or type(name) is not str:
        return RejectedLine(number, LineFault.NOT_A_SUBMISSION, "an object without an id")
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
        (unescape(url) if escaped and "&" in url else url) if type(url) is str else "",
        is_self is True,
        row.over_18 is True,
        row.quarantine is True,
    )


@lru_cache(maxsize=1 << 14)
def published_subreddit(name: str) -> str | None:
    """A subreddit's name as it is published, or None where Reddit's grammar has no such name. No name is a name that is not known.

    A user's profile is a subreddit that is named after the user: all profiles are published as `u_`.

    >>> [published_subreddit(name) for name in ("AskReddit", "reddit.com", "de", "u_some-body", "", "a b", "$x$")]
    ['AskReddit', 'reddit.com', 'de', 'u_', '', None, None]
    """
    if name[:2] in ("u_", "U_"):
        return PROFILE if _PROFILE.fullmatch(name) else None
    return name if not name or _SUBREDDIT.fullmatch(name) else None


def unescape(text: str) -> str:
    """The text without one level of Reddit's HTML escapes: & < > alone are escaped. Ids and names of subreddits hold none.

    >>> unescape("a?b=1&amp;c=2&amp;lt;&copy=3")
    'a?b=1&c=2&lt;&copy=3'
    """
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def karma(value: Any) -> int | None:
    """A submission's score, or None where it is missing or beyond 2^40: sums of millions of scores must fit 64 bits."""
    number = whole_number(value)
    return number if number is not None and abs(number) < KARMA_LIMIT else None


def instant(value: Any) -> int | None:
    """Seconds since 1970, or None where they are missing or outside the years 1 to 9999, which dates cannot hold."""
    number = whole_number(value)
    return number if number is not None and SECONDS_OF_YEARS[0] <= number < SECONDS_OF_YEARS[1] else None


def whole_number(value: Any) -> int | None:
    """The whole number of 64 bits that a dump writes as int, float or text; None for anything else.

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
