"""HTML's elements as small numbers: what each does to the flow of text, and which of them enclose a block."""

from typing import Final

import numpy as np

from tokenizer.compiled import Array, Integer, compiled_inner

_NAMES: Final = """
    a abbr acronym address applet area article aside audio b base basefont bdi bdo bgsound big blink blockquote body br
    button canvas caption center cite code col colgroup command data datalist dd del details dfn dialog dir div dl dt em
    embed fieldset figcaption figure font footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html i
    iframe img input ins kbd keygen label legend li link listing main map mark marquee math menu meta meter nav nobr
    noembed noframes noscript object ol optgroup option output p param picture plaintext pre progress q rb rp rt ruby s
    samp script search section select slot small source span strike strong style sub summary sup svg table tbody td
    template textarea tfoot th thead time title tr track tt u ul var video wbr xmp m:math mml:math
"""
NAMES: Final = tuple(_NAMES.split())
TAG: Final = {name: number for number, name in enumerate(NAMES, 1)}
"""The number of each element; 0 is any other."""

BLOCK, INLINE, BREAKING, EMPTY, RAW, SKIPPED = range(6)
"""Kinds: ends the line before and after itself; part of a line; ends a line and has no content; has no content; its content is no markup;
its content is no text of the page."""

_EMPTY: Final = "area base basefont bgsound br col command embed frame img input keygen link meta param source track wbr"
_RAW: Final = "iframe noembed noframes noscript script style textarea title"
_SKIPPED: Final = "applet audio canvas datalist dialog meter object progress select svg template video"
_INLINE: Final = """
    m:math mml:math a abbr acronym b bdi bdo big blink cite code data del dfn em font i ins kbd label map mark math nobr
    output picture q rb rp rt ruby s samp slot small span strike strong sub sup time tt u var
"""


def _kinds() -> Array:
    kinds = np.zeros(len(NAMES) + 1, np.int8)
    kinds[0] = INLINE
    for kind, names in ((EMPTY, _EMPTY), (RAW, _RAW), (SKIPPED, _SKIPPED), (INLINE, _INLINE), (BREAKING, "hr")):
        for name in names.split():
            kinds[TAG[name]] = kind
    return kinds


KINDS: Final = _kinds()
"""The kind of each element; an unknown one is inline, as in a browser."""

_ANCESTORS: Final = """article main aside nav footer header ul ol table form figure figcaption blockquote section p li td dl pre h1 h2 h3 h4
    address details"""
ANCESTORS: Final = tuple(_ANCESTORS.split())
_ALIASES: Final = {"th": "td", "dd": "dl", "dt": "dl", "h5": "h4", "h6": "h4", "listing": "pre", "summary": "details"}


def ancestor_bit(name: str) -> int:
    """The bit of an element, or of the element that stands for it, in a block's mask of ancestors; 0 where it has none."""
    name = _ALIASES.get(name, name)
    return 1 << ANCESTORS.index(name) if name in ANCESTORS else 0


ANCESTOR_BITS: Final = np.array([0, *map(ancestor_bit, NAMES)], np.int64)

ENDS_PARAGRAPH, TABLE_PART, SCOPE, HEADING, CELL, LIST, OPTIONAL_END = (1 << bit for bit in range(7))
"""Facts: its start ends an open <p>; it is a part of a table; end tags of other elements do not reach beyond it; a heading; a cell of a
table; a list; its end tag is often left out."""

_FACTS: Final = {
    ENDS_PARAGRAPH: """address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer form h1 h2 h3 h4
        h5 h6 header hgroup hr listing main menu nav ol p pre search section summary table ul li dd dt""",
    TABLE_PART: "table caption colgroup thead tbody tfoot tr td th",
    SCOPE: "td th caption",
    HEADING: "h1 h2 h3 h4 h5 h6",
    CELL: "td th",
    LIST: "ul ol menu dir",
    OPTIONAL_END: "p li dt dd option optgroup colgroup caption thead tbody tfoot tr td th rb rt rp",
}
FACTS: Final = np.array([0, *(sum(fact for fact, names in _FACTS.items() if name in names.split()) for name in NAMES)], np.int64)

SLOTS: Final = 1024


@compiled_inner
def mixed(code: np.uint64, byte: Integer) -> np.uint64:
    """A name's code with one more byte, of which ASCII letters count in lower case. Unsigned: a signed product must not overflow."""
    lower = np.uint64(byte) + (np.uint64(32) if 65 <= byte <= 90 else np.uint64(0))
    return np.uint64(code) * np.uint64(131) + lower


def code_of(name: str) -> int:
    """The code of a name, as `mixed` makes it byte by byte."""
    code = 0
    for byte in name.lower().encode():
        code = (code * 131 + byte) & 0xFFFFFFFFFFFFFFFF
    return code


def _slots() -> tuple[Array, Array]:
    codes, numbers = np.zeros(SLOTS, np.uint64), np.zeros(SLOTS, np.int16)
    for name, number in TAG.items():
        slot = code_of(name) % SLOTS
        while numbers[slot]:
            slot = (slot + 1) % SLOTS
        codes[slot], numbers[slot] = code_of(name), number
    return codes, numbers


CODES, NUMBERS = _slots()
"""A table from names' codes to elements' numbers, by linear probing."""


@compiled_inner
def number_of(code: np.uint64, codes: Array, numbers: Array) -> Integer:
    """The number of the element whose name has the code; 0 where there is none."""
    slot = np.int64(code & np.uint64(SLOTS - 1))
    while numbers[slot] != 0:
        if codes[slot] == code:
            return np.int64(numbers[slot])
        slot = (slot + 1) & (SLOTS - 1)
    return np.int64(0)
