"""The words of a text as deduplication compares them: a table over all code points gives each one's class and folded form.

- A word is a run of letters, digits, marks and underscores; everything else separates words. Format characters (soft hyphen,
  joiners, direction marks), diacritics, and the vowel signs of Arabic, Hebrew and Syriac, which writers leave out, are ignored, so
  that composed and decomposed letters are equal. The vowel signs of other scripts are letters.
- Each code point is folded by itself: compatibility form to plain form (full width to half width), upper to lower case, no
  diacritics. Ligatures become their two or three letters.
- In scripts without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) each code point is a word.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

UNICODE_VERSION = f"{unicodedata.unidata_version}, folding 2"
"""Tables of different versions differ in rare code points, so an index records its own."""

SEPARATOR, WORD, ALONE, IGNORED, LIGATURE = range(5)
CLASS_SHIFT = 24
_FOLD_MASK = (1 << CLASS_SHIFT) - 1
_CODE_POINTS = 1 << 21
"""The number of values that four bytes can spell, valid UTF-8 or not."""
_ENUMERATED = 0x20000
_UNFOLDED = ((0x3400, 0x4DC0, ALONE), (0x4E00, 0xA000, ALONE), (0xAC00, 0xD7A4, WORD), (0x20000, 0x40000, ALONE))
"""Ideographs and Hangul syllables; beyond `_ENUMERATED` nothing else has to be folded."""
_UNDERSCORE = ord("_")
_OPTIONAL_MARKS = (
    *(
        (0x0300, 0x0370),
        (0x1AB0, 0x1B00),
        (0x1DC0, 0x1E00),
        (0x20D0, 0x2100),
        (0xFE00, 0xFE10),
        (0xFE20, 0xFE30),
        (0xE0100, 0xE01F0),
    ),
    *((0x0591, 0x05BE), (0x05BF, 0x05C0), (0x05C1, 0x05C3), (0x05C4, 0x05C6), (0x05C7, 0x05C8)),
    *(
        (0x0610, 0x061B),
        (0x0640, 0x0641),
        (0x064B, 0x0660),
        (0x0670, 0x0671),
        (0x06D6, 0x06DD),
        (0x06DF, 0x06E5),
        (0x06E7, 0x06E9),
    ),
    *((0x06EA, 0x06EE), (0x0711, 0x0712), (0x0730, 0x074B), (0x08CA, 0x08E2), (0x08E3, 0x0900)),
)
"""Diacritics and variation selectors; points and accents of Hebrew; vowel signs of Arabic (with its tatweel) and Syriac."""

PAIR = 1 << 23
"""Marks a ligature's entry as two letters of 11 bits, in place of three ASCII letters of 7 bits."""

_UNSPACED = (
    (0x0E00, 0x0F00),
    (0x1000, 0x10A0),
    (0x1780, 0x1800),
    (0x3040, 0x3100),
    (0x31F0, 0x3200),
    (0x3400, 0x4DC0),
    (0x4E00, 0xA000),
    (0xF900, 0xFB00),
    (0xFF66, 0xFFA0),
)


@cache
def table() -> npt.NDArray[np.uint32]:
    """The folded form of every code point, with its class in the bits from CLASS_SHIFT up."""
    entries = np.zeros(_CODE_POINTS, np.uint32)
    for first, end, kind in _UNFOLDED:
        entries[first:end] = np.arange(first, end, dtype=np.uint32) | np.uint32(kind << CLASS_SHIFT)
    for code in np.flatnonzero(entries[:_ENUMERATED] == 0).tolist():
        category = unicodedata.category(chr(code))
        if category == "Cf" or _is_optional(code):
            entries[code] = IGNORED << CLASS_SHIFT
        elif category[0] in "LNM" or code == _UNDERSCORE:
            entries[code] = _entry(chr(code))
    entries[0xE0100:0xE01F0] = IGNORED << CLASS_SHIFT
    return entries


def letters(entry: int) -> str:
    """The letters of a ligature's entry."""
    if entry & PAIR:
        return chr(entry >> 11 & 0x7FF) + chr(entry & 0x7FF)
    return "".join(chr(code) for shift in (14, 7, 0) if (code := entry >> shift & 0x7F))


def words(text: str) -> list[str]:
    """The folded words of a text; the reference for the compiled pass.

    >>> words("Naïve – don't!")
    ['naive', 'don', 't']
    """
    entries = table()
    folded_words: list[str] = []
    word = ""
    for character in text:
        entry = int(entries[ord(character)])
        kind = entry >> CLASS_SHIFT
        folded = letters(entry) if kind == LIGATURE else chr(entry & _FOLD_MASK)
        if kind in (WORD, LIGATURE):
            word += folded
        elif kind != IGNORED:
            folded_words += [word] if word else []
            folded_words += [folded] if kind == ALONE else []
            word = ""
    return folded_words + ([word] if word else [])


def _is_optional(code: int) -> bool:
    return any(first <= code < end for first, end in _OPTIONAL_MARKS)


def _entry(character: str) -> int:
    if ligature := _ligature(character):
        return ligature
    folded = _fold(character)
    kind = ALONE if any(first <= folded < end for first, end in _UNSPACED) else WORD
    return folded | kind << CLASS_SHIFT


def _fold(character: str) -> int:
    """The folded code point. A form of several characters that is no ligature has no single fold: the character stays."""
    if character.isascii() or not unicodedata.decomposition(character):
        lower = character.casefold()
        return ord(lower) if len(lower) == 1 else ord(character)
    for form in (_bare(character), unicodedata.normalize("NFKC", character).casefold()):
        if len(form) == 1:
            return ord(form)
    return ord(character)


def _bare(character: str) -> str:
    """The character's letters in plain form and lower case, without optional marks."""
    plain = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", character))
    return unicodedata.normalize("NFC", "".join(c for c in plain if not _is_optional(ord(c))).casefold())


def _ligature(character: str) -> int:
    """The entry of a letter that stands for two or three, such as U+FB03 for `ffi`; 0 for any other."""
    form = _bare(character)
    if len(form) not in (2, 3) or not form.isalpha() or unicodedata.category(character)[0] != "L":
        return 0
    if form.isascii():
        first, second, third = (*map(ord, form), 0)[:3]
        return first << 14 | second << 7 | third | LIGATURE << CLASS_SHIFT
    if len(form) == 2 and max(map(ord, form)) < 0x800:
        return ord(form[0]) << 11 | ord(form[1]) | PAIR | LIGATURE << CLASS_SHIFT
    return 0
