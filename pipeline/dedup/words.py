"""The words of a text as deduplication compares them: a table over all code points gives each one's class and folded form.

- A word is a run of letters, digits, marks and underscores; everything else separates words. Format characters (soft hyphen,
  joiners, direction marks) and the diacritics U+0300..U+036F are ignored, so that composed and decomposed letters are equal.
- Each code point is folded by itself: compatibility form to plain form (full width to half width), upper to lower case, no
  diacritics.
- In scripts without spaces (Han, Kana, Thai, Lao, Khmer, Myanmar) each code point is a word.
"""

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

UNICODE_VERSION = unicodedata.unidata_version
"""Tables of different versions differ in rare code points, so an index records its own."""

SEPARATOR, WORD, ALONE, IGNORED = range(4)
CLASS_SHIFT = 24
_FOLD_MASK = (1 << CLASS_SHIFT) - 1
_CODE_POINTS = 1 << 21
"""The number of values that four bytes can spell, valid UTF-8 or not."""
_ENUMERATED = 0x20000
_UNFOLDED = ((0x3400, 0x4DC0, ALONE), (0x4E00, 0xA000, ALONE), (0xAC00, 0xD7A4, WORD), (0x20000, 0x40000, ALONE))
"""Ideographs and Hangul syllables; beyond `_ENUMERATED` nothing else has to be folded."""
_UNDERSCORE = ord("_")
_DIACRITICS = (0x0300, 0x0370)
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
        if category == "Cf" or _DIACRITICS[0] <= code < _DIACRITICS[1]:
            entries[code] = IGNORED << CLASS_SHIFT
        elif category[0] in "LNM" or code == _UNDERSCORE:
            entries[code] = _entry(chr(code))
    return entries


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
        kind, folded = entry >> CLASS_SHIFT, chr(entry & _FOLD_MASK)
        if kind == WORD:
            word += folded
        elif kind != IGNORED:
            folded_words += [word] if word else []
            folded_words += [folded] if kind == ALONE else []
            word = ""
    return folded_words + ([word] if word else [])


def _entry(character: str) -> int:
    folded = _fold(character)
    kind = ALONE if any(first <= folded < end for first, end in _UNSPACED) else WORD
    return folded | kind << CLASS_SHIFT


def _fold(character: str) -> int:
    """The folded code point. Forms of several characters (ligatures) have no single fold: the character stays."""
    if character.isascii() or not unicodedata.decomposition(character):
        lower = character.casefold()
        return ord(lower) if len(lower) == 1 else ord(character)
    plain = unicodedata.normalize("NFKC", character).casefold()
    bare = "".join(c for c in unicodedata.normalize("NFD", plain) if not _DIACRITICS[0] <= ord(c) < _DIACRITICS[1])
    for form in (unicodedata.normalize("NFC", bare), plain):
        if len(form) == 1:
            return ord(form)
    return ord(character)
