"""What a body is, by its header and by its first bytes: pages of text go on, everything else has a name."""

import re

HTML = "text/html"
PLAIN_TEXT = "text/plain"
PDF = "application/pdf"
HTML_TYPES = frozenset({HTML, "application/xhtml+xml"})
XML_TYPES = frozenset({"application/xml", "text/xml"})
PAGE_TYPES = HTML_TYPES | {PLAIN_TEXT}
UNSAID = XML_TYPES | {"", "application/octet-stream", "unknown/unknown", "content/unknown", "*/*"}
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
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
_CHARSET = re.compile(r";\s*charset\s*=\s*[\"']?\s*([A-Za-z0-9_.:\-]{1,40})", re.IGNORECASE)


def media_type(content_type: str, body: bytes) -> str:
    """The body's media type, in lower case without parameters: what the bytes show wins over what the header says.

    >>> media_type("text/html; charset=utf-8", b"%PDF-1.7")
    'application/pdf'
    >>> media_type("", b"<!doctype html><title>x</title>")
    'text/html'
    """
    said = content_type.split(";", 1)[0].strip().lower()
    start = body[:SNIFFED_BYTES]
    for magic, kind in _MAGIC:
        if start.startswith(magic):
            return kind
    if said not in PAGE_TYPES and said not in UNSAID:
        return said
    if b"\0" in start and not start.startswith(_WIDE_MARKS) and "utf-16" not in content_type.lower():
        return "application/octet-stream"
    if said in UNSAID:
        return HTML if _HTML.match(start) else said or "application/octet-stream"
    return said


def declared_charset(content_type: str) -> str | None:
    """The charset that the header declares, in lower case; whether it is one, the reader of the bytes decides.

    >>> declared_charset('text/html; charset="ISO-8859-1"')
    'iso-8859-1'
    """
    found = _CHARSET.search(content_type)
    return found[1].lower() if found else None
