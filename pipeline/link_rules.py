"""The rules that make a submission a link: flags, defaults of the paper, reasons of those left out."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from pipeline.domains import REDDIT, Sites, media_extension, policy_sites, read_names
from pipeline.live import LISTINGS, WINDOWS, Question
from pipeline.paper import CREATED_BEFORE, MIN_KARMA, REMOVED_SITES
from pipeline.reddit import Post
from pipeline.settings import setting
from pipeline.urls import host_of


class LinkDrop(StrEnum):
    """Why a submission, a line of a dump or a line of a list gives no link."""

    BLANK_LINE = "blank_line"
    LINE_TOO_LONG = "line_too_long"
    NOT_JSON = "not_json"
    NOT_A_SUBMISSION = "not_a_submission"
    SELF_POST = "self_post"
    NO_KARMA = "no_karma"
    LOW_KARMA = "low_karma"
    NO_DATE = "no_date"
    TOO_LATE = "too_late"
    SUBREDDIT = "subreddit"
    OVER_18 = "over_18"
    QUARANTINED = "quarantined"
    NO_URL = "no_url"
    BAD_URL = "bad_url"
    REDDIT_HOST = "reddit_host"
    REMOVED_SITE = "removed_site"
    BLOCKED_SITE = "blocked_site"
    MEDIA_FILE = "media_file"
    REPEATED_SUBMISSION = "repeated_submission"


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
    exclude_sites: tuple[str, ...] = setting(REMOVED_SITES, "more sites to leave out", metavar="SITE")
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


@dataclass(frozen=True)
class Rules:
    """What makes a submission a link, for one kind of source."""

    karma_known: bool
    min_karma: int | None
    created_before: int | None
    over_18: bool
    quarantined: bool
    media: bool
    sites: Sites[LinkDrop]
    only: frozenset[str] | None
    without: frozenset[str]

    @classmethod
    def of(cls, settings: LinksSettings, kind: str) -> "Rules":
        """The settings' rules; the paper's date holds for dumps alone unless one is given."""
        before = _instant(settings.created_before)
        if kind == "dump" and settings.created_before is None:
            before = int(CREATED_BEFORE.timestamp())
        return cls(
            kind != "urls",
            None if settings.karma == "sum" else settings.min_karma,
            before,
            settings.over_18,
            settings.quarantined,
            settings.media,
            Sites(
                dict.fromkeys(policy_sites(settings.domain_policy), LinkDrop.BLOCKED_SITE)
                | dict.fromkeys(settings.exclude_sites, LinkDrop.REMOVED_SITE)
                | dict.fromkeys(REDDIT, LinkDrop.REDDIT_HOST)
            ),
            _subreddits(settings.only_subreddits) if settings.only_subreddits else None,
            _subreddits(settings.without_subreddits) if settings.without_subreddits else frozenset(),
        )

    def judge_post(self, post: Post) -> LinkDrop | None:
        """What the submission itself breaks, the cheap questions first."""
        if post.is_self:
            return LinkDrop.SELF_POST
        if post.score is None:
            if self.karma_known:
                return LinkDrop.NO_KARMA
        elif self.min_karma is not None and post.score < self.min_karma:
            return LinkDrop.LOW_KARMA
        if self.created_before is not None:
            if post.created_at is None:
                return LinkDrop.NO_DATE
            if post.created_at >= self.created_before:
                return LinkDrop.TOO_LATE
        return self._judge_subreddit(post)

    def _judge_subreddit(self, post: Post) -> LinkDrop | None:
        if post.over_18 and not self.over_18:
            return LinkDrop.OVER_18
        if post.quarantine and not self.quarantined:
            return LinkDrop.QUARANTINED
        name = post.subreddit.lower()
        if name in self.without or (self.only is not None and name not in self.only):
            return LinkDrop.SUBREDDIT
        return None

    def judge_url(self, url: str) -> LinkDrop | None:
        """What a normalised URL breaks."""
        return self.sites.get(host_of(url))

    def judge_file(self, url: str) -> LinkDrop | None:
        """What a URL breaks by its ending, normalised or not."""
        return LinkDrop.MEDIA_FILE if not self.media and media_extension(url) else None


def _subreddits(path: str) -> frozenset[str]:
    names = read_names(path, "a file of subreddits, one a line")
    return frozenset(name.lower().removeprefix("/").removeprefix("r/") for name in names)


def _instant(text: str | None) -> int | None:
    """Seconds since 1970 of a day or an instant; UTC where it names no zone."""
    if text is None or text == "none":
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"--created_before {text}: not a day like 2018-01-01") from error
    return int((instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp())
