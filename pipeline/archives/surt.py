"""SURT keys: the sort-friendly form of URLs by which web archives index captures.

The rules are those of the Internet Archive's key maker, by which Common Crawl's indexes and CDX files of `cdxj-indexer` are sorted.
"""

import re
from urllib.parse import quote_from_bytes, unquote_to_bytes

_URL = re.compile(r"(?i)(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?", re.DOTALL)
_UNESCAPED = "!\"$&'()*+,-./:;<=>?@[\\]^_`{|}~"
_WWW = re.compile(rb"www\d*\.")
_PORTS = {"http": b"80", "https": b"443"}
_PATH_SESSIONS = (
    re.compile(rb"(.*/)(?:\((?:[a-z]\([0-9a-z]{24}\))+\)/)([^?]+\.aspx.*)", re.DOTALL),
    re.compile(rb"(.*/)(?:\([0-9a-z]{24}\)/)([^?]+\.aspx.*)", re.DOTALL),
)
_QUERY_SESSIONS = tuple(
    re.compile(rb"(?i)(.*)(?:" + name + rb")(?:&(.*))?", re.DOTALL)
    for name in (
        rb"jsessionid=[0-9a-z]{32}",
        rb"phpsessid=[0-9a-z]{32}",
        rb"sid=[0-9a-z]{32}",
        rb"aspsessionid[a-z]{8}=[a-z]{24}",
        rb"cfid=[^&]+&cftoken=[^&]+",
    )
)


def surt_key(url: str) -> str:
    """The SURT key of an http or https URL. Raises ValueError for another.

    >>> surt_key("http://www.Example.com:80/A/b/?z=1&a=2#top"), surt_key("https://example.com")
    ('com,example)/a/b?a=2&z=1', 'com,example)/')
    """
    match = _URL.match(url)
    if not match:
        raise ValueError(f"{url[:80]!r}: not an http or https URL")
    scheme, authority, path, query = match.groups()
    host, port = _host_and_port(authority.rpartition("@")[2].encode(), scheme.lower())
    key = b",".join(reversed(host.split(b"."))) + (b":" + port if port else b"") + b")" + _path(path.encode())
    if query and (shown := _query(query.encode())):
        key += b"?" + shown
    return key.decode("ascii", "replace")


def _host_and_port(authority: bytes, scheme: str) -> tuple[bytes, bytes]:
    host, colon, port = authority.rpartition(b":")
    if not colon or not re.fullmatch(rb"\d*", port):
        host, port = authority, b""
    host = _unescape(host).lower().replace(b"..", b".").strip(b".")
    host = _escape(host)
    if match := _WWW.match(host):
        host = host[match.end() :]
    port = port.lstrip(b"0")
    return host, b"" if port == _PORTS[scheme] else port


def _path(path: bytes) -> bytes:
    """The path in lower case, without dot segments, empty segments, session ids and a final slash."""
    segments: list[bytes] = []
    parts = _unescape(path).split(b"/")[1:]
    for part in parts:
        if part == b"..":
            segments = segments[:-1] if segments else [part]
        elif part != b".":
            segments.append(part)
    inner = b"/".join(part for part in segments[:-1] if part)
    shown = b"/" + (inner + b"/" if inner else b"") + (segments[-1] if segments else b"")
    shown = _escape(shown).lower()
    for pattern in _PATH_SESSIONS:
        if match := pattern.fullmatch(shown):
            shown = match[1] + match[2]
    return shown[:-1] if len(shown) > 1 and shown.endswith(b"/") else shown


def _query(query: bytes) -> bytes:
    """The query in lower case, without session ids, its parameters sorted."""
    query = _escape(_unescape(query))
    for pattern in _QUERY_SESSIONS:
        if match := pattern.fullmatch(query):
            query = match[1] + (match[2] or b"")
    query = query.lower()
    if len(query) <= 1:
        return query
    return b"&".join(b"=".join(pair) for pair in sorted(tuple(pair.split(b"=", 1)) for pair in query.split(b"&")))


def _unescape(data: bytes) -> bytes:
    """The data with its percent-escapes decoded, as often as there are any."""
    while (decoded := unquote_to_bytes(data)) != data:
        data = decoded
    return data


def _escape(data: bytes) -> bytes:
    return quote_from_bytes(data, safe=_UNESCAPED).encode("ascii")
