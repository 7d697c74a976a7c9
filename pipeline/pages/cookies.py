"""Cookies of one chain of redirects: some sites redirect to the same page until a cookie comes back."""

import re
from dataclasses import dataclass
from typing import Self

from pipeline.pages.frontier import host_key
from pipeline.pages.http_response import HttpResponse

MAX_COOKIES = 20
_COOKIE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]{1,256})=([\x21-\x3a\x3c-\x7e]{0,4096})")
_EXPIRED = re.compile(r";[ \t]*max-age[ \t]*=[ \t]*(?:0|-)", re.IGNORECASE)
_SECURE = re.compile(r";[ \t]*secure[ \t]*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ChainCookies:
    """URLs requested in a chain, and the cookies that their responses set: (scheme, host, name, value).

    They are sent only after a redirect back to a URL of the chain, and only to the host that set them. They end with the chain.
    """

    urls: frozenset[str] = frozenset()
    jar: tuple[tuple[str, str, str, str], ...] = ()
    sending: bool = False

    def after(self, response: HttpResponse, target: str) -> Self:
        """The cookies after a redirect to `target`."""
        urls = self.urls | {response.url}
        jar = {item[:3]: item for item in self.jar}
        scheme, host = response.url.partition(":")[0], host_key(response.url)
        for name, value in response.headers:
            match = _COOKIE.match(value) if name.lower() == "set-cookie" else None
            if match:
                key = ("https" if _SECURE.search(value) else scheme, host, match[1])
                jar.pop(key, None)
                if not _EXPIRED.search(value) and len(jar) < MAX_COOKIES:
                    jar[key] = (*key, match[2])
        return type(self)(urls, tuple(jar.values()), self.sending or target in urls)

    def header(self, url: str) -> str:
        """The Cookie header for a request; empty where none is sent."""
        if not self.sending:
            return ""
        scheme, host = url.partition(":")[0], host_key(url)
        return "; ".join(f"{name}={value}" for at, owner, name, value in self.jar if owner == host and at in ("http", scheme))
