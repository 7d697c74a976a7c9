"""Removal of credentials from text that is stored, logged or shown."""

import re

SECRET_HEADERS = frozenset(
    {"set-cookie", "set-cookie2", "cookie", "authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate",
     "authentication-info", "proxy-authentication-info"}
)  # fmt: skip
SECRET_PARAMETERS = re.compile(
    r"(?i)([?&;](?:[a-z0-9_.\-]*(?:token|secret|passw(?:or)?d|api_?key|signature|credential)[a-z0-9_.\-]*"
    r"|key|sig|auth|session|sid|pwd)=)[^&;#\s]*"
)
_USERINFO = re.compile(r"(?<=://)[^/?#\s@]*@")


def redact(text: str) -> str:
    """A URL, or any line with URLs in it, without passwords and keys.

    >>> redact("https://me:pw@example.com/?api_key=abc&page=2")
    'https://example.com/?api_key=REDACTED&page=2'
    """
    if "@" not in text and "=" not in text:
        return text
    return SECRET_PARAMETERS.sub(r"\1REDACTED", _USERINFO.sub("", text))
