"""Media type and charset of a body, from its Content-Type header and its first bytes."""

import re

HTML = "text/html"
PLAIN_TEXT = "text/plain"
PDF = "application/pdf"
HTML_TYPES = frozenset({HTML, "application/xhtml+xml"})
XML_TYPES = frozenset({"application/xml", "text/xml"})
PAGE_TYPES = HTML_TYPES | {PLAIN_TEXT}
UNSPECIFIC_TYPES = XML_TYPES | {"", "application/octet-stream", "unknown/unknown", "content/unknown", "*/*"}
"""Types under which servers also send HTML: the first bytes decide."""

SNIFFED_BYTES = 1024
_MAGIC = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "application/octet-stream"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"Rar!", "application/vnd.rar"),
    (b"7z\xbc\xaf", "application/x-7z-compressed"),
    (b"\x7fELF", "application/x-executable"),
    (b"MZ\x90\x00", "application/x-executable"),
    (b"\x00asm", "application/wasm"),
    (b"OggS", "application/ogg"),
    (b"ID3", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"wOF", "font/woff"),
    (b"%!PS", "application/postscript"),
    (b"{\\rtf", "application/rtf"),
)
_HTML = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]{0,200}\?>\s*)?(?:<!--.{0,800}?-->\s*)*"
    rb"<(?:!doctype\s+html|html|head|body|title|meta|script|style|h1|div|table|p|br|a|font|iframe)\b",
    re.IGNORECASE | re.DOTALL,
)
_BLANKS = "".join(map(chr, range(33)))
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<")
"""How UTF-16 begins: a byte order mark, or markup."""

_VALUE = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*(?:"|\\?$))+', re.DOTALL)
"""A value of a list; a comma in a quoted string separates nothing."""
_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+/[!#$%&'*+.^_`|~0-9a-z-]+")
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:\-]{1,40})", re.IGNORECASE)


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
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if declared not in PAGE_TYPES and declared not in UNSPECIFIC_TYPES:
        return declared
    if b"\0" in start and not start.startswith(_WIDE_MARKS) and "utf-16" not in (charset or ""):
        return "application/octet-stream"
    if declared in UNSPECIFIC_TYPES:
        return HTML if _HTML.match(start) else declared or "application/octet-stream"
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
        match = _CHARSET.search(value)
        charset = match[1].lower() if match else charset if this_kind == kind else None
        kind = this_kind
    return kind, charset
