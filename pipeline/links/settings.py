"""Settings of the stage `links`, the kinds of its sources, and what it asks Reddit for."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import islice
from typing import Final

from pipeline.engine.settings import setting
from pipeline.links.domains import policy_sites, read_subreddits
from pipeline.links.url_lists import read_urls
from pipeline.paper import MIN_KARMA, REMOVED_SITES
from pipeline.reddit import PROFILE, parse_lines

STAGE_NAME: Final = "links"
LISTINGS = ("new", "top", "hot", "rising")
WINDOWS = ("all", "year", "month", "week", "day", "hour")
KARMA_RULES = ("max", "sum")
LINES_READ_FIRST = 1_000


def read_start_of_dump(path: str) -> None:
    """Read a dump's first lines. Raises InputError where they hold no submission, or the file is missing, a folder or damaged."""
    for _ in islice(parse_lines(path), LINES_READ_FIRST):
        pass


def read_start_of_list(path: str) -> None:
    """Read a list's first lines. Raises InputError where they are no list, or the file is missing, a folder or damaged."""
    for _ in islice(read_urls(path, path), LINES_READ_FIRST):
        pass


class SourceKind(StrEnum):
    """Kinds of sources of submissions: a dump, a list of URLs, a stored answer of Reddit."""

    DUMP = "dump"
    URLS = "urls"
    LIVE = "live"


@dataclass(frozen=True, slots=True)
class LinkSource:
    """A file of submissions. `name` identifies it in drops and in the manifest."""

    kind: SourceKind
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class SubredditQuery:
    """The requests for each subreddit; `refresh` asks again for the current scores of all submissions."""

    listings: tuple[str, ...] = LISTINGS
    windows: tuple[str, ...] = WINDOWS
    searches: tuple[str, ...] = ("self:no",)
    refresh: bool = False


@dataclass(frozen=True)
class LinksSettings:
    """The flags of the stage; defaults are the paper's."""

    submissions: tuple[str, ...] = setting(
        (), "dumps of Reddit submissions (zstd, xz, bzip2, gzip, plain)", recorded=False, reads=read_start_of_dump, metavar="FILE"
    )
    urls: tuple[str, ...] = setting(
        (),
        "lists of URLs, one per line (a tab and the karma may follow), or tables (CSV, TSV) with a column url",
        recorded=False,
        reads=read_start_of_list,
        metavar="FILE",
    )
    subreddits: tuple[str, ...] = setting((), "subreddits to ask Reddit for (keys from PRAW's environment)", metavar="NAME")
    listings: tuple[str, ...] = setting(LISTINGS, f"listings of each subreddit to walk, of {', '.join(LISTINGS)}", metavar="NAME")
    windows: tuple[str, ...] = setting(
        WINDOWS, "windows of time for 'top' and for searches: each may reach other submissions", metavar="NAME"
    )
    searches: tuple[str, ...] = setting(("self:no",), "searches in each subreddit and window", metavar="TEXT")
    refresh_scores: bool = setting(False, "ask Reddit again for the current score of every submission in the listings")
    min_karma: int = setting(MIN_KARMA, "minimum karma")
    karma: str = setting(
        "max", "karma of a URL: maximum over its submissions, or sum (--min-karma then holds for the sum)", choices=KARMA_RULES
    )
    created_before: str | None = setting(
        None,
        "keep only submissions before this day (default: 2018-01-01 for dumps, no limit for others; 'none': no limit)",
        metavar="DATE",
    )
    domain_policy: str = setting(
        "webtext", "sites to leave out: webtext, openwebtext, or a file of sites", file=True, reads=policy_sites, metavar="POLICY"
    )
    exclude_sites: tuple[str, ...] = setting(
        REMOVED_SITES, "leave out links to these sites, and pages that redirect to them", metavar="SITE"
    )
    media: bool = setting(False, "keep URLs of pictures, sound, video, documents, archives")
    pdf: bool = setting(False, "also keep PDF files, by their text layer (needs pypdfium2: pip install '.[pdf]')")
    over_18: bool = setting(True, "keep submissions marked over 18")
    quarantined: bool = setting(True, "keep submissions of quarantined subreddits")
    only_subreddits: str | None = setting(
        None, "file of the only subreddits to keep", file=True, reads=read_subreddits, metavar="FILE"
    )
    without_subreddits: str | None = setting(
        None, "file of subreddits to leave out", file=True, reads=read_subreddits, metavar="FILE"
    )

    limit: int | None = setting(
        None,
        "a try: stop each source at its first N links, and keep N of them (default: all links); to go on, leave the flag out. The stages"
        " after links have no such flag: they take all that it left",
        metavar="N",
    )

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"--limit {self.limit}: at least 1; leave it out for all links")
        if self.karma not in KARMA_RULES:
            raise ValueError(f"--karma {self.karma}: give {' or '.join(KARMA_RULES)}")
        for name in self.subreddits:
            if not re.fullmatch(r"\w{2,40}", name, re.ASCII):
                raise ValueError(f"--subreddits {name}: give bare names, as in reddit.com/r/NAME")
            if name.lower().startswith(PROFILE):
                raise ValueError(f"--subreddits {name}: a user's profile; give subreddits, the corpus names no user")
        for flag, values, known in (("listings", self.listings, LISTINGS), ("windows", self.windows, WINDOWS)):
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"--{flag} {unknown[0]}: give some of {' '.join(known)}")
        seconds_of(self.created_before)

    @property
    def names_source(self) -> bool:
        """Whether anything to read is named; without it, a folder's links stand."""
        return bool(self.submissions or self.urls or self.subreddits)

    @property
    def query(self) -> SubredditQuery:
        """The requests for each subreddit."""
        return SubredditQuery(self.listings, self.windows, self.searches, self.refresh_scores)


def seconds_of(created_before: str | None) -> int | None:
    """The day or instant of --created-before in seconds since 1970, in UTC where it names no zone; None for no limit.

    >>> seconds_of("2018-01-01"), seconds_of("2018-01-01T01:00+01:00"), seconds_of("none")
    (1514764800, 1514764800, None)
    """
    if created_before is None or created_before == "none":
        return None
    try:
        instant = datetime.fromisoformat(created_before)
    except ValueError as error:
        raise ValueError(f"--created-before {created_before}: not a day like 2018-01-01") from error
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())
