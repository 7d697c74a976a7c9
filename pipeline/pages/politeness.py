"""How the crawler introduces itself and how gently it treats hosts."""

from dataclasses import dataclass
from importlib.metadata import version

PRODUCT = "webtext"
MAX_REDIRECTS = 5
"""Redirects followed per link, and per robots.txt (RFC 9309 section 2.3.1.2 asks for at least five)."""


@dataclass(frozen=True, slots=True)
class Politeness:
    """How hosts are treated.

    `agent` is the product token that robots.txt is read for. A host with `host_failures` failed requests in a row is asked no
    more.
    """

    delay_seconds: float = 1.0
    robots: bool = True
    agent: str = PRODUCT
    retries: int = 2
    back_off_seconds: float = 1.0
    max_wait_seconds: float = 60.0
    max_redirects: int = MAX_REDIRECTS
    host_failures: int = 5


def user_agent(contact: str) -> str:
    """The User-Agent header: product, version, and where to complain."""
    return f"{PRODUCT}/{version('webtext')} ({contact})" if contact else f"{PRODUCT}/{version('webtext')}"
