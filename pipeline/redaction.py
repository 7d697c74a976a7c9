r"""Removal of credentials and user names from text that is published, logged or shown.

Everything that a corpus folder publishes passes `redact`, before it is cut: half of a secret is still a secret. A parameter is judged
by its name, wherever it stands: in queries, paths (`;jsessionid=`), fragments, and in addresses that are themselves percent-encoded.
"""

import base64
import hashlib
import re
from enum import Enum, auto
from functools import lru_cache
from urllib.parse import unquote

REDACTED = "REDACTED"
SECRET_HEADERS = frozenset(
    {"set-cookie", "set-cookie2", "cookie", "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
     "authentication-info", "proxy-authentication-info"}
)  # fmt: skip
_ANYWHERE = re.compile(
    r"token|secret|passw|passphrase|passcode|signature|credential|(?<!ob)session(?!s$)|sess_?id|api_?key|(?:access|auth|private|share|account"
    r"|client|resource|subscription|encryption|secure?|sas|user|login|form|app|consumer|master|invite|license)_?key|jsessionid|oauth"
    r"|hmac|jwt|bearer|authorization|saml|otpauth|captcha|csrf|xsrf|magic_?link|keypair|key_pair|one_?time"
)
_WORDS = frozenset(
    {"sig", "auth", "pwd", "pass", "pw", "sess", "otp", "totp", "pin", "jwt", "mac", "ticket", "nonce", "sso", "cftoken", "cfid", "psw",
     "passwd", "awsaccesskeyid", "sign", "userpass", "usr_pwd", "verifier", "ssid", "zenid", "oscsid", "xtcsid", "apikeys", "authcode",
     "auth_code", "authid", "authuser_key", "activation", "activation_code", "reset_code", "confirmation_code", "unsubscribe_code"}
)  # fmt: skip
IDENTIFYING = frozenset(
    {"key", "sid", "s_id", "pkey", "formkey", "form_key", "authkey", "auth_key", "resourcekey", "resource_key"}
)
"""Words of names that some sites use for a secret and others for their page: the pages of two values stay two pages."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_USERINFO = re.compile(
    r"(?:(?<=:[/\\]{2})|(?<=[\s\"'<][/\\]{2})|(?<=\A[/\\]{2}))[^/?#\s\"'<>\\]*@|(?<=[(=][/\\]{2})[^/?#&\s\"'<>\\]*@"
)
"""User and password of an address. One without a scheme, after `=` or `(`, may be a parameter's value, which ends at `&`."""
_ENCODED_USERINFO = re.compile(
    r"(%(?:25)*3a(?:%(?:25)*2f){2})(?:(?!%(?:25)*(?:2f|3f|23|26))[^/?#&\s\"'<>])*?(?:@|%(?:25)*40)", re.IGNORECASE
)
_PARAMETER = re.compile(
    r"(?P<start>[?&;#!,/]|%(?:25)*(?:3f|26|3b|23|2f)|\A|(?<=[\s\"'(]))"
    r"(?P<name>[\w.$~\[\]\-+]{1,80}|(?:[\w.$~\[\]\-+]|%(?:25)*(?:[4-7][0-9a-f]|2[de]|3\d)){1,200}?)"
    r"(?P<equals>=|%(?:25)*3d)"
    r"(?P<value>(?:(?!%(?:25)*(?:26|3b|23))[^&;#\s\"'<>])*)",
    re.IGNORECASE,
)
_NESTED_START = re.compile(r"[?&#;]|%(?:25)*(?:3f|26|3b|23)", re.IGNORECASE)
_SEGMENT_END = re.compile(r"[/?]")
"""Where a parameter of a path segment ends."""
_PATH_SESSION = re.compile(r"(?<=/\()([A-Z])\([^()/?#&]+\)(?:[A-Z]\([^()/?#&]+\))*(?=\))")
"""ASP.NET's session in a path: `/(S(lit3py55t21z5v55vlm25s55))/`."""
_DONE = re.compile(rf"{REDACTED}(?:-[A-Z2-7]{{4}})?")
_JWT = re.compile(r"eyJ[\w\-]{5,}\.[\w\-]{5,}(?:\.[\w\-]*)*")
_REDDIT_USER = re.compile(
    r"(?i)((?:reddit|redd|removeddit|reveddit|unddit|ceddit|snoopsnoo)\.(?:com|it)(?:/|%(?:25)*2f)(?:u|user)(?:/|%(?:25)*2f))[\w\-]+"
)
_REDDIT_PROFILE = re.compile(r"(?i)((?:/|%(?:25)*2f)r(?:/|%(?:25)*2f)u_)[\w\-]+")
_NAME = re.compile(r"""[?&;#!,/\s"'(]([^=?&;#!,/\s"'(]{1,200}+)=""")
_ENCODED = re.compile(r"%(?:25)*(?:3d|3f|26|3b|23|2f|[4-7])", re.IGNORECASE)
"""Encoded letters, and encoded signs that begin or end a parameter's name."""
_TAG_BYTES = 5


def redact(text: str) -> str:
    """A URL, or any text with URLs in it, without passwords, keys, tokens, session ids and Reddit's user names. Idempotent.

    The values of names with IDENTIFYING words alone are replaced by a tag of 20 bits, so that the addresses of two pages stay two.

    >>> redact("https://me:pw@example.com/?api_key=abc&page=2")
    'https://example.com/?api_key=REDACTED&page=2'
    >>> redact("https://example.com/?key=0AskIS-PeTLrQ")
    'https://example.com/?key=REDACTED-BIHZ'
    """
    # Each pattern is tried only where a substring that it cannot do without is there: most addresses have none of them.
    encoded = "%" in text
    if "@" in text:
        text = _USERINFO.sub("", text)
    if encoded and ("40" in text or "@" in text):
        text = _ENCODED_USERINFO.sub(r"\1", text)
    if "eyJ" in text:
        text = _JWT.sub(REDACTED, text)
    if ("=" in text or encoded) and _has_secret_parameter(text):
        text = _PARAMETER.sub(_parameter, text)
    if "/(" in text:
        text = _PATH_SESSION.sub(rf"\1({REDACTED})", text)
    if "/u" in text or "/U" in text or encoded:
        text = _without_reddit_users(text)
    return text


def _has_secret_parameter(text: str) -> bool:
    """Whether the slow search for parameters may find one: most queries have a few known names."""
    if "%" in text and _ENCODED.search(text):
        return "=" in text or "3d" in text.lower()
    return any(map(_is_secret, _NAME.findall(f" {text}")))


def _without_reddit_users(text: str) -> str:
    lower = text.lower()
    if "u_" in lower or "edd" in lower or "unddit" in lower or "snoop" in lower:
        return _REDDIT_PROFILE.sub(r"\1", _REDDIT_USER.sub(rf"\1{REDACTED}", text))
    return text


def excerpt(text: str, most: int) -> str:
    """The first `most` characters of a text on one line, redacted before it is cut."""
    return redact(" ".join(text.split()))[:most]


def is_secret(name: str) -> bool:
    """Whether a parameter or header of this name holds a credential, by its words: `X-Amz-Signature`, `accessToken`, `sid`.

    >>> [is_secret(name) for name in ("user_token", "PHPSESSID", "monkey", "author", "keyword", "sid")]
    [True, True, False, False, False, True]
    """
    return _is_secret(name[:200])


def is_secret_header(lower_name: str) -> bool:
    """Whether a header holds a credential; its name is in lower case."""
    return lower_name in SECRET_HEADERS or (_is_secret(lower_name[:200]) and not lower_name.startswith("access-control-"))


class _Kind(Enum):
    """What the value of a name is; IDENTIFYING: a secret, or the name of a page."""

    HARMLESS = auto()
    IDENTIFYING = auto()
    SECRET = auto()


@lru_cache(maxsize=1 << 14)
def _kind(name: str) -> _Kind:
    snake = _NO_LETTERS.sub("_", _CAMEL.sub("_", name).lower()).strip("_")
    flat = _NO_LETTERS.sub("_", name.lower()).strip("_")
    words = {*snake.split("_"), *flat.split("_"), snake, flat}
    if flat not in IDENTIFYING and (
        not words.isdisjoint(_WORDS)
        or flat.replace("_", "").endswith(("sessid", "sessionid"))
        or flat.startswith("aspsessionid")
        or _ANYWHERE.search(snake)
        or _ANYWHERE.search(flat)
    ):
        return _Kind.SECRET
    return _Kind.HARMLESS if words.isdisjoint(IDENTIFYING) else _Kind.IDENTIFYING


@lru_cache(maxsize=1 << 14)
def _is_secret(name: str) -> bool:
    return _kind(name) is not _Kind.HARMLESS


def _parameter(match: re.Match[str]) -> str:
    start, name, equals, value = match.group("start", "name", "equals", "value")
    rest = ""
    if start in ("/", ";") and "?" not in match.string[: match.start()] and (end := _SEGMENT_END.search(value)):
        value, rest = value[: end.start()], _PARAMETER.sub(_parameter, value[end.start() :])
    if not value or _DONE.fullmatch(value):
        return f"{start}{name}{equals}{value}{rest}"
    plain = _decoded(name)
    if not is_secret(plain):
        return f"{start}{name}{equals}{_nested(value)}{rest}"
    tag = f"-{_tag(value)}" if _kind(plain[:200]) is _Kind.IDENTIFYING else ""
    return f"{start}{name}{equals}{REDACTED}{tag}{rest}"


def _nested(value: str) -> str:
    """The value of a harmless parameter, which may itself be an address with parameters: `?u=http://b.example/?token=1`."""
    inner = _NESTED_START.search(value)
    if not inner:
        return value
    return value[: inner.start()] + _PARAMETER.sub(_parameter, value[inner.start() :])


def _tag(value: str) -> str:
    """20 bits of a value's hash: too few to find a password by, enough to tell the pages of a site apart."""
    return base64.b32encode(hashlib.blake2b(unquote(value).encode("utf-8", "replace"), digest_size=_TAG_BYTES).digest())[
        :4
    ].decode()


def _decoded(name: str) -> str:
    """A name without its percent-encoding, however often it was encoded."""
    for _ in range(4):
        if "%" not in name:
            break
        name = unquote(name)
    return name
