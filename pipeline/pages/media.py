"""Media type and charset of a body, from its Content-Type header and its first bytes."""

import re

HTML = "text/html"
PLAIN_TEXT = "text/plain"
PDF = "application/pdf"
HTML_TYPES = frozenset({HTML, "application/xhtml+xml"})
XML_TYPES = frozenset({"application/xml", "text/xml"})
PAGE_TYPES = HTML_TYPES | {PLAIN_TEXT}
PAGE_AND_PDF_TYPES = PAGE_TYPES | {PDF}
UNSPECIFIC_TYPES = XML_TYPES | {"", "application/octet-stream", "unknown/unknown", "content/unknown", "*/*"}
"""Types under which servers also send HTML: the first bytes decide."""

SNIFFED_BYTES = 1024
_MAGIC = (
    (rb"%PDF-", PDF),
    (rb"\x89PNG\r\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"RIFF.{4}WEBPVP", "image/webp"),
    (rb"RIFF.{4}AVI ", "video/avi"),
    (rb"RIFF.{4}WAVE", "audio/wave"),
    (rb"FORM.{4}AIFF", "audio/aiff"),
    (rb"MThd\0\0\0\x06", "audio/midi"),
    (rb"PK\x03\x04", "application/zip"),
    (rb"\x1f\x8b", "application/gzip"),
    (rb"BZh[1-9]1AY&SY", "application/x-bzip2"),
    (rb"\xfd7zXZ\x00", "application/x-xz"),
    (rb"\x28\xb5\x2f\xfd", "application/zstd"),
    (rb"Rar!\x1a\x07", "application/vnd.rar"),
    (rb"7z\xbc\xaf", "application/x-7z-compressed"),
    (rb"\x7fELF", "application/x-executable"),
    (rb"MZ\x90\x00", "application/x-executable"),
    (rb"\x00asm", "application/wasm"),
    (rb"OggS\x00", "application/ogg"),
    (rb"ID3[\x02-\x04]", "audio/mpeg"),
    (rb"\x1aE\xdf\xa3", "video/webm"),
    (rb"wOFF\x00", "font/woff"),
    (rb"wOF2\x00", "font/woff2"),
    (rb"OTTO\x00", "font/otf"),
    (rb"%!PS", "application/postscript"),
    (rb"\{\\rtf", "application/rtf"),
)
"""First bytes of data that no text begins with, whatever its type is said to be."""
_KIND_OF_MAGIC = {f"magic_{number}": kind for number, (_, kind) in enumerate(_MAGIC)}
_ANY_MAGIC = re.compile(b"|".join(b"(?P<magic_%d>%b)" % (number, magic) for number, (magic, _) in enumerate(_MAGIC)), re.DOTALL)
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,800}?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|h1|div|table|p|br|a|b|font|iframe)\b",
    re.IGNORECASE | re.DOTALL,
)
"""The beginnings of the WHATWG MIME Sniffing standard, section 7.1, and those that a tag ends in any way or a prologue precedes."""
_COMMENT = re.compile(rb"(?:\xef\xbb\xbf)?\s*<!--")
_XML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<\?xml")
_BLANKS = "".join(map(chr, range(33)))
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
"""How UTF-16 begins: a byte order mark, or markup."""

_VALUE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?$))+', re.DOTALL)
"""A value of a list; a comma in a quoted string separates nothing."""
_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_PARAMETER = re.compile(r';[\s;]*([^;="]*)=\s*(?:"((?:[^"\\]|\\.)*)(?:"|\\?$)[^;]*|([^;]*))', re.DOTALL)
_QUOTED_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_CHARSET = re.compile(r"[\s'\"]*([A-Za-z0-9_.:\-]{1,40})")


def media_type(content_type: str, body: bytes) -> str:
    """The body's media type, in lower case and without parameters. Its first bytes win over the header.

    Of several types in the header, the last valid one counts. A broken type is none.

    >>> media_type("text/html; charset=utf-8", b"%PDF-1.7")
    'application/pdf'
    >>> media_type("", b"<!doctype html><title>x</title>")
    'text/html'
    """
    declared, charset = _declaration(content_type)
    start = body[:SNIFFED_BYTES]
    if match := _ANY_MAGIC.match(start):
        return _KIND_OF_MAGIC[match.lastgroup or ""]
    if declared not in PAGE_TYPES and declared not in UNSPECIFIC_TYPES:
        return declared
    if b"\0" in start and not start.startswith(_WIDE_MARKS) and "utf-16" not in (charset or ""):
        return "application/octet-stream"
    if declared in UNSPECIFIC_TYPES:
        if _HTML.match(start) or (declared not in XML_TYPES and _COMMENT.match(start)):
            return HTML
        return declared or ("text/xml" if _XML.match(start) else "application/octet-stream")
    return declared


def declared_charset(content_type: str) -> str | None:
    """The charset that the header declares, in lower case. It need not be one that exists.

    >>> declared_charset('text/html; charset="ISO-8859-1"')
    'iso-8859-1'
    """
    return _declaration(content_type)[1]


def _declaration(content_type: str) -> tuple[str, str | None]:
    """Type (empty where none is valid) and charset, as the Fetch standard extracts them from all values of the header.

    A later value without a charset keeps that of an earlier value with the same type.
    """
    kind, charset = "", None
    for value in _VALUE.findall(content_type):
        this_kind = value.split(";", 1)[0].strip(_BLANKS).lower()
        if this_kind == "*/*" or not _TYPE.fullmatch(this_kind):
            continue
        charset = _charset(value) or (charset if this_kind == kind else None)
        kind = this_kind
    return kind, charset


def _charset(value: str) -> str | None:
    """The first charset parameter of a value. Apostrophes and blanks around it are none of it, other than in the standard."""
    for name, quoted, bare in _PARAMETER.findall(value):
        if name.strip(_BLANKS).lower() != "charset" or _QUOTED_CONTROL.search(quoted):
            continue
        if match := _CHARSET.match(re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) if quoted else bare):
            return match[1].lower()
    return None
