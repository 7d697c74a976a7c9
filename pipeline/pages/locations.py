"""References to other pages, as headers and pages spell them, made into URLs by the WHATWG URL standard."""

import re
from urllib.parse import quote, urljoin

BLANKS = "".join(map(chr, range(33)))
"""Space and ASCII controls, which the standard removes around a reference."""
_LINE_ENDS = re.compile(r"[\t\r\n]")
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]+")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_ADDRESS = re.compile(r"([^?#]*)([?#]?)(.*)", re.DOTALL)


def decoded(location: str) -> str:
    """A Location as text: its bytes beyond ASCII are UTF-8, else percent-encoded as sent."""
    try:
        data = location.encode("latin-1")
    except UnicodeError:
        return location
    try:
        return data.decode("utf-8")
    except UnicodeError:
        return _BEYOND_ASCII.sub(lambda match: quote(match[0], encoding="latin-1"), location)


def resolved(base: str, location: str) -> str:
    r"""`location` relative to `base`, an http or https URL, by the WHATWG URL standard.

    `\` is `/`, any number of either may precede the host, and line ends and tabs are removed.

    >>> resolved("http://a.example/b/c", "\\d\\e?f\\g"), resolved("http://a.example/b/c", "///d.example/e")
    ('http://a.example/d/e?f\\g', 'http://d.example/e')
    """
    base_scheme = base.partition(":")[0]
    address, mark, rest = _ADDRESS.fullmatch(_LINE_ENDS.sub("", location)).groups()  # type: ignore[union-attr]
    scheme, path = base_scheme, address
    if match := _SCHEME.match(address):
        scheme, path = match[1].lower(), address[match.end() :]
        if scheme not in ("http", "https"):
            return location
    path = path.replace("\\", "/")
    if path.startswith("//") or scheme != base_scheme:
        return f"{scheme}://{path.lstrip('/')}{mark}{rest}"
    if not path:
        return f"{base.partition('#')[0].partition('?')[0] if mark == '?' else base.partition('#')[0]}{mark}{rest}"
    path = f"./{path}" if ":" in path.partition("/")[0] else path  # urljoin would take it for a URL with a scheme
    return f"{urljoin(base, path)}{mark}{rest}"  # urljoin would remove an empty query
