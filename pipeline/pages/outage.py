"""Tells an outage of the network from sites that are gone: in an old list of links, half of all sites may be.

Evidence is counted per site, in the order in which requests began: dead sites fail sooner, or later, than others answer, so any
other order would at times show dead sites alone.
"""

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable

from pipeline.pages.outcomes import DroppedLink, PageDrop
from tokenizer.errors import OutageError

WINDOW_SITES, WINDOW_UNREACHABLE = 100, 97
"""The network is down when 97 of the last 100 sites could not be reached. With three of four sites gone, that happens by chance
once in a hundred million sites."""

LOST_SITES = 10
"""It is also down when 10 sites in a row, each of which was reached before, cannot be reached any more."""

UNREACHED = frozenset({PageDrop.DNS, PageDrop.CONNECTION, PageDrop.TIMEOUT, PageDrop.PROXY, PageDrop.HOST_SET_ASIDE})
"""Drops that an outage may cause. They wait until a site is reached by a request that began after them, or until the crawl ends."""

NO_EVIDENCE = frozenset({PageDrop.FORBIDDEN_ADDRESS, PageDrop.BAD_URL, PageDrop.CREDENTIALS_REMOVED})
"""Drops that say nothing about the network."""

WAY_ON = (
    "Run the same command once it works: it goes on. If those sites are really gone, add --no-stop-on-outage to drop their links"
)


class OutageWatch:
    """Evidence on the network from all requests of a crawl, and the drops that wait for it. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._next = 0
        self._ended: dict[int, tuple[str, str | None]] = {}
        self._sites: dict[str, str] = {}
        self._lost: dict[str, str] = {}
        self._waiting: deque[tuple[int, DroppedLink]] = deque()
        self._reached = -1
        self._is_up: Callable[[], bool] | None = None

    def control(self, is_up: Callable[[], bool]) -> None:
        """Ask `is_up` at the crawl's begin and end: most sites are expected to be dead, so they are no evidence.

        Raises OutageError where the network is down already.
        """
        self._is_up = is_up
        self._check_controls()

    def begin(self) -> int:
        """The number of a request that begins now; `end` has to be called with it."""
        return next(self._numbers)

    def end(self, number: int, site: str, failure: str | None) -> list[DroppedLink]:
        """Note how a request ended: `failure` is empty where the site was reached, None where the request says nothing.

        Returns the drops that are certain now. Raises OutageError where the network is down.
        """
        with self._lock:
            self._ended[number] = site, failure
            while self._next in self._ended:
                self._note(*self._ended.pop(self._next))
                self._next += 1
            if failure == "":
                self._reached = max(self._reached, number)
            return self._certain()

    def wait(self, drop: DroppedLink) -> None:
        """Keep a drop that an outage may have caused until a site is reached by a later request."""
        with self._lock:
            self._waiting.append((next(self._numbers), drop))
            self._ended[self._waiting[-1][0]] = "", None

    def rest(self) -> list[DroppedLink]:
        """The drops that still wait at the end of a crawl. Raises OutageError where sites that answered before do not."""
        if self._waiting:
            self._check_controls()
        with self._lock:
            drops = [drop for _, drop in self._waiting]
            self._waiting.clear()
            return drops

    def _check_controls(self) -> None:
        if self._is_up and not self._is_up():
            raise OutageError(f"the network seems to be down: no site that answered before can be reached. {WAY_ON}")

    def _certain(self) -> list[DroppedLink]:
        drops = []
        while self._waiting and self._waiting[0][0] < self._reached:
            drops.append(self._waiting.popleft()[1])
        return drops

    def _note(self, site: str, failure: str | None) -> None:
        """Take the evidence of one request, in the order in which requests began. Only news of a site count."""
        if failure is None or (failure and self._sites.get(site)):
            return
        before = self._sites.pop(site, None)
        self._sites[site] = failure
        if not failure:
            self._lost.clear()
            return
        if before is not None:
            self._lost[site] = failure
            if len(self._lost) >= LOST_SITES:
                raise outage_error(
                    self._lost.values(), f"{len(self._lost)} sites in a row that answered before cannot be reached"
                )
        if self._is_up:
            return
        last = list(itertools.islice(reversed(self._sites.values()), WINDOW_SITES))
        failures = [each for each in last if each]
        if len(failures) >= WINDOW_UNREACHABLE:
            raise outage_error(failures, f"{len(failures)} of the last {len(last)} sites cannot be reached")


def outage_error(failures: Iterable[str], seen: str) -> OutageError:
    """The error of an outage. `seen` says what was seen, `failures` name what the sites' requests ended with."""
    shown = ", ".join(f"{count:,} {name}" for name, count in Counter(failures).most_common())
    return OutageError(f"the network seems to be down: {seen} ({shown}). Finished links are kept. {WAY_ON}")


def check_reached(pages: int, dropped: dict[str, int]) -> None:
    """Raise OutageError where no site was reached by a whole crawl, however small, and some could not be."""
    unreached = {name: count for name, count in dropped.items() if name in UNREACHED}
    if unreached and not pages and not set(dropped) - UNREACHED - NO_EVIDENCE:
        shown = ", ".join(f"{count:,} {name}" for name, count in sorted(unreached.items()))
        raise OutageError(f"the network seems to be down: no site can be reached ({shown}). {WAY_ON}")
