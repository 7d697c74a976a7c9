"""What filters must know of scripts other than Latin: words without spaces, marks that end a sentence, marks that belong to words."""

import re
import unicodedata
from functools import cache
from typing import Final

UNSPACED: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u0f00-\u0fff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U00020000-\U0003ffff"
)
"""Characters of scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Tibetan, kana, Han. A character class's inside."""

SENTENCE_ENDS: Final = "。！？．｡।॥؟۔։჻።፧᙮᠃᠉។៕။༎།꓿꘎꘏꛳꛷꧉꫰"  # noqa: RUF001
"""Marks that end a sentence in scripts other than Latin, Greek and Cyrillic, which share the ASCII stops."""

QUOTE_ENDS: Final = "”’»」』）》〉】"  # noqa: RUF001
"""Marks that may follow the end of a sentence."""

UNPUNCTUATED: Final = "\u0e00-\u0eff"
"""Thai and Lao end sentences with a space, and lines with nothing. A character class's inside."""

_UNSPACED: Final = re.compile(f"[{UNSPACED}]")
_UNSPACED_MARKS: Final = (
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u0eb1\u0eb4-\u0ebc\u0ec8-\u0ece\u0f35\u0f37\u0f39\u0f71-\u0f84\u0f86\u0f87\u0f8d-\u0fbc"
    "\u102b-\u103e\u1056-\u1059\u17b4-\u17d3\u3099\u309a"
)
_WORD: Final = re.compile(f"[{UNSPACED}][{_UNSPACED_MARKS}]*|[^\\s{UNSPACED}]+")
_WIDE: Final = re.compile(
    "[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\U00020000-\U0003ffff]"
)


def is_unspaced(text: str) -> bool:
    """Whether a script without spaces makes up most of the text.

    >>> is_unspaced("守塔人都会爬上楼梯"), is_unspaced("The word 灯塔 is Chinese")
    (True, False)
    """
    return (
        2 * len(_UNSPACED.findall(text)) > sum(not character.isspace() for character in text) if _UNSPACED.search(text) else False
    )


def words(text: str) -> list[str]:
    """Runs without white space; a character of a script without spaces is a word.

    >>> words("The word 灯塔 is")
    ['The', 'word', '灯', '塔', 'is']
    """
    return _WORD.findall(text) if _UNSPACED.search(text) else text.split()


def width(line: str) -> int:
    """The columns of a line: an ideograph, a kana or a Hangul syllable says as much as two letters, and is as wide."""
    return len(line) + len(_WIDE.findall(line))


@cache
def marks() -> str:
    """All combining marks, the inside of a character class: vowel signs belong to words, though `\\w` has them not."""
    return "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)).startswith("M"))
