"""Reddit itself as a source: listings and searches of subreddits through PRAW, stored as dump lines before anything reads them.

Keys come from PRAW's own places, the environment and praw.ini, and go nowhere else. A listing ends at about 1,000 submissions; listings,
windows of time and searches reach different ones, and that is as far as Reddit lets anyone look back.
"""

import gzip
import json
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from itertools import islice
from typing import IO, Any

import praw
import prawcore
from praw.exceptions import MissingRequiredAttributeException
from requests import Response

from pipeline.engine.parts import Part
from pipeline.engine.writer import PartWriter
from pipeline.storage.files import InputError

logger = logging.getLogger(__name__)

LISTINGS = ("new", "top", "hot", "rising")
WINDOWS = ("all", "year", "month", "week", "day", "hour")
SORTS = ("new", "top")
FIELDS = (
    *("id", "subreddit", "score", "created_utc", "url", "url_overridden_by_dest", "is_self", "over_18", "quarantine"),
    *("crosspost_parent_list", "title", "author", "permalink", "domain", "num_comments"),
)
"""What a stored line keeps of a submission, under the names that dumps use."""
USER_AGENT = "linux:webtext:0.1 (rebuilds WebText)"
RETRIED = frozenset({429, 500, 502, 503, 504, 520, 522})
TRIES = 8
FIRST_WAIT_SECONDS = 2.0
LONGEST_WAIT_SECONDS = 600.0
IDS_A_REQUEST = 100
NO_KEYS = (
    "no keys for Reddit: set praw_client_id and praw_client_secret in the environment (or in praw.ini) to those of an app of yours; "
    "https://www.reddit.com/prefs/apps gives them"
)


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask of each subreddit."""

    listings: tuple[str, ...] = LISTINGS
    windows: tuple[str, ...] = WINDOWS
    searches: tuple[str, ...] = ("self:no",)
    refresh: bool = False


class PatientRequestor(prawcore.Requestor):
    """Waits and asks again on 429, 5xx and broken connections, as long as Reddit asks for; prawcore gives up a GET at its first 429."""

    def request(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Response:
        """The first answer that is none of those. Raises InputError after TRIES."""
        what = ""
        for tried in range(TRIES):
            response: Response | None = None
            try:
                response = super().request(*args, timeout=timeout, **kwargs)
            except prawcore.RequestException as error:
                what = type(error.original_exception).__name__
            else:
                if response.status_code not in RETRIED:
                    return response
                what = f"answer {response.status_code}"
            seconds = wait_seconds(response, tried)
            logger.info("Reddit: %s; waiting %.0f s", what, seconds)
            time.sleep(seconds)
        raise InputError(f"Reddit does not let us in ({what}, {TRIES} times); run the same command later to go on")


def wait_seconds(response: Response | None, tried: int) -> float:
    """Retry-After (seconds or a date), else the end of the rate limit's window, else twice as long each time; never above ten minutes."""
    headers = {} if response is None else response.headers
    asked = headers.get("retry-after") or headers.get("x-ratelimit-reset")
    seconds = _retry_after(asked) if asked else None
    return min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0**tried if seconds is None else seconds)


def _retry_after(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def client() -> praw.Reddit:
    """PRAW with the user's keys. Raises InputError where there are none."""
    try:
        return praw.Reddit(check_for_updates=False, requestor_class=PatientRequestor)
    except MissingRequiredAttributeException as error:
        if "user_agent" not in str(error):
            raise InputError(NO_KEYS) from None
    try:
        return praw.Reddit(check_for_updates=False, requestor_class=PatientRequestor, user_agent=USER_AGENT)
    except MissingRequiredAttributeException:
        raise InputError(NO_KEYS) from None


@dataclass(frozen=True)
class StoreSnapshot:
    """What Reddit says of one subreddit now, stored as a dump, by id: from here on the run is as repeatable as with dumps."""

    question: Question

    def __call__(self, part: Part[Any], writer: PartWriter) -> None:
        """The part's work is the subreddit's name."""
        rows = gather(client(), part.work, self.question)
        writer.items_in = writer.items_out = len(rows)
        lines = "".join(
            json.dumps(rows[key], default=str) + "\n" for key in sorted(rows)
        )  # in ASCII: half a character is no UTF-8
        writer.publish("snapshot", len(rows), lambda file: _write_gzip(file, lines.encode()), snapshot_name(part.work))


def snapshot_name(subreddit: str) -> str:
    """Where a subreddit's stored answers stand in the stage's folder."""
    return f"snapshots/{subreddit.lower()}.jsonl.gz"


def gather(reddit: praw.Reddit, subreddit: str, question: Question) -> dict[str, dict[str, Any]]:
    """Every submission that the question reaches, by id. Raises InputError for a subreddit that is not open to us, or keys refused."""
    rows: dict[str, dict[str, Any]] = {}
    try:
        for listing in _listings(reddit.subreddit(subreddit), question):
            rows.update((submission.id, dump_row(submission)) for submission in listing)
        if question.refresh:
            for key, score in current_scores(reddit, sorted(rows)).items():
                rows[key]["score"] = score
    except (prawcore.NotFound, prawcore.Redirect):
        raise InputError(f"r/{subreddit}: Reddit has no such subreddit; check its name") from None
    except (prawcore.Forbidden, prawcore.UnavailableForLegalReasons):
        raise InputError(f"r/{subreddit}: private, banned or quarantined; leave it out of --subreddits") from None
    except (prawcore.OAuthException, prawcore.ResponseException) as error:
        raise InputError(
            f"Reddit refuses the keys or the request ({_answer(error)}); check praw_client_id and praw_client_secret"
        ) from None
    return rows


def _answer(error: prawcore.PrawcoreException) -> str:
    return str(getattr(getattr(error, "response", None), "status_code", type(error).__name__))


def _listings(subreddit: Any, question: Question) -> Iterator[Iterator[Any]]:
    """The listings to walk, each to its end."""
    for listing in question.listings:
        if listing == "top":
            yield from (subreddit.top(time_filter=window, limit=None) for window in question.windows)
        else:
            yield getattr(subreddit, listing)(limit=None)
    for query in question.searches:
        for window in question.windows:
            yield from (subreddit.search(query, sort=sort, time_filter=window, limit=None) for sort in SORTS)


def current_scores(reddit: praw.Reddit, ids: Sequence[str]) -> dict[str, int]:
    """Today's scores of submissions by id, a hundred a request; those that are gone are left out."""
    remaining = iter(ids)
    scores: dict[str, int] = {}
    while some := list(islice(remaining, IDS_A_REQUEST)):
        scores.update((found.id, found.score) for found in reddit.info(fullnames=[f"t3_{name}" for name in some]))
    return scores


def dump_row(submission: Any) -> dict[str, Any]:
    """A submission of PRAW's as dumps write it. Only what the answer held: asking PRAW for more would send a request."""
    held = vars(submission)
    return {name: _plain(held[name]) for name in FIELDS if name in held}


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, list, dict)) else str(value)


def _write_gzip(file: IO[bytes], data: bytes) -> None:
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(data)
