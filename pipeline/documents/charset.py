"""From a page's bytes to valid NFC Unicode, by the encodings of the web and no others.

A page may declare any name, and some of Python's codecs are unsafe: `punycode` takes quadratic time, `idna` and names with NUL raise. So
only labels of the WHATWG encoding standard count, in its order: byte order mark, HTTP's charset, the page's <meta>, a guess from the bytes.
"""

import re
import unicodedata
from typing import Final

import chardet

from pipeline.documents import encodings
from pipeline.documents.charset_prescan import declared_encoding

MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
JAPANESE_SHIFT: Final = re.compile(rb"\x1b(?:\$[@B]|\([IJ])")
LINE_OR_TAG: Final = re.compile(rb"[<>\n\r]")
GUESSED_BYTES: Final = 200_000
"""The detector reads this many bytes of lines that are more than ASCII."""

GUESSES: Final = (
    *(
        "utf-16-be",
        "utf-16-le",
        "big5hkscs",
        "cp932",
        "cp949",
        "euc_jis_2004",
        "euc_kr",
        "gb18030",
        "shift_jis_2004",
        "cp866",
        "cp874",
    ),
    *("koi8-r", "koi8-u", "mac-cyrillic", "mac-roman", "tis-620"),
    *(f"cp{page}" for page in range(1250, 1259)),
    *(f"iso8859-{part}" for part in (*range(1, 11), 13, 14, 15, 16)),
)
"""What the detector chooses from: its names for the encodings of the web."""

REMOVED: Final = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\u200b\u2060\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
"""Controls, lone surrogates, noncharacters and invisible marks; not tab and not the characters of LINE_ENDS."""

LINE_ENDS: Final = re.compile("\r\n?|[\x0c\u2028\u2029]")
C1_IN_UTF8: Final = re.compile(rb"\xc2[\x80-\x9f]")
C1: Final = re.compile("[\x80-\x9f]")
"""Controls that no text has: bytes of windows-1252 that were taken for Latin-1 on their way to UTF-8."""

WINDOWS_1252: Final = {code: bytes([code]).decode("cp1252", errors="ignore") for code in range(0x80, 0xA0)}


def encoding_of(body: bytes, declared: str | None) -> str:
    """The name of the encoding of `body`; `declared` is HTTP's charset.

    >>> encoding_of(b"<meta charset=latin1>\\xe9", None)
    'windows-1252'
    """
    for mark, name in MARKS:
        if body.startswith(mark):
            return name
    label = encodings.name_of(declared)
    if label and not (label.startswith("utf-16") and b"\0" not in body):  # UTF-16 has NULs: a page's markup is ASCII
        return label
    return declared_encoding(body) or ("utf-8" if _decode_utf8(body) is not None else _guess(body))


def decode(body: bytes, declared: str | None) -> tuple[str, str]:
    """The text of a page's bytes and the name of its encoding. Never raises: bytes that cannot be decoded become U+FFFD.

    A page that is valid UTF-8 and more than ASCII is UTF-8, whatever it declares: text of another encoding is not valid UTF-8 by accident.
    """
    name = encoding_of(body, declared)
    if name == "utf-8" and _is_iso_2022_jp(body):
        name = "iso-2022-jp"
    if not name.startswith(("utf-16", "iso-2022")) and not body.isascii():
        if (text := _decode_utf8(body)) is not None:
            return (without_c1(text) if C1_IN_UTF8.search(body) else text).removeprefix("\ufeff"), "utf-8"
        if name == "utf-8":
            name = _encoding_of_invalid_utf8(body)
    text = encodings.decode(body, name)
    return (text if body.isascii() else without_c1(text)).removeprefix("\ufeff"), name


def without_c1(text: str) -> str:
    """The text with the characters that windows-1252 has in place of C1 controls, as browsers read `&#146;`."""
    return text.translate(WINDOWS_1252) if C1.search(text) else text


def clean(text: str) -> str:
    r"""The text as valid NFC Unicode that any UTF-8 writer takes: no NUL, control, surrogate or invisible mark; line ends are \n.

    C1 controls become the characters that windows-1252 has in their place, as browsers read `&#146;`.

    >>> clean("cafe\u0301\x00\r\n\ud800 it\x92s!")
    'café\n it’s!'
    """
    text = without_c1(LINE_ENDS.sub("\n", text))
    return unicodedata.normalize("NFC", REMOVED.sub("", text))


def _is_iso_2022_jp(body: bytes) -> bool:
    return b"\x1b" in body and body.isascii() and JAPANESE_SHIFT.search(body) is not None


def _decode_utf8(body: bytes) -> str | None:
    """The text of valid UTF-8, else None. ISO-2022-JP, which is ASCII with a shift sequence, gives None."""
    if _is_iso_2022_jp(body):
        return None
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _encoding_of_invalid_utf8(body: bytes) -> str:
    """The encoding of bytes that are declared UTF-8 but are not valid. A few bad bytes in a long text are damage: it stays UTF-8."""
    text = body.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", errors="ignore")) - bad
    return "utf-8" if good > bad else _guess(body)


def _guess(body: bytes) -> str:
    """The encoding of bytes that are not UTF-8. Only lines with bytes beyond ASCII are looked at: markup hides a short text."""
    if body.isascii():
        return "iso-2022-jp" if _is_iso_2022_jp(body) else "utf-8"
    if b"\0" not in body:
        body = b"".join(b"<p>%b</p>\n" % line for line in LINE_OR_TAG.split(body) if not line.isascii())
    guess = chardet.detect(body, max_bytes=GUESSED_BYTES, compat_names=False, include_encodings=GUESSES)["encoding"]
    return encodings.DETECTED.get(guess or "") or encodings.name_of(guess) or "windows-1252"
