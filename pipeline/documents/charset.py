"""From a page's bytes to valid NFC Unicode, by the encodings of the web and no others.

A page may declare any name, and some of Python's codecs are unsafe: `punycode` takes quadratic time, `idna` and names with NUL raise. So
only labels of the WHATWG encoding standard count, in its order: byte order mark, HTTP's charset, the page's <meta>, a guess from the bytes.
"""

import re
import unicodedata
from typing import Final

from resiliparse.parse.encoding import detect_encoding

SUPPORTED: Final = frozenset(
    [
        *("utf-8", "ibm866", "koi8-r", "koi8-u", "macintosh", "mac-cyrillic", "gb18030", "big5", "euc-jp", "shift_jis", "euc-kr"),
        *("iso-2022-jp", "utf-16le", "utf-16be"),
        *(f"iso-8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)),
        *(f"windows-{page}" for page in (874, *range(1250, 1259))),
    ]
)
"""Names of the WHATWG encoding standard. Python decodes each in linear time."""

ALIASES: Final = {
    "utf-8": "utf8 unicode-1-1-utf-8 x-unicode20utf8",
    "windows-1252": "iso-8859-1 iso8859-1 latin1 latin-1 l1 ascii us-ascii cp1252 x-cp1252",
    "windows-1254": "iso-8859-9 latin5 l5 cp1254",
    "gb18030": "gbk gb2312 gb_2312-80 x-gbk chinese csgb2312",
    "shift_jis": "sjis shift-jis ms_kanji x-sjis windows-31j ms932",
    "euc-kr": "ks_c_5601-1987 ks_c_5601-1989 ksc5601 korean windows-949",
    "euc-jp": "x-euc-jp",
    "big5": "big5-hkscs cn-big5 x-x-big5",
    "utf-16le": "utf-16 unicode ucs-2 iso-10646-ucs-2",
    "windows-874": "iso-8859-11 tis-620 dos-874",
    "koi8-r": "koi8 koi",
    "mac-cyrillic": "x-mac-cyrillic",
    "macintosh": "mac x-mac-roman",
    **{f"windows-{page}": f"cp{page}" for page in (1250, 1251, 1253, 1255, 1256, 1257, 1258)},
}
"""The standard's other labels, by the name that they mean."""

LABELS: Final = {alias: name for name, aliases in ALIASES.items() for alias in aliases.split()}

PYTHON_NAMES: Final = {
    "shift_jis": "cp932",
    "euc-kr": "cp949",
    "big5": "big5hkscs",
    "macintosh": "mac_roman",
    "windows-874": "cp874",
}
"""Python's codec where the web's encoding of that name has more characters than Python's."""

MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))
META_BYTES: Final = 4096
META_CHARSET: Final = re.compile(
    rb"<(?:meta|\?xml)[^>]{0,400}?(?:charset|encoding)\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]{1,40})", re.IGNORECASE
)
REMOVED: Final = re.compile(
    "[\x00-\x08\x0b\x0e-\x1f\x7f\x80-\x84\x86-\x9f\u200b\u2060\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]"
)
"""Controls, lone surrogates, noncharacters and invisible marks; not tab and not the characters of LINE_ENDS."""

LINE_ENDS: Final = re.compile("\r\n?|[\x0c\x85\u2028\u2029]")


def encoding_of(body: bytes, declared: str | None) -> str:
    """The name of the encoding of `body`; `declared` is HTTP's charset.

    >>> encoding_of(b"<meta charset=latin1>\\xe9", None)
    'windows-1252'
    """
    for mark, name in MARKS:
        if body.startswith(mark):
            return name
    if label := _supported(declared):
        return label
    meta = META_CHARSET.search(body, 0, META_BYTES)
    if meta and (label := _supported(meta[1].decode("ascii"))):
        # The standard: a page whose <meta> can be read as ASCII is not in UTF-16, whatever it declares.
        return "utf-8" if label.startswith("utf-16") else label
    return (
        "utf-8" if _decode_utf8(body) is not None else _supported(detect_encoding(body, from_html_meta=False)) or "windows-1252"
    )


def decode(body: bytes, declared: str | None) -> tuple[str, str]:
    """The text of a page's bytes and the name of its encoding. Never raises: bytes that cannot be decoded become U+FFFD.

    A page that is valid UTF-8 and more than ASCII is UTF-8, whatever it declares: text of another encoding is not valid UTF-8 by accident.
    """
    name = encoding_of(body, declared)
    if not name.startswith(("utf-16", "iso-2022")) and not body.isascii():
        if (text := _decode_utf8(body)) is not None:
            return text.removeprefix("\ufeff"), "utf-8"
        if name == "utf-8":
            name = _encoding_of_invalid_utf8(body)
    text = body.decode(PYTHON_NAMES.get(name, name), errors="replace")
    return text.removeprefix("\ufeff"), name


def clean(text: str) -> str:
    r"""The text as valid NFC Unicode that any UTF-8 writer takes: no NUL, control, surrogate or invisible mark; line ends are \n.

    >>> clean("cafe\u0301\x00\r\n\ud800!")
    'café\n!'
    """
    text = LINE_ENDS.sub("\n", text)
    return unicodedata.normalize("NFC", REMOVED.sub("", text))


def _supported(label: str | None) -> str | None:
    name = (label or "").strip().lower()
    name = LABELS.get(name, name)
    return name if name in SUPPORTED else None


def _decode_utf8(body: bytes) -> str | None:
    """The text of valid UTF-8, else None. ISO-2022-JP, which is ASCII with a shift sequence, gives None."""
    try:
        return None if b"\x1b$" in body else body.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _encoding_of_invalid_utf8(body: bytes) -> str:
    """The encoding of bytes that are declared UTF-8 but are not valid. A few bad bytes in a long text are damage: it stays UTF-8."""
    text = body.decode("utf-8", errors="replace")
    bad = text.count("\ufffd")
    good = len(text) - len(text.encode("ascii", errors="ignore")) - bad
    if good > bad:
        return "utf-8"
    guess = _supported(detect_encoding(body, from_html_meta=False))
    return guess if guess and guess != "utf-8" else "windows-1252"
