r"""Text from outside, made safe for where it is shown: terminals and logs, Markdown, HTML and SVG, JSON in a script.

Names, titles and addresses come from Reddit, from pages and from other people's files. A terminal obeys escape sequences, Markdown and HTML
obey marks, and characters that change the direction of text make one name look like another.
"""

import json
import re
from html import escape
from typing import Any

LONGEST = 1000
"""Characters of a value that are shown."""
_CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_DIRECTIONS = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_INVISIBLE = (
    r"\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
"""Default-ignorable characters of Unicode, but for joiners, soft hyphens and variation selectors."""
_UNSAFE = re.compile(rf"[{_CONTROLS}{_DIRECTIONS}{_INVISIBLE}\ud800-\udfff]")
_UNSAFE_IN_TEXT = re.compile(rf"(?![\n\t])[{_CONTROLS}{_DIRECTIONS}{_INVISIBLE}\ud800-\udfff]")
"""Joiners (U+200C, U+200D) and soft hyphens stay: words of many languages, and emoji, have them."""
_MARKS = re.compile(
    r"[\\`*{}\[\]<>#|~$@]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|&(?=#?\w+;)|(?<=[wW])\.|:(?=//)|\A[-+=]|(?<=\A\d)[.)]"
)
"""Marks of CommonMark, of GitHub's tables, links and mathematics. An underscore within a word is none."""
_NUMBERED = re.compile(r"\A(\d{1,9})([.)])(?=\s|\Z)")
_TICKS = re.compile(r"`+")


def printable(text: object, most: int | None = LONGEST) -> str:
    r"""A value on one line, cut after `most` characters; what a terminal could obey is shown as its escape.

    >>> printable("a\x1b[2J\nb"), printable("abcdef", 3)
    ('a\\x1b[2J\\nb', 'abc… (6 characters)')
    """
    whole = str(text)
    shown = whole if most is None or len(whole) <= most else f"{whole[:most]}… ({len(whole):,} characters)"
    return shown if shown.isascii() and shown.isprintable() else _UNSAFE.sub(_escaped, shown)


def printable_text(text: str) -> str:
    r"""A text of several lines; what a terminal could obey, but for line ends and tabs, is shown as its escape.

    >>> printable_text("one\ntwo\r\x07")
    'one\ntwo\\r\\x07'
    """
    return _UNSAFE_IN_TEXT.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    return match[0].encode("unicode_escape").decode("ascii")


def markdown(text: object) -> str:
    r"""A value as plain text of Markdown: no mark, link, tag, table cell or line of its own.

    >>> print(markdown("a|b [c](d) e_f"))
    a\|b \[c\](d) e_f
    """
    shown = _MARKS.sub(_marked, printable(text))
    return _NUMBERED.sub(r"\1\\\2", shown)


def _marked(match: re.Match[str]) -> str:
    return "&#64;" if match[0] == "@" else f"\\{match[0]}"


def markdown_code(text: object) -> str:
    """A value as a code span of Markdown, also in a cell of a table.

    >>> print(markdown_code("a`b"))
    `` a`b ``
    """
    shown = printable(text).replace("|", "\\|")
    ticks = "`" * (max(map(len, _TICKS.findall(shown)), default=0) + 1)
    padding = " " if len(ticks) > 1 or not shown.strip() or shown[0] == " " or shown[-1] == " " else ""
    return f"{ticks}{padding}{shown}{padding}{ticks}"


def html(text: object) -> str:
    """A value as HTML or XML, also within the quotes of an attribute.

    >>> html("<b>'x'")
    '&lt;b&gt;&#x27;x&#x27;'
    """
    return escape(printable(text))


def html_text(text: str) -> str:
    """A text of several lines as HTML or XML, in full."""
    return escape(printable_text(text))


def script_json(value: Any) -> str:
    r"""JSON for a script element of HTML: no text in it ends the element or begins a comment.

    >>> script_json(["</script>"])
    '["\\u003c/script\\u003e"]'
    """
    data = json.dumps(value, ensure_ascii=False)
    return re.sub(r"[<>&\u2028\u2029\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", data)
