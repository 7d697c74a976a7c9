"""How the crawler introduces itself and how gently it treats hosts."""

import re
from dataclasses import dataclass
from importlib.metadata import version

PRODUCT = "webtext"
MAX_REDIRECTS = 5
"""Redirects followed per link unless the settings say otherwise, and per robots.txt (RFC 9309 section 2.3.1.2: at least five)."""


_PRODUCT = re.compile(r"[A-Za-z_][\w.-]*")
_COMPATIBLE = re.compile(r"\bcompatible;\s*([A-Za-z_][\w.-]*)")
_COMMENT = re.compile(r"\([^()]*\)?")
_ROBOT = re.compile(r"[(;]\s*([A-Za-z_][\w.-]*(?:bot|crawler|spider))\b", re.IGNORECASE)
_BROWSERS = frozenset(
    {"mozilla", "applewebkit", "chrome", "chromium", "crios", "edg", "edge", "firefox", "fxios", "gecko", "headlesschrome", "khtml",
     "mobile", "opera", "opr", "presto", "safari", "trident", "version"}
)  # fmt: skip
"""Products that every browser names, and every crawler that introduces itself as one."""


@dataclass(frozen=True, slots=True)
class Politeness:
    """How hosts are treated.

    `agent` is the product token that robots.txt is read for. A host with `host_failures` failed requests in a row is asked no
    more. At most `domain_requests` hosts of one registrable domain, or of one literal address, and `address_requests` hosts that
    resolve to one address, are asked at the same time.
    """

    delay_seconds: float = 1.0
    robots: bool = True
    agent: str = PRODUCT
    retries: int = 2
    back_off_seconds: float = 1.0
    max_wait_seconds: float = 60.0
    max_redirects: int = MAX_REDIRECTS
    host_failures: int = 5
    domain_requests: int = 8
    address_requests: int = 8


def user_agent(contact: str) -> str:
    """The User-Agent header: product, version, and where to complain."""
    return f"{PRODUCT}/{version('webtext')} ({contact})" if contact else f"{PRODUCT}/{version('webtext')}"


def product_token(agent: str) -> str:
    """The token for which robots.txt is read, of a crawler with the User-Agent header `agent`.

    >>> product_token("mybot/1.0 (https://example.com)"), product_token("Mozilla/5.0 (compatible; mybot/1.0)")
    ('mybot', 'mybot')
    """
    if match := _COMPATIBLE.search(agent):
        return match[1]
    products = (word.partition("/")[0] for word in _COMMENT.sub(" ", agent).split())
    for product in products:
        if _PRODUCT.fullmatch(product) and product.lower() not in _BROWSERS:
            return product
    return match[1] if (match := _ROBOT.search(agent)) else PRODUCT
