"""robots.txt by RFC 9309: the URLs of an origin that a crawler may fetch, and the pause that it asks for."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Self

from protego import Protego

MAX_BYTES = 500 * 1024
"""RFC 9309 section 2.5: a crawler parses at least 500 kibibytes; the rest is ignored."""

MAX_AGE_SECONDS = 24 * 3600.0
"""RFC 9309 section 2.4: a copy is not used for longer."""

MAX_CRAWL_DELAY_SECONDS = 30.0
BYTE_ORDER_MARK = "\ufeff"


class RobotsStatus(Enum):
    """Kind of an origin's answer for /robots.txt (RFC 9309 section 2.3.1)."""

    RULES = "rules"
    UNAVAILABLE = "unavailable"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Robots:
    """The robots.txt of one origin, as it applies to one crawler."""

    status: RobotsStatus
    agent: str
    _rules: Protego | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, body: bytes, agent: str) -> Self:
        """The rules of a robots.txt that was answered with 2xx. `agent` is the product token, without version."""
        text = body[:MAX_BYTES].decode("utf-8", "replace").removeprefix(BYTE_ORDER_MARK)
        return cls(RobotsStatus.RULES, agent, Protego.parse(text))

    @classmethod
    def unavailable(cls, agent: str) -> Self:
        """No rules, after 4xx or too many redirects: everything is allowed."""
        return cls(RobotsStatus.UNAVAILABLE, agent)

    @classmethod
    def unreachable(cls, agent: str) -> Self:
        """Unknown rules, after 5xx or no answer: everything is disallowed."""
        return cls(RobotsStatus.UNREACHABLE, agent)

    @property
    def has_rules(self) -> bool:
        """Whether the origin answered with rules."""
        return self.status is RobotsStatus.RULES

    def allows(self, url: str) -> bool:
        """Whether the URL may be fetched."""
        if self._rules is None:
            return self.status is RobotsStatus.UNAVAILABLE
        return bool(self._rules.can_fetch(url, self.agent))

    def delay_seconds(self, default: float) -> float:
        """The pause between two requests: the longer of `default` and the origin's Crawl-delay, of which at most 30 s count."""
        requested = self._rules.crawl_delay(self.agent) if self._rules is not None else None
        return max(default, min(float(requested or 0.0), MAX_CRAWL_DELAY_SECONDS))


def robots_url(url: str) -> str:
    """The URL of the robots.txt that applies to a URL.

    >>> robots_url("https://example.com:8443/a/b?c")
    'https://example.com:8443/robots.txt'
    """
    scheme, rest = url.split("://", 1)
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    return f"{scheme}://{authority}/robots.txt"
