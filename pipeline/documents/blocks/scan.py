"""The scan: one compiled pass over a page's UTF-8 bytes that finds its blocks of text, without building a tree.

A block is a run of text between two ends of lines of block elements, or two <br>. The scan follows the HTML standard where it decides
what is text and which elements end others; what it leaves out (foster parenting, the adoption agency) moves text but loses none.
"""

from typing import Final, NamedTuple

import numpy as np

from pipeline.documents.blocks import attributes, layout, nesting, tags
from pipeline.documents.blocks.nesting import Stack
from pipeline.documents.blocks.raw_text import after_comment, after_end_tag, raw_end, starts_again
from pipeline.documents.blocks.table_layout import lay_out, roll_up
from pipeline.documents.blocks.text_facts import add_text
from pipeline.documents.blocks.white_space_style import KEEPS, UNSAID, is_word
from pipeline.documents.blocks.word_groups import ATTRIBUTE_MACHINE, FORMULA_PICTURE, NOT_SHOWN, TEXT_MACHINE
from tokenizer.compiled import Array, Integer, compiled, compiled_inner


class Tables(NamedTuple):
    """The constant tables that a scan reads."""

    kinds: Array
    facts: Array
    ancestor_bits: Array
    codes: Array
    numbers: Array
    class_steps: Array
    class_groups: Array
    text_steps: Array
    text_groups: Array


TABLES: Final = Tables(
    tags.KINDS,
    tags.FACTS,
    tags.ANCESTOR_BITS,
    tags.CODES,
    tags.NUMBERS,
    ATTRIBUTE_MACHINE.steps,
    ATTRIBUTE_MACHINE.found,
    TEXT_MACHINE.steps,
    TEXT_MACHINE.found,
)

_BR, _SCRIPT, _STYLE, _TITLE = (tags.TAG[name] for name in ("br", "script", "style", "title"))
_USED: Final = "html head body p code a img button summary dt xmp plaintext math m:math mml:math"
_HTML, _HEAD, _BODY, _P, _CODE, _A, _IMG, _BUTTON, _SUMMARY, _DT, _XMP, _PLAINTEXT, _MATH, _M_MATH, _MML_MATH = (
    tags.TAG[name] for name in _USED.split()
)
_DISPLAY_STYLE, _CDATA_START, _CDATA_END = (
    np.frombuffer(word, np.uint8) for word in (rb"{\displaystyle ", b"% <![cdata[", b"%]]>")
)
_CODE_NAME, _BR_NAME, _DIV_NAME, _LI_NAME, _TD_NAME, _BODY_NAME, _ARTICLE_NAME, _SECTION_NAME = (
    np.frombuffer(name, np.uint8) for name in (b"code", b"br", b"div", b"li", b"td", b"body", b"article", b"section")
)


class Counts(NamedTuple):
    """The rows that a scan fills, the bytes of the page's <title>, and how the scan ended."""

    segments: int
    blocks: int
    elements: int
    title_start: int
    title_end: int
    status: int
    has_math: int


def scan(page: layout.Scanned, address: bytes = b"") -> Counts:
    """Fill a page's arrays. `address` is the page's URL without its fragment: a link to it leads nowhere."""
    state = np.zeros(nesting.STATES, np.int64)
    _scan(
        page,
        TABLES,
        np.frombuffer(address or b"\0", np.uint8),
        Stack.empty(),
        state,
        np.zeros(attributes.CELLS, np.int64),
        np.zeros(3, np.int64),
    )
    wanted = (
        nesting.SEGMENTS,
        nesting.BLOCKS,
        nesting.ELEMENTS,
        nesting.TITLE_START,
        nesting.TITLE_END,
        nesting.STATUS,
        nesting.HAS_MATH,
    )
    return Counts(*(int(state[name]) for name in wanted))


@compiled
def _scan(
    page: layout.Scanned, tables: Tables, address: Array, stack: Stack, state: Array, tag_facts: Array, found: Array
) -> None:
    data = page.data
    size = len(data)
    _start(page, state)
    at = np.int64(0)
    while at < size and state[nesting.STATUS] == layout.COMPLETE:
        if not _is_markup(data, at):
            start = at
            at += 1
            while at < size and data[at] != 60:
                at += 1
            if state[nesting.SKIP_TAG] == 0:
                add_text(page, stack, state, start, at, tables.kinds, tables.text_steps, tables.text_groups)
        elif data[at + 1] == 33 or data[at + 1] == 63:
            at = after_comment(data, at)
        elif data[at + 1] == 47 and (at + 2 >= size or not _is_letter(data[at + 2])):
            at = after_end_tag(data, at)
        else:
            at = _tag(page, tables, address, stack, state, tag_facts, found, at)
    if state[nesting.SKIP_TAG] and state[nesting.STATUS] == layout.COMPLETE:
        state[nesting.STATUS] = layout.UNCLOSED
    roll_up(page.elements, state[nesting.ELEMENTS])
    lay_out(page.blocks, state[nesting.BLOCKS], page.elements, state[nesting.ELEMENTS])


@compiled_inner
def _start(page: layout.Scanned, state: Array) -> None:
    state[nesting.FRESH] = 1
    state[nesting.ELEMENTS] = 1
    state[nesting.TITLE_START] = -1
    for column in range(page.elements.shape[1]):
        page.elements[0, column] = 0


@compiled_inner
def _is_letter(byte: Integer) -> bool:
    return bool(97 <= byte | 32 <= 122)


@compiled_inner
def _is_markup(data: Array, at: Integer) -> bool:
    """Whether a tag or a comment starts at an offset; any other '<' is text."""
    if data[at] != 60 or at + 1 >= len(data):
        return False
    byte = data[at + 1]
    return byte == 47 or byte == 33 or byte == 63 or _is_letter(byte)


@compiled_inner
def _tag(  # noqa: C901 (what each kind of tag does)
    page: layout.Scanned, tables: Tables, address: Array, stack: Stack, state: Array, facts: Array, found: Array, at: Integer
) -> Integer:
    """Read a tag and act on it. Returns the offset after it, and after the content of raw elements."""
    data = page.data
    size = len(data)
    closing = data[at + 1] == 47
    at += 2 if closing else 1
    name_start = at
    code = np.uint64(0)
    while at < size and data[at] > 32 and data[at] != 47 and data[at] != 62:
        code = tags.mixed(code, data[at])
        at += 1
    length = at - name_start
    tag = tags.number_of(code, tables.codes, tables.numbers)
    if tag in (_MATH, _M_MATH, _MML_MATH):
        state[nesting.HAS_MATH] = 1
    if tag == _BUTTON and _is_in_heading(stack, state, tables):
        tag = np.int64(0)
    kind = tables.kinds[tag]
    attributes.read(data, at, address, tables.class_steps, tables.class_groups, closing, facts)
    at = facts[attributes.AFTER]
    if not closing and kind == tags.RAW:
        if tag == _SCRIPT and facts[attributes.IS_FORMULA] and not state[nesting.SKIP_TAG]:
            end = raw_end(data, at, code, length)
            _add_formula(page, tables, stack, state, at, end)
        return _skip_raw(data, state, tag, code, length, at, facts[attributes.SELF_CLOSED] != 0)
    if state[nesting.SKIP_TAG] and not _ends_skip(stack, state, tag, kind, closing, facts, tables):
        return at
    if tag == _BR:
        state[nesting.BREAKS] += 1
    elif kind == tags.BREAKING:
        _break(state)
    elif tag in (_HTML, _BODY, _HEAD):
        pass
    elif kind == tags.EMPTY or kind == tags.RAW:
        if tag == _IMG and facts[attributes.IS_FORMULA]:
            _add_formula(page, tables, stack, state, facts[attributes.ALT_START], facts[attributes.ALT_END])
    elif closing:
        was_open = kind != tags.SKIPPED and nesting.close_element(stack, state, tag, tables.kinds, tables.facts)
        if kind == tags.BLOCK and (
            was_open or tag == _P
        ):  # a browser makes an empty paragraph of a stray </p>, and nothing of others
            _break(state)
    elif _is_skipped(tag, kind, facts):
        if not facts[attributes.SELF_CLOSED]:
            state[nesting.SKIP_TAG] = tag + 1
            state[nesting.SKIP_SAME] = 1
            state[nesting.SKIP_LEVEL] = 0
    else:
        found[0] = facts[attributes.MASK]
        found[1] = facts[attributes.IS_LINK]
        found[2] = tables.ancestor_bits[tag]
        style = facts[attributes.SPACE]
        if tag == _CODE and style == UNSAID and _is_listing(page, state, at):
            style = np.int64(KEEPS)
        nesting.open_element(page, stack, state, tag, found, style, tables.kinds, tables.facts)
        if tag in (_XMP, _PLAINTEXT) and state[nesting.STATUS] == layout.COMPLETE:
            return _add_source(page, tables, stack, state, tag, code, length, at)
        if tag == _A and not state[nesting.FRESH]:
            page.blocks[state[nesting.BLOCKS] - 1, layout.LINKS] += 1
    return at


@compiled_inner
def _add_source(
    page: layout.Scanned, tables: Tables, stack: Stack, state: Array, tag: Integer, code: Integer, length: Integer, at: Integer
) -> Integer:
    """Add the content of the innermost element, which is text as it stands in the source, and end it. Returns the offset after it."""
    data = page.data
    end = np.int64(len(data)) if tag == _PLAINTEXT else raw_end(data, at, code, length)
    if at < end:
        add_text(page, stack, state, at, end, tables.kinds, tables.text_steps, tables.text_groups)
    state[nesting.DEPTH] -= 1
    _break(state)
    return after_end_tag(data, end)


@compiled_inner
def _add_formula(page: layout.Scanned, tables: Tables, stack: Stack, state: Array, start: Integer, end: Integer) -> None:
    """Add the TeX of a formula as text, without what MediaWiki and kramdown put around it."""
    data = page.data
    while start < end and data[start] <= 32:
        start += 1
    while end > start and data[end - 1] <= 32:
        end -= 1
    if is_word(data, start, end, _DISPLAY_STYLE) and data[end - 1] == 125:
        start, end = start + len(_DISPLAY_STYLE), end - 1
    elif is_word(data, start, end, _CDATA_START) and end - start > len(_CDATA_START) + len(_CDATA_END):
        start, end = start + len(_CDATA_START), end - len(_CDATA_END)
    if start < end:
        add_text(page, stack, state, start, end, tables.kinds, tables.text_steps, tables.text_groups)


@compiled_inner
def _is_in_heading(stack: Stack, state: Array, tables: Tables) -> bool:
    """Whether the line is a heading, a summary or a term: a button in it is a part of it."""
    level = nesting.innermost_block(stack, state[nesting.DEPTH], tables.kinds)
    tag = stack.levels[level, nesting.TAG]
    return tag in (_SUMMARY, _DT) or tables.facts[tag] & tags.HEADING != 0


@compiled_inner
def _break(state: Array) -> None:
    state[nesting.FRESH] = 1
    state[nesting.BREAKS] = 0
    state[nesting.SPACE_START] = state[nesting.SPACE_END] = 0


@compiled_inner
def _is_skipped(tag: Integer, kind: Integer, facts: Array) -> bool:
    """Whether an element's content is no text: by its name, or since it is a part of a line that is not shown."""
    mask = facts[attributes.MASK]
    if kind == tags.SKIPPED or (tag > 0 and mask & np.int64(FORMULA_PICTURE)):
        return True
    return bool(kind == tags.INLINE and mask & np.int64(NOT_SHOWN) != 0)


@compiled_inner
def _skip_raw(data: Array, state: Array, tag: Integer, code: Integer, length: Integer, at: Integer, self_closed: bool) -> Integer:
    """The offset after a raw element; notes the page's first title.

    `<script/>` has content in HTML and none in XHTML: where another script starts before the next end tag, it has none. An element that
    never ends takes the rest of the page where it is a script or a style, as in a browser, and nothing where it is another.
    """
    size = len(data)
    end = raw_end(data, at, code, length)
    if self_closed and (end == size or starts_again(data, at, end, code, length)):
        return at
    if end == size and tag != _SCRIPT and tag != _STYLE:
        return at
    if tag == _TITLE and state[nesting.TITLE_START] < 0 and state[nesting.SKIP_TAG] == 0:
        state[nesting.TITLE_START], state[nesting.TITLE_END] = at, end
    return after_end_tag(data, end)


@compiled_inner
def _ends_skip(stack: Stack, state: Array, tag: Integer, kind: Integer, closing: bool, facts: Array, tables: Tables) -> bool:
    """Whether a tag within skipped content ends an element around it: it is acted on then."""
    if kind == tags.EMPTY or kind == tags.BREAKING or kind == tags.RAW or tables.facts[tag] & tags.OPTIONAL_END:
        return False
    if not closing:
        if tag + 1 == state[nesting.SKIP_TAG]:
            state[nesting.SKIP_SAME] += facts[attributes.SELF_CLOSED] == 0
        elif facts[attributes.SELF_CLOSED] == 0:
            state[nesting.SKIP_LEVEL] += 1
        return False
    if tag + 1 == state[nesting.SKIP_TAG]:
        state[nesting.SKIP_SAME] -= 1
        if state[nesting.SKIP_SAME] == 0:
            state[nesting.SKIP_TAG] = 0
        return False
    if state[nesting.SKIP_LEVEL] > 0:
        state[nesting.SKIP_LEVEL] -= 1
        return False
    depth = state[nesting.DEPTH]
    if not nesting.close_element(stack, state, tag, tables.kinds, tables.facts):
        return False
    state[nesting.DEPTH] = depth
    state[nesting.SKIP_TAG] = 0
    return True


@compiled_inner
def _is_listing(page: layout.Scanned, state: Array, at: Integer) -> bool:
    """Whether <code> is a listing without its <pre>: it has lines, starts a line, and ends one."""
    data = page.data
    size = len(data)
    if not state[nesting.FRESH] and state[nesting.BREAKS] == 0:
        return False
    lines = 0
    while at < size and not (data[at] == 60 and at + 5 < size and data[at + 1] == 47 and is_word(data, at + 2, size, _CODE_NAME)):
        lines += data[at] == 10
        at += 1
    at += 7
    while at < size and data[at] <= 32:
        at += 1
    return lines > 0 and (at >= size or (data[at] == 60 and _ends_line(data, at, size)))


@compiled_inner
def _ends_line(data: Array, at: Integer, size: Integer) -> bool:
    """Whether a tag at an offset ends a line: <br>, or a tag of an element that is often a block."""
    k = at + 1
    if k < size and data[k] == 47:
        k += 1
    return (
        is_word(data, k, size, _BR_NAME)
        or is_word(data, k, size, _DIV_NAME)
        or is_word(data, k, size, _LI_NAME)
        or is_word(data, k, size, _TD_NAME)
        or is_word(data, k, size, _BODY_NAME)
        or is_word(data, k, size, _ARTICLE_NAME)
        or is_word(data, k, size, _SECTION_NAME)
        or (k + 1 < size and data[k] | 32 == 112 and (data[k + 1] == 62 or data[k + 1] <= 32))
    )
