"""robots.txt by RFC 9309: the URLs of an origin that a crawler may fetch, and the pause that it asks for.

Groups are read here: Protego matches an agent by the beginnings of its name, and lets unknown lines end a group. Protego matches paths.
"""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Self
from urllib.parse import quote

from protego import Protego

MAX_BYTES = 500 * 1024
"""RFC 9309 section 2.5: a crawler parses at least 500 kibibytes; the rest is ignored."""

MAX_AGE_SECONDS = 24 * 3600.0
"""RFC 9309 section 2.4: a copy is not used for longer."""

MAX_CRAWL_DELAY_SECONDS = 30.0
ANY_AGENT = "*"
_BYTE_ORDER_MARK = re.compile(rb"\A\xef(?:\xbb\xbf?)?")
"""UTF-8's mark, or what is left of it: it would hide the first line."""
_LINE_END = re.compile(r"\r\n|\n|\r")
_LINE = re.compile(
    r"(user[- ]?agent|allow|disallow|dissallow|dissalow|disalow|diasllow|disallaw|crawl[- ]delay)(?:[ \t]*:(.*)|[ \t]+(\S+))",
    re.IGNORECASE | re.DOTALL,
)
"""A line that has a meaning, with the misspellings and the missing colon that Google's parser accepts."""
_OTHER_LINE_END = re.compile(r"[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Characters at which Protego ends a line."""


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
        text = _BYTE_ORDER_MARK.sub(b"", body[:MAX_BYTES]).decode("utf-8", "replace")
        return cls(RobotsStatus.RULES, agent, Protego.parse("\n".join(["User-agent: *", *group_lines(text, agent)])))

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
        return bool(self._rules.can_fetch(url, ANY_AGENT))

    def delay_seconds(self, default: float) -> float:
        """The pause between two requests: the longer of `default` and the origin's Crawl-delay, of which at most 30 s count."""
        requested = self._rules.crawl_delay(ANY_AGENT) if self._rules is not None else None
        return max(default, min(float(requested or 0.0), MAX_CRAWL_DELAY_SECONDS))


def group_lines(text: str, agent: str) -> list[str]:
    """The rules and delays of all groups for `agent`; where no group names it, those of all groups for `*` (section 2.2.1).

    A group is a run of User-agent lines and the rules after them; other lines do not end it (section 2.2.4).

    >>> group_lines("User-agent: web\\nDisallow: /a\\nUser-agent: webtext/1\\nSitemap: x\\nUser-agent: b\\nDisallow: /c", "webtext")
    ['disallow: /c']
    """
    named: list[str] = []
    unnamed: list[str] = []
    is_named = names_all = names_agent = in_rules = False
    for line in _LINE_END.split(text):
        match = _LINE.fullmatch(line.partition("#")[0].strip())
        if not match:
            continue
        name, value = match[1].lower(), (match[2] or match[3] or "").strip()
        if name.startswith("user"):
            if in_rules:
                names_all = names_agent = in_rules = False
            names_all = names_all or _names_all(value)
            names_agent = names_agent or _names(value, agent)
            is_named = is_named or names_agent
            continue
        in_rules = in_rules or not name.startswith("crawl")
        rule = f"{name}: {_OTHER_LINE_END.sub(lambda found: quote(found[0]), value)}"
        if names_agent:
            named.append(rule)
        if names_all:
            unnamed.append(rule)
    return named if is_named else unnamed


def _names_all(value: str) -> bool:
    return value[:1] == ANY_AGENT and not value[1:2].strip()


def _names(value: str, agent: str) -> bool:
    """Whether a User-agent line is about the product token `agent`, in any case; a version or a comment may follow the token."""
    return re.match(re.escape(agent) + r"(?![A-Za-z_-])", value.lstrip(ANY_AGENT), re.IGNORECASE) is not None


def robots_url(url: str) -> str:
    """The URL of the robots.txt that applies to a URL.

    >>> robots_url("https://example.com:8443/a/b?c")
    'https://example.com:8443/robots.txt'
    """
    scheme, rest = url.split("://", 1)
    authority = rest.split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]
    return f"{scheme}://{authority}/robots.txt"
