"""The rules that make a submission a link, and the reasons of drops."""

from dataclasses import dataclass
from enum import StrEnum

from pipeline.links.domains import REDDIT, SiteLookup, media_extension, policy_sites, read_subreddits
from pipeline.links.settings import LinksSettings, SourceKind, seconds_of
from pipeline.paper import CREATED_BEFORE
from pipeline.reddit import LineFault, Post, published_subreddit


class LinkDrop(StrEnum):
    """Why a submission, or a line of a dump or list, gives no link."""

    BLANK_LINE = LineFault.BLANK_LINE.value
    COMMENT = LineFault.COMMENT.value
    HEADER = LineFault.HEADER.value
    LINE_TOO_LONG = LineFault.LINE_TOO_LONG.value
    NOT_JSON = LineFault.NOT_JSON.value
    NOT_A_SUBMISSION = LineFault.NOT_A_SUBMISSION.value
    SELF_POST = "self_post"
    NO_KARMA = "no_karma"
    LOW_KARMA = "low_karma"
    NO_DATE = "no_date"
    TOO_LATE = "too_late"
    SUBREDDIT = "subreddit"
    BAD_SUBREDDIT = "bad_subreddit"
    OVER_18 = "over_18"
    QUARANTINED = "quarantined"
    NO_URL = "no_url"
    BAD_URL = "bad_url"
    REDDIT_HOST = "reddit_host"
    REMOVED_SITE = "removed_site"
    BLOCKED_SITE = "blocked_site"
    MEDIA_FILE = "media_file"
    REPEATED_SUBMISSION = "repeated_submission"
    BEYOND_LIMIT = "beyond_limit"


@dataclass(frozen=True)
class LinkRules:
    """The rules for submissions of one kind of source.

    `min_karma` and `created_before` (seconds since 1970) are None for no limit, `only` is None for all subreddits.
    """

    karma_known: bool
    min_karma: int | None
    created_before: int | None
    over_18: bool
    quarantined: bool
    media: bool
    pdf: bool
    sites: SiteLookup[LinkDrop]
    only: frozenset[str] | None
    without: frozenset[str]

    @classmethod
    def of(cls, settings: LinksSettings, kind: SourceKind) -> "LinkRules":
        """The rules of the settings. Without --created-before the paper's date holds, for dumps alone.

        Reads the files of sites and subreddits that the settings name. Raises InputError where one is missing.
        """
        before = seconds_of(settings.created_before)
        if kind is SourceKind.DUMP and settings.created_before is None:
            before = int(CREATED_BEFORE.timestamp())
        return cls(
            kind is not SourceKind.URLS,
            None if settings.karma == "sum" else settings.min_karma,
            before,
            settings.over_18,
            settings.quarantined,
            settings.media,
            settings.pdf,
            SiteLookup(
                dict.fromkeys(policy_sites(settings.domain_policy), LinkDrop.BLOCKED_SITE)
                | dict.fromkeys(settings.exclude_sites, LinkDrop.REMOVED_SITE)
                | dict.fromkeys(REDDIT, LinkDrop.REDDIT_HOST)
            ),
            read_subreddits(settings.only_subreddits) if settings.only_subreddits else None,
            read_subreddits(settings.without_subreddits) if settings.without_subreddits else frozenset(),
        )

    def judge_post(self, post: Post) -> LinkDrop | None:
        """The rule that the submission's own fields break, or None. Cheap rules come first."""
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
        if published_subreddit(post.subreddit) is None:
            return LinkDrop.BAD_SUBREDDIT
        if self.without or self.only is not None:
            name = post.subreddit.lower()
            if name in self.without or (self.only is not None and name not in self.only):
                return LinkDrop.SUBREDDIT
        return None

    def judge_host(self, host: str) -> LinkDrop | None:
        """The rule that the host of a normalised URL breaks, or None."""
        return self.sites.get(host)

    def judge_file(self, url: str) -> LinkDrop | None:
        """The rule that the extension of a URL breaks, or None. The URL need not be normalised."""
        if self.media or (extension := media_extension(url)) is None or (self.pdf and extension == "pdf"):
            return None
        return LinkDrop.MEDIA_FILE
