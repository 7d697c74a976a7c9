"""Wrappers: addresses of caches, archives and redirecting sites that hold the address of the page they show."""

import re
from collections.abc import Callable
from functools import lru_cache, partial
from urllib.parse import unquote

from pipeline.urls import fetch_url, host_of

LONGEST_CHAIN = 8
"""Wrappers within wrappers that are resolved."""
_GOOGLE = re.compile(r"(?:[a-z0-9-]+\.)*google\.(?:com|[a-z]{2,3})(?:\.[a-z]{2})?")
_SUBDOMAIN = r"(?:[a-z0-9-]+\.)*"
_ABSOLUTE = re.compile(r"https?:/{0,2}(?=[^/])", re.IGNORECASE)
_CAPTURE = re.compile(
    r"/(?:[\w.-]+/)??(?:\d{1,14}(?:[a-z]{2}_|\*)?|\*|newest|oldest|save|o/\w+|_embed)?/?(https?:/.+|www\..+)", re.IGNORECASE
)
_TIMED = re.compile(r"/(?:[\w.-]+/)*?\d{4,14}(?:[a-z]{2}_|\*)?/([^/]+\.[^/]+.*)")
_AMP_PATH = re.compile(r"/(s/)?([^/]+\..*)")
_AMP_CACHE_PATH = re.compile(r"/(?:c|v|wp)(/.*)")
_AMP_PARAMETER = re.compile(r"(?:amp_\w+|usqp|aoh|csi|referrer)(?:=.*)?")
_DEFENDED = re.compile(r"/v3/__(https?:/+[^/].*?)__;.*", re.IGNORECASE)
_TRANSLATED = ".translate.goog"
_CACHED = re.compile(r"cache:(?:[\w-]{8,16}:)?(?P<page>[^\s+]+)")

_LABELS = frozenset(
    [
        *("google", "googleusercontent", "ampproject", "bing-amp", "bing", "archive", "vefsafn", "arquivo", "mementoweb"),
        *("nationalarchives", "loc", "bibalex", "webcitation", "reddit", "facebook", "instagram", "messenger", "threads"),
        *("youtube", "umblr", "duckduckgo", "yahoo", "steamcommunity", "vk", "linkedin", "slack-redir", "disq", "exit"),
        *("getpocket", "redirectingat", "viglink", "skimresources", "outlook", "href", "anonym", "nullrefer", "dereferer"),
        *("hiderefer", "outline", "12ft", "jina", "translate", "googleweblight", "urldefense"),
    ]
)
"""Each wrapper's host has one of these labels: matching every host with every pattern would cost a tenth of the intake."""

Unwrap = Callable[[str, str | None], str | None]
"""From the path and the query of a wrapper's address to the page's address, with or without a scheme; None where it has none."""


def wraps(host: str) -> bool:
    """Whether the host has addresses that wrap pages."""
    return _wrapper(host) is not None


def resolve(url: str) -> str:
    """The address of the page that a `fetch_url` wraps, through wrappers of wrappers; the URL itself where it wraps none.

    >>> resolve("https://www.google.com/url?sa=t&q=http%3A%2F%2Fexample.com%2Fa%3Fb%3D1&usg=x")
    'http://example.com/a?b=1'
    >>> resolve("http://web.archive.org/web/20130101000000/http://example.com/a?b=1")
    'http://example.com/a?b=1'
    """
    for _ in range(LONGEST_CHAIN):
        inner = _inner(url)
        if inner is None:
            break
        url = inner
    return url


def _inner(url: str) -> str | None:
    unwrap = _wrapper(host_of(url))
    if unwrap is None:
        return None
    path, mark, query = url.split("/", 3)[3].partition("?")
    inner = unwrap(f"/{path}", query if mark else None)
    if not inner:
        return None
    try:
        return fetch_url(_with_scheme(inner))
    except ValueError:
        return None


def _with_scheme(address: str) -> str:
    """The address with its scheme and both slashes: archives and proxies merge slashes, or leave out the scheme."""
    scheme = _ABSOLUTE.match(address)
    if scheme:
        return f"{scheme.group().split(':')[0]}://{address[scheme.end() :]}"
    return f"http://{address.removeprefix('//')}"


@lru_cache(maxsize=1 << 16)
def _wrapper(host: str) -> Unwrap | None:
    """How the host wraps pages, or None where it is no wrapper."""
    name = host.rstrip(".")
    if _LABELS.isdisjoint(name.split(".")):
        return None
    if _GOOGLE.fullmatch(name):
        return _google
    if name.endswith(_TRANSLATED):
        return partial(_translated, name.removesuffix(_TRANSLATED))
    return next((unwrap for pattern, unwrap in _WRAPPERS if pattern.fullmatch(name)), None)


def _parameter(query: str | None, *names: str) -> str | None:
    """The decoded value of the first of the names that the query gives an absolute http or https URL."""
    values: dict[str, str] = {}
    for pair in (query or "").split("&"):
        name, _, value = pair.partition("=")
        values.setdefault(name.lower(), unquote(value))
    return next((values[name] for name in names if _ABSOLUTE.match(values.get(name, ""))), None)


def _by_parameter(path: str, *names: str) -> Unwrap:
    """The unwrapping of addresses whose path matches, and whose query names the page."""
    pattern = re.compile(path)
    return lambda path, query: _parameter(query, *names) if pattern.fullmatch(path) else None


def _google(path: str, query: str | None) -> str | None:
    if path.startswith("/amp/"):
        return _amp(path.removeprefix("/amp"), query)
    if path == "/imgres":
        return _parameter(query, "imgrefurl")
    if path.startswith("/translate"):
        return _parameter(query, "u")
    return _parameter(query, "q", "url", "u") if path in ("/url", "/news/url", "/gwt/x", "/gwt/n", "/m/url") else None


def _amp_cache(path: str, query: str | None) -> str | None:
    """The page of an AMP cache, whose path begins with the kind of what it holds: pages are c, v or wp."""
    match = _AMP_CACHE_PATH.fullmatch(path)
    return _amp(match[1], query) if match else None


def _amp(path: str, query: str | None) -> str | None:
    """The page of an AMP viewer: `s/` is https, and the parameters of the viewer are not the page's."""
    match = _AMP_PATH.fullmatch(path)
    if not match:
        return None
    kept = [pair for pair in (query or "").split("&") if pair and not _AMP_PARAMETER.fullmatch(pair)]
    return f"http{'s' if match[1] else ''}://{_with_decoded_host(match[2])}" + (f"?{'&'.join(kept)}" if kept else "")


def _with_decoded_host(address: str) -> str:
    """An address without a scheme, its host decoded."""
    host, slash, rest = address.partition("/")
    return f"{unquote(host)}{slash}{rest}"


def _archive(path: str, query: str | None) -> str | None:
    """The page of a web archive: its address is the end of the archive's, as it is or percent-encoded."""
    tail = re.sub(r"(?i)(https?)%3A(?:%2F|/)+", r"\1://", path)
    match = _CAPTURE.fullmatch(tail) or _TIMED.fullmatch(tail)
    if not match:
        return None
    address = unquote(match[1]) if tail != path else match[1]
    return address if query is None else f"{address}?{query}"


def _wayback(path: str, query: str | None) -> str | None:
    """The page of the Wayback Machine; other folders of archive.org hold items of its own."""
    return _archive(path, query) if path.startswith(("/web/", "/save/", "/http")) else None


def _translated(label: str, path: str, query: str | None) -> str | None:
    """The page that Google translates under a host of its own: `a--b-example-com` stands for a-b.example.com."""
    host = "-".join(part.replace("-", ".") for part in label.split("--"))
    pairs = (query or "").split("&")
    kept = "&".join(pair for pair in pairs if pair and not pair.startswith("_x_tr_"))
    scheme = "http" if "_x_tr_sch=http" in pairs else "https"
    return f"{scheme}://{host}{path}?{kept}" if kept else f"{scheme}://{host}{path}"


def _defended(path: str, query: str | None) -> str | None:
    """The page of a link in a mail that Proofpoint rewrote; its second version has `-` for `%` and `_` for `/`.

    The third has the address as it is, but for characters that it replaced by `*`.
    """
    if (match := _DEFENDED.fullmatch(path)) and "*" not in match[1]:
        return match[1] if query is None else None
    value = next((pair[2:] for pair in (query or "").split("&") if pair.startswith("u=")), "")
    address = unquote(value.replace("-", "%").replace("_", "/") if path == "/v2/url" else value)
    return address if path in ("/v1/url", "/v2/url") and _ABSOLUTE.match(address) else None


def _whole_query(path: str, query: str | None) -> str | None:
    """The page of a referrer remover: its address is the query."""
    address = query or ""
    if re.match(r"(?i)https?%3A", address):
        address = unquote(address)
    return address if _ABSOLUTE.match(address) else None


def _after_slash(path: str, query: str | None) -> str | None:
    """The page of a reader: its absolute address follows the first slash."""
    address = unquote(path[1:]) if re.match(r"(?i)/https?%3A", path) else path[1:]
    if not _ABSOLUTE.match(address):
        return None
    return address if query is None else f"{address}?{query}"


def _web_cache(path: str, query: str | None) -> str | None:
    """The page of Google's cache: `q=cache:ID:ADDRESS+words`."""
    value = next((pair[2:] for pair in (query or "").split("&") if pair.startswith("q=")), "")
    match = _CACHED.match(unquote(value))
    return match["page"] if match else None


def _yahoo(path: str, query: str | None) -> str | None:
    """The page of a Yahoo search result: `/…/RU=ADDRESS/RK=…`."""
    match = re.search(r"/RU=([^/]+)", path)
    return unquote(match[1]) if match else None


_WRAPPERS: tuple[tuple[re.Pattern[str], Unwrap], ...] = tuple(
    (re.compile(hosts), unwrap)
    for hosts, unwrap in (
        (rf"{_SUBDOMAIN}cdn\.ampproject\.org|{_SUBDOMAIN}bing-amp\.com", _amp_cache),
        (r"(?:www\.)?bing\.com", lambda path, query: _amp(path[4:], query) if path.startswith("/amp/") else None),
        (r"(?:www\.|web\.|wayback\.|liveweb\.|web-beta\.|classic-web\.)?archive\.org|wayback\.vefsafn\.is", _wayback),
        (r"(?:www\.)?archive\.(?:is|today|ph|li|fo|vn|md)|(?:www\.)?arquivo\.pt|timetravel\.mementoweb\.org", _archive),
        (
            r"(?:webarchive|archive)\.(?:nationalarchives\.gov\.uk|loc\.gov)|webarchive\.loc\.gov|web\.archive\.bibalex\.org",
            _archive,
        ),
        (r"(?:www\.)?webcitation\.org", _by_parameter(r"/query(?:\.php)?", "url")),
        (r"(?:www\.)?googleweblight\.com", _by_parameter(r"/(?:i|fp)?", "lite_url", "u")),
        (r"urldefense(?:\.proofpoint)?\.com", _defended),
        (r"webcache\.googleusercontent\.com", _web_cache),
        (r"translate\.googleusercontent\.com", _by_parameter(r"/translate(?:_\w+)?", "u")),
        (r"out\.reddit\.com", _by_parameter(r"/.*", "url")),
        (r"(?:l|lm)\.(?:facebook|instagram|messenger|threads)\.com", _by_parameter(r"/.*", "u")),
        (rf"{_SUBDOMAIN}facebook\.com", _by_parameter(r"/(?:l\.php|sharer\.php|sharer/sharer\.php|flx/warn/?)", "u")),
        (rf"{_SUBDOMAIN}youtube\.com", _by_parameter(r"/redirect", "q", "url")),
        (r"t\.umblr\.com", _by_parameter(r"/redirect", "z")),
        (r"(?:www\.|html\.|lite\.)?duckduckgo\.com", _by_parameter(r"/l/?", "uddg")),
        (r"r\.search\.yahoo\.com", _yahoo),
        (r"(?:www\.)?steamcommunity\.com", _by_parameter(r"/linkfilter/?", "url", "u")),
        (r"(?:m\.|away\.)?vk\.com", _by_parameter(r"/away(?:\.php)?", "to")),
        (r"(?:www\.)?linkedin\.com", _by_parameter(r"/redir/(?:redirect|general-malware-page)|/safety/go", "url")),
        (r"slack-redir\.net|disq\.us|exit\.sc|(?:www\.)?getpocket\.com", _by_parameter(r"/(?:link|url|redirect)?", "url")),
        (r"go\.redirectingat\.com|redirect\.viglink\.com|go\.skimresources\.com", _by_parameter(r"/.*", "url", "u")),
        (rf"{_SUBDOMAIN}safelinks\.protection\.outlook\.com", _by_parameter(r"/.*", "url")),
        (r"(?:www\.)?(?:href\.li|anonym\.to|nullrefer\.com|dereferer\.org|hiderefer\.com)", _whole_query),
        (r"(?:www\.)?(?:outline\.com|12ft\.io|r\.jina\.ai)", _after_slash),
    )
)
