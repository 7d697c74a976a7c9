"""robots.txt of every origin of a crawl, kept for as long as RFC 9309 allows."""

import time

from pipeline.pages.failures import RequestError
from pipeline.pages.robots import MAX_AGE_SECONDS, Robots, robots_url


class RobotsCache:
    """Rules by origin; for an origin whose request failed, the error. Safe to share between threads."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, Robots | RequestError]] = {}

    def get(self, url: str) -> Robots | RequestError | None:
        """What applies to the URL; None where its robots.txt has to be requested."""
        entry = self._entries.get(robots_url(url))
        if entry is None or time.monotonic() - entry[0] >= MAX_AGE_SECONDS:
            return None
        return entry[1]

    def store(self, address: str, robots: Robots | RequestError) -> None:
        """Keep the result of the request for the robots.txt at `address`."""
        self._entries[address] = (time.monotonic(), robots)
