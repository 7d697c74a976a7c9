"""Two keys of a URL: the address to fetch, and the key that all addresses of one page share.

No library alone fits: w3lib keeps tracking parameters, courlan removes a space inside a host (which gives another host).
Both keep user names and passwords.
"""

import ipaddress
import re
from functools import lru_cache
from urllib.parse import SplitResult, unquote

import idna
import tld

from pipeline.redaction import redact

MAX_CHARACTERS = 8192
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_UNRESERVED = r"A-Za-z0-9._~\-"
_PATH = _UNRESERVED + "!$&'()*+,;=:@/"
_QUERY = _PATH + "?"
_SPLIT = re.compile(r"(?i)(https?)://([^/?#]*)([^?#]*)(?:\?([^#]*))?(?:#(.*))?", re.DOTALL)
_NORMAL = re.compile(rf"(https?)://([a-z0-9.-]+)(/[{_PATH}]*)(?:\?([{_QUERY}]*))?(?:#(?!!).*)?", re.DOTALL)
"""A URL that normalisation leaves unchanged, except for its host, dot segments and a fragment that names no page."""
_DOT_SEGMENT = re.compile(r"/\.{1,2}(?:/|$)")
_IN_PATH = re.compile(rf"%([0-9A-Fa-f]{{2}})?|[^{_PATH}%]+")
_IN_QUERY = re.compile(rf"%([0-9A-Fa-f]{{2}})?|[^{_QUERY}%]+")
_IS_UNRESERVED = re.compile(f"[{_UNRESERVED}]")
_PLAIN_SUFFIXES = frozenset(["com", "net", "org"])
"""The public suffix list has no longer suffix under these. Most hosts end in one, and a lookup takes 30 us."""
_BLANKS = re.compile(r"[\t\r\n]")
_EDGES = "".join(map(chr, range(0x21)))
"""Characters that are no part of a URL at its ends (WHATWG URL): C0 controls and the space."""
_BEFORE_QUERY = re.compile(r"[^?#]*")
_NO_HOST_CHARACTER = re.compile(
    r"(?P<space>[ \xa0\u1680\u2000-\u200a\u202f\u205f\u3000])|(?P<control>[\0-\x1f\x7f-\x9f\u2028\u2029])"
    r"|(?P<bidi>[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])"
)
_NOT_IN_FRAGMENT_QUERY = re.compile(r"[\0-\x20#%&+\x7f-\U0010ffff]")
_ZERO_GROUPS = re.compile(r"(?:^|:)0(?::0)+(?=:|$)")
_LABEL = re.compile(r"[a-z0-9_-]{1,63}")
"""RFC 952 forbids underscores, and hyphens at either end, yet such names resolve and are linked to."""
_PLAIN_HOST = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*\.?")
"""A host that is in its final form, unless it has labels in punycode."""
_MOBILE = re.compile(r"(?:www\d{0,3}|m|mobile|amp)\.")
_AMP_OR_SLASH = re.compile(r"(?:/+|(?<=[^/])/+amp|\.amp|;jsessionid=[^/;]*)$", re.IGNORECASE)
_TRACKING = re.compile(
    r"(?:utm_\w*|(?:pk|piwik)_(?:campaign|kwd|keyword|source|medium|content|cid)|(?:mtm|hsa)_\w+"
    r"|(?:fb|g|d|ms|y|ym|tw|tt)clid|gclsrc|[gw]braid|igshid|igsh|mc_[ce]id|mkt_tok|_hs(?:enc|mi)|__hs(?:tc|sc|fp)|hsctatracking"
    r"|vero_(?:conv|id)|oly_(?:anon|enc)_id|wickedid|rb_clickid|s_cid|icid|ncid|ocid|cmpid|smid|ref_src|ref_url|spm|scm|share_id"
    r"|xtor|at_(?:medium|campaign|custom\d|link_\w+)|ns_(?:mchannel|source|campaign|linkname|fee)|wt\.mc_id|wt_mc"
    r"|__twitter_impression|amp|amp_js_v|usqp|jsessionid|phpsessid|aspsessionid\w*)(?:=.*)?|partner=rss\w*|outputtype=amp",
    re.IGNORECASE | re.DOTALL,
)
"""`name=value` pairs that tell where a reader came from, not which page it is."""


def fetch_url(url: str) -> str:
    """The address to fetch: RFC 3986 syntax normalisation, IDNA host, no user name or password, no fragment.

    Backslashes are slashes, as in browsers (WHATWG URL). A fragment that begins with `!` names a page: it moves to the query, as
    Google's AJAX crawling scheme has it.

    >>> fetch_url("HTTP://user:secret@Bücher.example:80/a/../b%7e?q=ä#top")
    'http://xn--bcher-kva.example/b~?q=%C3%A4'

    Raises ValueError unless the URL is an absolute http or https URL with a well-formed host and port.
    """
    return keys(url)[0]


def dedup_key(url: str) -> str:
    """The key that all spellings of one page's address share. It is a URL, and its own key.

    It ignores: scheme; the prefixes www. m. mobile. amp.; default ports; trailing slashes and /amp; the order of the query;
    tracking and session parameters; fragment. It holds no credential: addresses that differ in one alone are one page
    (`pipeline.redaction`).

    >>> dedup_key("http://m.example.com:80/a/?utm_source=x&b=2&a=1#c")
    'https://example.com/a?a=1&b=2'

    Raises ValueError as `fetch_url` does.
    """
    return keys(url)[1]


def keys(url: str) -> tuple[str, str]:
    """`fetch_url` and `dedup_key` of one URL, at the cost of one. Raises ValueError as they do."""
    fetched, key, _ = keys_with_authority(url)
    return fetched, key


def keys_with_authority(url: str) -> tuple[str, str, str]:
    """`keys` of a URL, and the authority of its `fetch_url`, for `hosts_of`. Raises ValueError as they do."""
    scheme, host, path, query = _split(url)
    fetched = f"{scheme}://{host}{path}" if query is None else f"{scheme}://{host}{path}?{query}"
    shown = redact(fetched)
    if shown != fetched:
        path, _, rest = shown[len(scheme) + 3 + len(host) :].partition("?")
        query = None if query is None else rest
    key = f"https://{_folded_host(host)}{_folded_path(path)}"
    if query is None:
        return fetched, key, host
    kept = [pair for pair in query.split("&") if pair and not _TRACKING.fullmatch(pair)]
    return fetched, f"{key}?{'&'.join(sorted(kept))}" if kept else key, host


def hosts_of(authority: str) -> tuple[str, str]:
    """The hosts of the `fetch_url` and of the `dedup_key` whose `fetch_url` has this authority."""
    return _host_of(authority), _host_of(_folded_host(authority))


def host_of(url: str) -> str:
    """The host of a `fetch_url` or `dedup_key`, without its port."""
    return _host_of(url.split("/", 3)[2])


def canonical_host(name: str) -> str:
    """The host that the dedup keys of a site's pages have: in ASCII, without www. and the like. Raises ValueError.

    >>> canonical_host("WWW.Bücher.example.")
    'xn--bcher-kva.example'
    """
    return host_of(dedup_key(f"http://{name}/"))


@lru_cache(maxsize=1 << 16)
def has_public_suffix(host: str) -> bool:
    """Whether a host is under a suffix of the public suffix list that registries give out, or is an IP address."""
    if host.startswith("[") or host.replace(".", "").isdigit():
        return True
    first, _, last = host.rstrip(".").rpartition(".")
    if first and last in _PLAIN_SUFFIXES:
        return True
    name = _unicode(host.rstrip("."))
    return tld.get_tld(SplitResult("http", name, "", "", ""), fail_silently=True, search_private=False) is not None


@lru_cache(maxsize=1 << 16)
def domain_of(host: str) -> str:
    """The registrable domain (`bbc.co.uk` of `news.bbc.co.uk`) by the public suffix list that `tld` bundles.

    An IP address, or a name under no public suffix, is its own domain.
    """
    name = host.rstrip(".")
    first, _, last = name.rpartition(".")
    if first and last in _PLAIN_SUFFIXES:
        return f"{first.rpartition('.')[2]}.{last}"
    domain = tld.get_fld(SplitResult("http", _unicode(name), "", "", ""), fail_silently=True, search_private=False)
    if not isinstance(domain, str) or not domain:
        return name
    return ".".join(name.split(".")[-1 - domain.count(".") :])  # the list is in Unicode, the host in ASCII


def _split(url: str) -> tuple[str, str, str, str | None]:
    """Scheme, host with port, path and query, each normalised."""
    if len(url) > MAX_CHARACTERS:
        raise ValueError(f"{_shown(url)}: longer than {MAX_CHARACTERS} characters")
    normal = _NORMAL.fullmatch(url)
    if normal and "/." not in normal[3]:
        scheme, host, path, query = normal.groups()
        return scheme, _host(host), path, query
    text = _BLANKS.sub("", url.strip(_EDGES))
    if "\\" in text:
        text = _BEFORE_QUERY.sub(lambda match: match.group().replace("\\", "/"), text, count=1)
    parts = _SPLIT.fullmatch(text)
    if not parts:
        raise ValueError(f"{_shown(url)}: not an absolute http or https URL")
    scheme, authority, path, query, fragment = parts.groups()
    scheme = scheme.lower()
    host, port = _without_port(authority.rsplit("@", 1)[-1])
    port = _port(port, scheme)
    path = _without_dots(_encoded(_IN_PATH, path)) if path else "/"
    if fragment and fragment.startswith("!") and fragment not in ("!", "!/"):
        query = f"{query}&{_page_parameter(fragment)}" if query else _page_parameter(fragment)
    return scheme, _host(host) + port, path, None if query is None else _encoded(_IN_QUERY, query)


def _page_parameter(fragment: str) -> str:
    """The query parameter of a page that a fragment names, by Google's AJAX crawling scheme (2009 to 2015).

    >>> _page_parameter("!/user?a=1&b=2")
    '_escaped_fragment_=/user?a=1%26b=2'
    """
    return f"_escaped_fragment_={_NOT_IN_FRAGMENT_QUERY.sub(_encode_character, fragment[1:])}"


def _encode_character(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match.group().encode("utf-8", "replace"))


@lru_cache(maxsize=1 << 16)
def _host_of(authority: str) -> str:
    return _without_port(authority)[0]


def _without_port(authority: str) -> tuple[str, str]:
    """Host and port. The colons of an IPv6 address in brackets are part of the host."""
    if authority.endswith("]"):
        return authority, ""
    host, colon, port = authority.rpartition(":")
    return (host, port) if colon else (authority, "")


def _port(port: str, scheme: str) -> str:
    digits = port.lstrip("0") if port.isascii() and port.isdigit() else port
    if not port or digits == _DEFAULT_PORTS[scheme]:
        return ""
    if not digits.isdigit() or len(digits) > 5 or int(digits) > 65535:
        raise ValueError("the port is not a number up to 65535")  # the text may be part of a password: not shown
    return f":{digits}"


@lru_cache(maxsize=1 << 16)
def _host(host: str) -> str:
    """The host in lower case and IDNA, each label checked. Raises ValueError."""
    if _PLAIN_HOST.fullmatch(host) and len(host) <= 253 and "xn--" not in host:
        return host
    if host.startswith("["):
        return _bracketed(host)
    name = unquote(host, errors="strict") if "%" in host else host
    if refused := _NO_HOST_CHARACTER.search(_unicode(name)):
        raise ValueError(f"{host[:80]!a}: a {refused.lastgroup} character in the host")
    if not name.isascii():
        name = _to_ascii(name)
    name = name.lower()
    labels = name.removesuffix(".").split(".")
    if len(name) > 253 or not all(map(_LABEL.fullmatch, labels)):
        raise ValueError(f"{host[:80]!r}: not a host name")
    return name


def _bracketed(host: str) -> str:
    """The IPv6 address as RFC 5952 writes it, without dotted quads: Python's own text of some addresses differs by version."""
    if "%" in host:
        raise ValueError(f"{host[:80]!a}: an IPv6 zone, which has a meaning on one machine alone")
    try:
        packed = ipaddress.IPv6Address(host[1:].removesuffix("]")).packed
    except ipaddress.AddressValueError as error:
        raise ValueError(f"{host[:80]!a}: not an IPv6 address") from error
    text = ":".join(f"{int.from_bytes(packed[i : i + 2]):x}" for i in range(0, 16, 2))
    zeros = max(_ZERO_GROUPS.finditer(text), key=lambda match: len(match.group()), default=None)
    return f"[{text[: zeros.start()]}::{text[zeros.end() :].removeprefix(':')}]" if zeros else f"[{text}]"


def _unicode(name: str) -> str:
    """The name with its `xn--` labels decoded; a label that is no punycode stays."""
    return ".".join(map(_unicode_label, name.split("."))) if "xn--" in name.lower() else name


def _unicode_label(label: str) -> str:
    if label[:4].lower() != "xn--":
        return label
    try:
        return label[4:].encode().decode("punycode")
    except (UnicodeError, ValueError, OverflowError):
        return label


def _to_ascii(name: str) -> str:
    """The name in IDNA 2008. Names outside it that registries gave out (hearts, snowmen) are encoded as browsers do."""
    try:
        return idna.encode(name, uts46=True).decode("ascii")
    except idna.IDNABidiError as error:
        raise ValueError(f"{name[:80]!a}: letters of both directions in one label of the host") from error
    except (idna.IDNAError, UnicodeError):
        pass
    try:
        labels = idna.uts46_remap(name, std3_rules=False).split(".")
    except (idna.IDNAError, UnicodeError) as error:
        raise ValueError(f"{name[:80]!r}: not an international host name") from error
    return ".".join(label if label.isascii() else f"xn--{label.encode('punycode').decode()}" for label in labels)


def _shown(url: str) -> str:
    """A URL for a message, without user name, password and query: they may be secret."""
    plain = re.split("[?#]", url[:MAX_CHARACTERS].replace("\\", "/"), maxsplit=1)[0]
    return repr(redact(re.sub(r"^([^/:@]*:)?(/*)[^/]*@", r"\1\2", plain.lstrip(_EDGES)))[:80])


def _encoded(outside: re.Pattern[str], text: str) -> str:
    """The text with percent triplets in upper case, or decoded where unreserved, and all forbidden characters encoded."""
    return outside.sub(_encode, text)


def _encode(match: re.Match[str]) -> str:
    text, digits = match.group(), match.group(1)
    if digits:
        character = chr(int(digits, 16))
        return character if _IS_UNRESERVED.match(character) else text.upper()
    if text == "%":
        return "%25"
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "replace"))


def _without_dots(path: str) -> str:
    """The path without dot segments (RFC 3986, 5.2.4); it becomes absolute."""
    if not path.startswith("/"):
        path = f"/{path}"
    if not _DOT_SEGMENT.search(path):
        return path
    kept: list[str] = []
    *segments, last = path[1:].split("/")
    for segment in segments:
        if segment == "..":
            kept = kept[:-1]
        elif segment != ".":
            kept.append(segment)
    if last == "..":
        kept = kept[:-1]
    kept.append("" if last in (".", "..") else last)
    return "/" + "/".join(kept)


@lru_cache(maxsize=1 << 16)
def _folded_host(authority: str) -> str:
    host, port = _without_port(authority)
    host = host.removesuffix(".")
    registrable = domain_of(host)
    if registrable == host and not has_public_suffix(host):
        registrable = ".".join(host.split(".")[-2:])  # the list's rule for names that it does not have
    while host != registrable and (prefix := _MOBILE.match(host)):
        host = host[prefix.end() :]
    return host if port in ("", "80", "443") else f"{host}:{port}"


def _folded_path(path: str) -> str:
    if ";" not in path and path[-3:].lower() != "amp":
        if path[-1:] != "/":
            return path or "/"
        stripped = path.rstrip("/")
        if stripped[-3:].lower() != "amp" and "/." not in stripped:
            return stripped or "/"
    while len(path) > 1 and (end := _AMP_OR_SLASH.search(path)):
        path = _without_dots(path[: end.start()])  # "/a/..amp" ends in a dot segment once ".amp" is gone
    return path or "/"
