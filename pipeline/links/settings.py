"""TODO-DOC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.engine.settings import setting
from pipeline.links.reddit_api import LISTINGS, WINDOWS, Question
from pipeline.paper import MIN_KARMA, REMOVED_SITES


@dataclass(frozen=True)
class LinksSettings:
    """The flags of the stage; defaults are the paper's."""

    submissions: tuple[str, ...] = setting(
        (), "dumps of Reddit submissions (zstd, xz, bzip2, gzip, plain)", recorded=False, metavar="FILE"
    )
    urls: tuple[str, ...] = setting(
        (), "lists of URLs, a line each, karma after a tab where known", recorded=False, metavar="FILE"
    )
    subreddits: tuple[str, ...] = setting((), "subreddits to ask Reddit for (keys from PRAW's environment)", metavar="NAME")
    listings: tuple[str, ...] = setting(LISTINGS, "listings of each subreddit to walk, of new, top, hot, rising", metavar="NAME")
    windows: tuple[str, ...] = setting(
        WINDOWS, "windows of time to ask for in 'top' and in searches: each may reach other submissions", metavar="NAME"
    )
    searches: tuple[str, ...] = setting(("self:no",), "searches in each subreddit and window", metavar="TEXT")
    refresh_scores: bool = setting(False, "ask Reddit again for the scores of all that listings gave")
    min_karma: int = setting(MIN_KARMA, "least karma")
    karma: str = setting("max", "karma of one submission, or summed over all of a URL", choices=("max", "sum"))
    created_before: str | None = setting(
        None, "only submissions before this day (default: 2018-01-01 for dumps, none for others; 'none' for none)", metavar="DATE"
    )
    domain_policy: str = setting(
        "webtext", "sites to leave out: webtext, openwebtext, or a file of sites", file=True, metavar="POLICY"
    )
    exclude_sites: tuple[str, ...] = setting(REMOVED_SITES, "leave out links to these sites, and pages that redirect to them", metavar="SITE")
    media: bool = setting(False, "keep addresses of pictures, sound, video, documents, archives")
    over_18: bool = setting(True, "keep submissions marked over 18")
    quarantined: bool = setting(True, "keep submissions of quarantined subreddits")
    only_subreddits: str | None = setting(None, "file of the only subreddits to keep", file=True, metavar="FILE")
    without_subreddits: str | None = setting(None, "file of subreddits to leave out", file=True, metavar="FILE")

    def __post_init__(self) -> None:
        if self.karma not in ("max", "sum"):
            raise ValueError(f"--karma {self.karma}: give max or sum")
        for name in self.subreddits:
            if not re.fullmatch(r"\w{2,40}", name, re.ASCII):
                raise ValueError(f"--subreddits {name}: give bare names, as in reddit.com/r/NAME")
        for flag, values, known in (("listings", self.listings, LISTINGS), ("windows", self.windows, WINDOWS)):
            if unknown := [value for value in values if value not in known]:
                raise ValueError(f"--{flag} {unknown[0]}: give some of {' '.join(known)}")
        _instant(self.created_before)

    @property
    def question(self) -> Question:
        """What to ask of Reddit."""
        return Question(self.listings, self.windows, self.searches, self.refresh_scores)


@dataclass(frozen=True, slots=True)
class Source:
    """A file to take in: `kind` is dump, live (a stored answer of Reddit's) or urls; `name` stands for it in drops."""

    kind: str
    path: str
    name: str


def _instant(text: str | None) -> int | None:
    """Seconds since 1970 of a day or an instant; UTC where it names no zone."""
    if text is None or text == "none":
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--created_before {text}: not a day like 2018-01-01") from error
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())
