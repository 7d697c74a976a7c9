"""The encoding that a page's own markup declares, found in its bytes as the HTML standard says (section 13.2.3.2 and what follows).

In the first kilobyte every <meta> counts, also one in a script, as in the standard's prescan. Behind it a <meta> counts where a parser
would meet it, as in the standard's change of the encoding while parsing: not in a comment, a script or another element of raw text.
"""

import re
from typing import Final

from pipeline.documents.encodings import name_of

PRESCAN_BYTES: Final = 1024
NEAR_BYTES: Final = 1 << 12
"""Most declarations stand within this many bytes: there they are looked for first, since every later <meta> has to be found too."""

LATEST_META_BYTES: Final = 1 << 18
"""A <meta> behind this many bytes is not looked for."""

_BLANK: Final = rb"[\t\n\f\r ]"
_XML_ENCODING: Final = re.compile(rb"<\?xml[^>]{0,1000}?encoding[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\">]+)\"|'([^'>]+)')")
_WIDE_MARKUP: Final = re.compile(rb"(?:[\t\n\r ]\0)*<\0[!?/A-Za-z]\0|(\0[\t\n\r ])*\0<\0[!?/A-Za-z]")
_META: Final = re.compile(rb"<meta[\t\n\f\r /]", re.IGNORECASE)
_TAG: Final = re.compile(rb"</?([A-Za-z][^\t\n\f\r />]*)")
_ATTRIBUTE: Final = re.compile(
    rb"[\t\n\f\r /]*(?:>|([^\t\n\f\r />][^\t\n\f\r />=]*)"
    rb"(?:%(blank)b*=%(blank)b*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*)(?=[\t\n\f\r >])|(?=>)))?)"
    % {b"blank": _BLANK}
)
_UNFINISHED: Final = re.compile(_BLANK + b"*=")
_CONTENT_CHARSET: Final = re.compile(
    rb"charset%b*=%b*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r ;\"'][^\t\n\f\r ;]*))" % (_BLANK, _BLANK), re.IGNORECASE
)
_RAW_TEXT: Final = frozenset(
    {b"script", b"style", b"title", b"textarea", b"xmp", b"iframe", b"noembed", b"noframes", b"noscript"}
)


def declared_encoding(body: bytes) -> str | None:
    """The name of the encoding that the page declares; None where it declares none that the encoding standard has.

    >>> declared_encoding(b"<!-- <meta charset=big5> --><meta charset=latin2>")
    'iso-8859-2'
    """
    if wide := _WIDE_MARKUP.match(body):
        return "utf-16be" if wide[0].startswith(b"\0") else "utf-16le"
    for end in (NEAR_BYTES, LATEST_META_BYTES):
        last = max((meta.start() for meta in _META.finditer(body, 0, end)), default=-1)
        if name := _declared_in_meta(body, last):
            return name
    xml = _XML_ENCODING.match(body)
    return _readable(name_of((xml[1] or xml[2]).decode("latin-1"))) if xml else None


def _declared_in_meta(body: bytes, last: int) -> str | None:
    """The encoding of the first <meta> that declares one; the last <meta> is at `last`."""
    at = raw_end = 0
    while 0 <= (at := body.find(b"<", at)) <= last:
        if at >= PRESCAN_BYTES and at < raw_end:
            at = raw_end
        elif body.startswith(b"<!--", at):
            at = _after(body, b"-->", at + 2)
        elif tag := _TAG.match(body, at):
            attributes, at = _attributes(body, tag.end())
            kind = tag[1].lower()
            if kind == b"meta" and body[tag.start() + 1] != ord("/") and (name := _meta_encoding(attributes)):
                return name
            if kind in _RAW_TEXT and body[tag.start() + 1] != ord("/"):
                raw_end = _raw_text_end(body, kind, at)
        elif body[at + 1 : at + 2] in (b"!", b"/", b"?"):
            at = _after(body, b">", at)
        else:
            at += 1
    return None


def _after(body: bytes, mark: bytes, start: int) -> int:
    """The position behind the next `mark`, or the end of the body."""
    found = body.find(mark, start)
    return len(body) if found < 0 else found + len(mark)


def _raw_text_end(body: bytes, kind: bytes, start: int) -> int:
    end = re.compile(rb"</%b[\t\n\f\r />]" % re.escape(kind), re.IGNORECASE).search(body, start, LATEST_META_BYTES)
    return end.start() if end else len(body)


def _attributes(body: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """The attributes of the tag whose name ends at `at`, and the tag's end. A tag without an end takes all of the body."""
    attributes: dict[bytes, bytes] = {}
    while (match := _ATTRIBUTE.match(body, at)) and match[1]:
        at = match.end()
        values = match.group(2, 3, 4)
        if values == (None, None, None) and _UNFINISHED.match(body, at) and not body.startswith(b">", at):
            return {}, len(body)
        attributes.setdefault(match[1].lower(), next((value for value in values if value is not None), b""))
    return (attributes, match.end()) if match else ({}, len(body))


def _meta_encoding(attributes: dict[bytes, bytes]) -> str | None:
    if b"charset" in attributes:
        return _readable(name_of(attributes[b"charset"].decode("latin-1")))
    if attributes.get(b"http-equiv", b"").lower() != b"content-type":
        return None
    charset = _CONTENT_CHARSET.search(attributes.get(b"content", b""))
    return _readable(name_of((charset[1] or charset[2] or charset[3] or b"").decode("latin-1"))) if charset else None


def _readable(name: str | None) -> str | None:
    """The encoding of a page whose declaration was read as ASCII: never UTF-16."""
    if name is None or not name.startswith(("utf-16", "x-user")):
        return name
    return "utf-8" if name.startswith("utf-16") else "windows-1252"
