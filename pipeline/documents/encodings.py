"""The encodings of the web: the labels of the WHATWG encoding standard, and decoders that agree with its index tables.

Python's codecs do most of the work. They differ from the standard in single characters, and in what they make of damaged bytes: the
differences are stated here, as tables and as one handler of errors.
"""

# ruff: noqa: RUF001 (the tables hold characters that look like others)

import codecs
import re
from collections.abc import Mapping
from functools import cache
from typing import Final

LABELS_BY_NAME: Final = {
    "utf-8": "unicode-1-1-utf-8 unicode11utf8 unicode20utf8 utf8 x-unicode20utf8",
    "ibm866": "866 cp866 csibm866",
    "iso-8859-2": "csisolatin2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 iso_8859-2:1987 l2 latin2",
    "iso-8859-3": "csisolatin3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 iso_8859-3:1988 l3 latin3",
    "iso-8859-4": "csisolatin4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 iso_8859-4:1988 l4 latin4",
    "iso-8859-5": "csisolatincyrillic cyrillic iso-ir-144 iso8859-5 iso88595 iso_8859-5 iso_8859-5:1988",
    "iso-8859-6": "arabic asmo-708 csiso88596e csiso88596i csisolatinarabic ecma-114 iso-8859-6-e iso-8859-6-i iso-ir-127 iso8859-6 "
    "iso88596 iso_8859-6 iso_8859-6:1987",
    "iso-8859-7": "csisolatingreek ecma-118 elot_928 greek greek8 iso-ir-126 iso8859-7 iso88597 iso_8859-7 iso_8859-7:1987 sun_eu_greek",
    "iso-8859-8": "csiso88598e csisolatinhebrew hebrew iso-8859-8-e iso-ir-138 iso8859-8 iso88598 iso_8859-8 iso_8859-8:1988 visual "
    "csiso88598i iso-8859-8-i logical",
    "iso-8859-10": "csisolatin6 iso-ir-157 iso8859-10 iso885910 l6 latin6",
    "iso-8859-13": "iso8859-13 iso885913",
    "iso-8859-14": "iso8859-14 iso885914",
    "iso-8859-15": "csisolatin9 iso8859-15 iso885915 iso_8859-15 l9",
    "iso-8859-16": "",
    "koi8-r": "cskoi8r koi koi8 koi8_r",
    "koi8-u": "koi8-ru",
    "macintosh": "csmacintosh mac x-mac-roman",
    "windows-874": "dos-874 iso-8859-11 iso8859-11 iso885911 tis-620",
    "windows-1250": "cp1250 x-cp1250",
    "windows-1251": "cp1251 x-cp1251",
    "windows-1252": "ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1 iso88591 iso_8859-1 "
    "iso_8859-1:1987 l1 latin1 us-ascii x-cp1252",
    "windows-1253": "cp1253 x-cp1253",
    "windows-1254": "cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 iso_8859-9:1989 l5 latin5 x-cp1254",
    "windows-1255": "cp1255 x-cp1255",
    "windows-1256": "cp1256 x-cp1256",
    "windows-1257": "cp1257 x-cp1257",
    "windows-1258": "cp1258 x-cp1258",
    "x-mac-cyrillic": "x-mac-ukrainian",
    "gb18030": "chinese csgb2312 csiso58gb231280 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk",
    "big5": "big5-hkscs cn-big5 csbig5 x-x-big5",
    "euc-jp": "cseucpkdfmtjapanese x-euc-jp",
    "iso-2022-jp": "csiso2022jp",
    "shift_jis": "csshiftjis ms932 ms_kanji shift-jis sjis windows-31j x-sjis",
    "euc-kr": "cseuckr csksc56011987 iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601 ksc_5601 windows-949",
    "utf-16be": "unicodefffe",
    "utf-16le": "csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16",
    "replacement": "csiso2022kr hz-gb-2312 iso-2022-cn iso-2022-cn-ext iso-2022-kr",
    "x-user-defined": "",
}
"""The standard's labels by the name of their encoding. GBK's decoder is that of gb18030, and ISO-8859-8-I's that of ISO-8859-8."""

LABELS: Final = {label: name for name, labels in LABELS_BY_NAME.items() for label in (name, *labels.split())}

_PYTHON: Final = {
    "big5": "big5hkscs",
    "euc-jp": "euc_jp",
    "euc-kr": "cp949",
    "macintosh": "mac_roman",
    "shift_jis": "cp932",
    "windows-874": "cp874",
    "x-mac-cyrillic": "mac_cyrillic",
}
"""Python's codec where it has another name, or where the one of the same name has fewer characters."""

DETECTED: Final = {codec: name for name, codec in _PYTHON.items()} | {
    "euc_jis_2004": "euc-jp",
    "euc_kr": "euc-kr",
    "iso8859-16": "iso-8859-16",
    "mac-cyrillic": "x-mac-cyrillic",
    "mac-roman": "macintosh",
    "shift_jis_2004": "shift_jis",
    "utf-16-be": "utf-16be",
    "utf-16-le": "utf-16le",
}
"""Names of the detector's that are no label."""

_CHARACTERS: Final[dict[str, Mapping[int, int | str]]] = {
    "big5": str.maketrans("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡"),
    "euc-jp": str.maketrans("〜‖−¢£¬", "～∥－￠￡￢"),
    "gb18030": str.maketrans(
        "\ue5e5\ue78d\ue78e\ue78f\ue790\ue791\ue792\ue793\ue794\ue795\ue796\ue7c7\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864",
        "\u3000︐︒︑︓︔︕︖︗︘︙ḿ龴龵龶龷龸龹龺龻",
    ),
    "shift_jis": dict.fromkeys(map(ord, "\uf8f0\uf8f1\uf8f2\uf8f3"), "\ufffd"),
}
"""Characters of Python's codec that the standard decodes to others."""

_BIG5: Final = (
    "877a㡵𡵓𣚞𦀡㻬 "
    "87a1𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅枂稬剏遆㓦珄𥶹瓆鿇垳䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄𣖻䂴鿊䓡𪷿拁灮鿋 "
    "8e69箸 8e6f簆 8e7e糎 8eab緒 8eb4縝 8ecd者 8ed0耨 8f57菁 8f69蒨 "
    "8f6e萏 8fcb覦覩 8ffe起 906d都 907a銹 90dc靜 90f1響 91bf鼖 9244蔃 "
    "92af兙兛兝兞 92c8鍮 92d1瑹 9447浧 94ca禛 95d9邗 9644靝 96ed瀞 96fc嬨 "
    "9b76爁 9b78矗 9b7b纇 9bc6駖 9bde釔 9bec惞 9bf6澶 9c42輶 9c53侻 "
    "9c62營 9c68鄄 9c6b鷰 9c77菏 9cbc尐秣 9cd0婧 9d57輋 9d5a筑 9dc4拐 "
    "9ea9恢 9eef痹 9efd汊 9f60鬮 9f66鼗 9fcb僭 9fd8弌 a063蠏 a077拎 "
    "a0d5瑨 a0df煢 a0e4牐 "
    "a3c0␀␁␂␃␄␅␆␇␈␉␊␋␌␍␎␏␐␑␒␓␔␕␖␗␘␙␚␛␜␝␞␟␡€ c6cf廴 "
    "c6d3无 c6d5癶 c6d7隶 c6de〃仝 fa5f倩 fa66偽 fabd包 fac5卄 fad5卿 "
    "fb48嘅 fbb8婷 fbf3幵 fbf9廐 fc4f彘 fc6c悤 fcb9撐 fce2晴 fcf1杞 "
    "fdb7沜渝 fdbb港 fdf1煮 fe52猪 fe6f瑜 feaa瓩 fedd砉"
)
"""Sequences of Big5 that Python's codec lacks: the first one's bytes in hex, then the characters from there on."""

_BIG5_SLASHES: Final = {b"\xa2A": "∕", b"\xa2B": "﹨"}
"""Sequences that Python's codec decodes to characters which other sequences have too."""

_BIG5_SEQUENCE: Final = re.compile(rb"[\x81-\xfe][\x40-\x7e\xa1-\xfe]|[\x00-\xff]")
_SHIFTS: Final = re.compile(rb"\x1b(\$[@B]|\([BIJ])")
_DOUBLE: Final = bytes(byte | 0x80 if 0x21 <= byte < 0x7F else byte if byte < 0x80 else 0xFF for byte in range(256))
"""A byte of ISO-2022-JP as EUC-JP has it."""

_ROMAN: Final = str.maketrans("\\~", "¥‾")
_KATAKANA: Final = {byte: 0xFF61 + byte - 0x21 for byte in range(0x21, 0x60)} | dict.fromkeys(range(0x60, 0x100), 0xFFFD)
_MULTI_BYTE: Final = frozenset({"big5", "euc-jp", "euc-kr", "gb18030", "shift_jis"})
_ERRORS: Final = "webtext-whatwg"


def name_of(label: str | None) -> str | None:
    """The name of the encoding that a label means; None for a label that the standard does not have.

    >>> name_of(" Latin2 "), name_of("punycode")
    ('iso-8859-2', None)
    """
    return LABELS.get((label or "").strip("\t\n\f\r ").lower()) if (label or "").isascii() else None


def decode(body: bytes, name: str) -> str:
    """The text of bytes in the encoding of that name. Damaged bytes become U+FFFD, and no byte after them is lost.

    >>> decode(b"\\xad\\xa1 \\xa1\\xc1", "euc-jp")
    '① ～'
    """
    if name == "iso-2022-jp":
        return _decode_iso_2022_jp(body)
    if name == "replacement":
        return "\ufffd" if body else ""
    if name == "big5" and any(slash in body for slash in _BIG5_SLASHES):
        return _decode_big5_slashes(body)
    if name in _MULTI_BYTE:
        return _decode_multi_byte(body, name)
    if name.startswith("utf-"):
        return body.decode(name, errors="replace")
    return codecs.charmap_decode(body, "replace", _single_byte(name))[0]


def _decode_multi_byte(body: bytes, name: str) -> str:
    text = body.decode(_PYTHON.get(name, name), errors=_ERRORS)
    return text.translate(_CHARACTERS[name]) if name in _CHARACTERS else text


def _decode_big5_slashes(body: bytes) -> str:
    """Big5 with the sequences of _BIG5_SLASHES: the bytes between them are decoded piece by piece."""
    texts, start = [], 0
    for match in _BIG5_SEQUENCE.finditer(body):
        if slash := _BIG5_SLASHES.get(match[0]):
            texts += [_decode_multi_byte(body[start : match.start()], "big5"), slash]
            start = match.end()
    return "".join([*texts, _decode_multi_byte(body[start:], "big5")])


@cache
def _single_byte(name: str) -> str:
    """The characters of the 256 bytes; U+FFFE where there is none. In Windows' pages, free bytes below A0 are controls."""
    if name == "x-user-defined":
        return "".join(chr(byte if byte < 0x80 else 0xF700 + byte) for byte in range(256))
    characters = [bytes([byte]).decode(_PYTHON.get(name, name), errors="replace") for byte in range(256)]
    for byte, character in enumerate(characters):
        if character == "\ufffd":
            characters[byte] = chr(byte) if name.startswith("windows") and byte < 0xA0 else "\ufffe"
    for byte, character in {"koi8-u": {0xAE: "ў", 0xBE: "Ў"}, "windows-1255": {0xCA: "\u05ba"}}.get(name, {}).items():
        characters[byte] = character
    return "".join(characters)


def _decode_iso_2022_jp(body: bytes) -> str:
    """Text with shifts between ASCII, JIS-Roman, katakana and JIS X 0208. Controls stand for themselves in every state."""
    ascii_text, *rest = _SHIFTS.split(body)
    texts = [ascii_text.decode("ascii", errors="replace")]
    for shift, data in zip(rest[::2], rest[1::2], strict=True):
        if shift.startswith(b"$"):
            texts.append(decode(data.translate(_DOUBLE), "euc-jp"))
        elif shift == b"(I":
            texts.append(data.decode("latin-1").translate(_KATAKANA))
        else:
            text = data.decode("ascii", errors="replace")
            texts.append(text.translate(_ROMAN) if shift == b"(J" else text)
    return "".join(texts)


def _decode_error(error: UnicodeError) -> tuple[str, int]:
    """What the standard gives for bytes that Python's codec refuses, and the position to go on at.

    A lead byte without a character takes its trail byte along, unless that is ASCII: so markup survives a damaged character.
    """
    assert isinstance(error, UnicodeDecodeError)
    data, start = error.object, error.start
    lead, trail = data[start], data[start + 1] if start + 1 < len(data) else 0
    if error.encoding == "gb18030" and lead == 0x80:
        return "€", start + 1
    if error.encoding == "big5hkscs" and (character := _big5().get(lead << 8 | trail)):
        return character, start + 2
    if error.encoding == "euc_jp" and 0xA1 <= lead <= 0xFE and 0xA1 <= trail <= 0xFE:
        return _jis_extension(lead, trail), start + 2
    return "\ufffd", start + (2 if lead > 0x80 and lead != 0xFF and trail >= 0x80 else 1)


codecs.register_error(_ERRORS, _decode_error)


def _jis_extension(lead: int, trail: int) -> str:
    """A character of NEC's and IBM's rows, which Python's EUC-JP lacks: the bytes as Shift_JIS has them."""
    row, cell = lead - 0xA1, trail - 0xA1
    high = row // 2 + (0x81 if row < 62 else 0xC1)
    low = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
    text = bytes([high, low]).decode("cp932", errors="replace")
    return text if len(text) == 1 else "\ufffd"


@cache
def _big5() -> dict[int, str]:
    """The table of _BIG5, by sequence."""
    return {int(run[:4], 16) + offset: character for run in _BIG5.split() for offset, character in enumerate(run[4:])}
