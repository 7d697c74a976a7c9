"""The renderer: the text of chosen blocks, from the page's own bytes, with white space as a browser shows it."""

import re
from html import unescape
from typing import Final, NamedTuple

import numpy as np

from pipeline.documents.blocks import layout, spaces
from pipeline.documents.blocks.layout import Scanned
from pipeline.documents.blocks.scan import Counts
from tokenizer.compiled import Array, Boolean, Integer, compiled, compiled_inner

JOINT: Final = 1
"""Stands where a tag separates an unfinished character reference from what follows, so that they are not read as one."""

_TAB, _LINE_FEED, _RETURN, _SPACE, _AMPERSAND, _SEMICOLON = 9, 10, 13, 32, 38, 59
_NOTHING: Final = 0
_ESCAPED: Final = np.frombuffer(b"amp;", np.uint8)
_LONGEST_NAME: Final = 32

C1: Final = re.compile("[\x80-\x9f]")
BIDI: Final = re.compile("[\u202a-\u202e\u2066-\u2069]")
REPLACED: Final = (("\xad", ""), (chr(JOINT), ""), ("\xa0", " "), ("\r\n", "\n"), ("\r", " "))
"""Soft hyphens go, no-break spaces become spaces, and so do carriage returns, which only `&#13;` can bring here."""


class Rendered(NamedTuple):
    """The text of chosen blocks, before character references are read, and where each block's text starts and ends in it."""

    written: Array
    spans: Array


def render(page: Scanned, counts: Counts, keep: Array) -> str:
    """The text of the blocks that `keep` marks: one line per block, rows of data tables as lines of cells."""
    written = np.empty(_room(page, counts), np.uint8)
    size = _write(page, counts.segments, keep, written, np.empty((0, 2), np.int32))
    return finish(written[:size].tobytes().decode("utf-8", "replace"))


def render_each(page: Scanned, counts: Counts) -> list[str]:
    """The text of every block by itself."""
    written, spans = np.empty(_room(page, counts), np.uint8), np.zeros((max(1, counts.blocks), 2), np.int32)
    _write(page, counts.segments, np.ones(counts.blocks, np.bool_), written, spans)
    data = written.tobytes()
    return [finish(data[start:end].decode("utf-8", "replace")) for start, end in spans[: counts.blocks].tolist()]


def _room(page: Scanned, counts: Counts) -> int:
    """The most bytes that a page's text can have: a line end or tab for each tag at most, joints, and escaped ampersands."""
    is_verbatim = page.segments[: counts.segments, layout.MODE] & layout.VERBATIM
    ampersands = np.count_nonzero(page.data == _AMPERSAND) if is_verbatim.any() else 0
    return len(page.data) + 4 * len(page.segments) + len(_ESCAPED) * int(ampersands) + 64


def finish(text: str) -> str:
    r"""The text with character references read once, C1 controls read as windows-1252, and invisible marks that serve no reader gone.

    >>> finish("don&#146;t &amp;lt; co\xadop\xa0\x96")
    'don’t &lt; coop –'
    """
    if "&" in text:
        text = unescape(text)
    if C1.search(text):
        text = C1.sub(_windows_1252, text)
    for mark, other in REPLACED:
        if mark in text:
            text = text.replace(mark, other)
    return balance(text) if BIDI.search(text) else text


def _windows_1252(control: re.Match[str]) -> str:
    return control[0].encode("latin-1").decode("windows-1252", "ignore")


def balance(text: str) -> str:
    r"""The text without the bidirectional controls of lines in which they do not come in pairs.

    >>> balance("a\u202bb\u202c\n\u202ec")
    'a\u202bb\u202c\nc'
    """
    return "\n".join(line if _is_balanced(line) else BIDI.sub("", line) for line in text.split("\n"))


def _is_balanced(line: str) -> bool:
    waiting: list[str] = []
    for mark in BIDI.findall(line):
        if mark in "\u202a\u202b\u202d\u202e":
            waiting.append("\u202c")
        elif mark in "\u2066\u2067\u2068":
            waiting.append("\u2069")
        elif not waiting or waiting.pop() != mark:
            return False
    return not waiting


@compiled
def _write(page: Scanned, segment_count: Integer, keep: Array, out: Array, spans: Array) -> Integer:  # noqa: C901 (one pass)
    """Write the chosen blocks' text; where there are `spans`, write each block's. Returns the number of bytes."""
    size, last = np.int64(0), np.int64(-1)
    pending: Integer = np.int64(_NOTHING)
    at_start: Boolean = np.bool_(True)
    for k in range(segment_count):
        segment = page.segments[k]
        block = np.int64(segment[layout.BLOCK_OF])
        if not keep[block]:
            continue
        mode = segment[layout.MODE]
        if block != last:
            if last >= 0:
                size = _separate(page, last, block, out, size)
            if len(spans) > 0:
                spans[block, 0] = size
            last = block
            pending, at_start = np.int64(_NOTHING), np.bool_(True)
        else:
            breaks = mode >> layout.BREAK_SHIFT
            if breaks > 0 and _is_cell_of_data(page, block):
                pending = np.int64(_SPACE)
            elif breaks > 0:
                for _ in range(breaks if mode & layout.PREFORMATTED else 1):
                    out[size] = _LINE_FEED
                    size += 1
                pending, at_start = np.int64(_NOTHING), np.bool_(True)
        if mode & layout.PREFORMATTED:
            if pending and not at_start:
                out[size] = pending
                size += 1
            size = _copy_preformatted(page.data, segment, out, size, at_start)
            pending, at_start = np.int64(_NOTHING), False
        else:
            lines = mode & layout.LINES != 0 and not _is_cell_of_data(page, block)
            size, pending, at_start = _copy(page.data, segment, lines, pending, at_start, out, size)
        if len(spans) > 0:
            spans[block, 1] = size
    return size


@compiled_inner
def _is_cell_of_data(page: Scanned, block: Integer) -> bool:
    row = page.blocks[block]
    return row[layout.CELL_OF] > 0 and not page.elements[row[layout.TABLE], layout.TABLE_FACTS] & layout.IS_LAYOUT


@compiled_inner
def _separate(page: Scanned, last: Integer, block: Integer, out: Array, size: Integer) -> Integer:
    """Write what separates two blocks: tabs between cells of a row of data, a space within such a cell, else the end of a line."""
    before, after = page.blocks[last], page.blocks[block]
    if not _is_cell_of_data(page, block) or before[layout.ROW] != after[layout.ROW] or before[layout.CELL_OF] == 0:
        if before[layout.IS_PREFORMATTED] and size > 0 and out[size - 1] == _LINE_FEED:
            return size  # a browser shows no line after the last line feed of preformatted text
        out[size] = _LINE_FEED
        return size + 1
    if before[layout.CELL_OF] == after[layout.CELL_OF]:
        out[size] = _SPACE
        return size + 1
    apart = page.elements[after[layout.CELL_OF], layout.ORDINAL] - page.elements[before[layout.CELL_OF], layout.ORDINAL]
    for _ in range(max(1, apart)):
        out[size] = _TAB
        size += 1
    return size


@compiled_inner
def _copy(
    data: Array, segment: Array, lines: bool, pending: Integer, at_start: Boolean, out: Array, size: Integer
) -> tuple[Integer, Integer, Boolean]:
    """Copy a segment, runs of white space as one space, or as one end of a line where `lines` are kept; none at the start of a line.

    `pending` is the space or line feed that is due before the next character.
    """
    at, end = np.int64(segment[layout.START]), np.int64(segment[layout.END])
    code = segment[layout.MODE] & layout.CODE
    open_reference = np.int64(-1)
    while at < end:
        byte = data[at]
        if byte <= 32 or byte == 0xC2 or byte == _AMPERSAND:
            wide = spaces.width(data, at, end)
            if wide > spaces.HARD_SPACE and code:
                if pending and not at_start:
                    out[size] = pending
                    size += 1
                out[size] = _SPACE
                size += 1
                pending, at_start = np.int64(_NOTHING), False
                at += wide - spaces.HARD_SPACE
                continue
            if wide > 0:
                is_line = pending == _LINE_FEED or (lines and spaces.LINE_END < wide < spaces.HARD_SPACE)
                pending = np.int64(_LINE_FEED if is_line else _SPACE)
                at += wide % spaces.KIND
                continue
            if byte == _AMPERSAND:
                open_reference = at
        elif byte == _SEMICOLON:
            open_reference = np.int64(-1)
        if pending and not at_start:
            out[size] = pending
            size += 1
        pending, at_start = np.int64(_NOTHING), False
        out[size] = byte
        size += 1
        at += 1
    if open_reference >= 0 and end - open_reference <= _LONGEST_NAME and not pending:
        out[size] = JOINT
        size += 1
    return size, pending, at_start


@compiled_inner
def _escape(out: Array, size: Integer) -> Integer:
    """Complete an ampersand to its character reference."""
    for k in range(len(_ESCAPED)):
        out[size + k] = _ESCAPED[k]
    return size + len(_ESCAPED)


@compiled_inner
def _copy_preformatted(data: Array, segment: Array, out: Array, size: Integer, at_start: Boolean) -> Integer:
    """Copy a segment with its white space. A line feed right after the start tag does not count."""
    at, end = np.int64(segment[layout.START]), np.int64(segment[layout.END])
    verbatim = segment[layout.MODE] & layout.VERBATIM
    open_reference = np.int64(-1)
    if at_start and at < end and data[at] == _RETURN:
        at += 1
    if at_start and at < end and data[at] == _LINE_FEED:
        at += 1
    while at < end:
        byte = data[at]
        if byte == _RETURN:
            at += at + 1 < end and data[at + 1] == _LINE_FEED
        elif byte == _AMPERSAND and not verbatim:
            open_reference = at
        elif byte == _SEMICOLON:
            open_reference = np.int64(-1)
        out[size] = _LINE_FEED if byte == _RETURN else byte
        size += 1
        if verbatim and byte == _AMPERSAND:
            size = _escape(out, size)
        at += 1
    if open_reference >= 0 and end - open_reference <= _LONGEST_NAME:
        out[size] = JOINT
        size += 1
    return size
