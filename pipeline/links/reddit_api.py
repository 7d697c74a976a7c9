"""Reddit's API as a source: listings and searches of subreddits through PRAW, stored as dump lines before the intake reads them.

PRAW reads the keys from the environment or praw.ini; they are stored nowhere. A listing ends at about 1,000 submissions.
Listings, windows of time and searches each reach other submissions; older ones are out of the API's reach.
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
from pipeline.links.settings import SubredditQuery
from pipeline.redaction import redact
from pipeline.reddit import published_subreddit
from pipeline.storage import files
from tokenizer.errors import InputError

logger = logging.getLogger(__name__)

SORTS = ("new", "top")
FIELDS = (
    *("id", "subreddit", "score", "created_utc", "url", "url_overridden_by_dest", "is_self", "over_18", "quarantine"),
    *("crosspost_parent_list", "title", "domain", "num_comments"),
)
"""The fields of a submission, and of its crosspost's parents, that a stored line keeps. Nothing that names a person is stored."""
USER_AGENT = "linux:webtext:0.1 (rebuilds WebText)"
RETRY_STATUSES = frozenset({429, 500, 502, 503, 504, 520, 522})
TRIES = 8
FIRST_WAIT_SECONDS = 2.0
SHORTEST_WAIT_SECONDS = 1.0
LONGEST_WAIT_SECONDS = 600.0
IDS_PER_REQUEST = 100
NO_KEYS = (
    "no keys for Reddit: create an app at https://www.reddit.com/prefs/apps and set praw_client_id and praw_client_secret "
    "in the environment or in praw.ini"
)


class PatientRequestor(prawcore.Requestor):
    """Waits and retries on 429, 5xx and broken connections, as long as Reddit asks for; prawcore gives up at the first 429."""

    def request(self, *args: Any, timeout: float | None = None, **kwargs: Any) -> Response:
        """The first response whose status is not in RETRY_STATUSES. Raises InputError after TRIES requests."""
        failure = ""
        for attempt in range(TRIES):
            response: Response | None = None
            try:
                response = super().request(*args, timeout=timeout, **kwargs)
            except prawcore.RequestException as error:
                failure = type(error.original_exception).__name__
            else:
                if response.status_code not in RETRY_STATUSES:
                    return response
                failure = f"status {response.status_code}"
            seconds = wait_seconds(response, attempt)
            logger.info("Reddit: %s; waiting %.0f s", failure, seconds)
            time.sleep(seconds)
        raise InputError(f"Reddit refused {TRIES} requests in a row (last: {failure}); run the same command later to continue")


def wait_seconds(response: Response | None, attempt: int) -> float:
    """Seconds to wait after a failed attempt (the first is 0), at most LONGEST_WAIT_SECONDS.

    Retry-After decides, else the end of the rate limit's window, else exponential backoff. Waits below SHORTEST_WAIT_SECONDS count
    as none: in the last second of its window Reddit says 0, and refuses until the second is over.
    """
    headers = {} if response is None else response.headers
    stated = (_retry_after(headers.get(name, "")) for name in ("retry-after", "x-ratelimit-reset"))
    backoff = FIRST_WAIT_SECONDS * 2.0**attempt
    return min(LONGEST_WAIT_SECONDS, next((s for s in stated if s is not None and s >= SHORTEST_WAIT_SECONDS), backoff))


def _retry_after(text: str) -> float | None:
    """Seconds of a header that gives seconds or a date, or None where it gives neither."""
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):
        return None


def client() -> praw.Reddit:
    """PRAW with the user's keys. Raises InputError where they are missing."""
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
    """Work that stores Reddit's current submissions of one subreddit as a dump, by id: from here on a run is repeatable.

    The intake reads a spill of them. What is published beside the links holds no credentials, and no names of profiles.
    """

    query: SubredditQuery

    def __call__(self, part: Part[str], writer: PartWriter) -> None:
        """Store the submissions of the subreddit that the part names."""
        rows = gather(client(), part.work, self.query)
        writer.items_in = writer.items_out = len(rows)
        stored = [rows[key] for key in sorted(rows)]
        published = [published_row(row) for row in stored]
        name = snapshot_name(part.work)
        writer.publish("snapshot", len(rows), lambda file: _write_gzip(file, stored), writer.spill_name(files.base_name(name)))
        writer.publish("published_snapshot", len(rows), lambda file: _write_gzip(file, published), name)


def snapshot_name(subreddit: str) -> str:
    """The file of a subreddit's stored submissions, relative to the stage's folder."""
    return f"snapshots/{subreddit.lower()}.jsonl.gz"


def gather(reddit: praw.Reddit, subreddit: str, query: SubredditQuery) -> dict[str, dict[str, Any]]:
    """Every submission that the query reaches, by id.

    Raises InputError where the subreddit is not public or Reddit refuses the keys.
    """
    rows: dict[str, dict[str, Any]] = {}
    try:
        for listing in _listings(reddit.subreddit(subreddit), query):
            rows.update((submission.id, dump_row(submission)) for submission in listing)
        if query.refresh:
            for key, score in current_scores(reddit, sorted(rows)).items():
                rows[key]["score"] = score
    except (prawcore.NotFound, prawcore.Redirect):
        raise InputError(f"r/{subreddit}: Reddit has no such subreddit; check its name") from None
    except (prawcore.Forbidden, prawcore.UnavailableForLegalReasons):
        raise InputError(f"r/{subreddit}: private, banned or quarantined; leave it out of --subreddits") from None
    except (prawcore.OAuthException, prawcore.ResponseException) as error:
        raise InputError(
            f"Reddit refused the keys or the request ({_status(error)}); check praw_client_id and praw_client_secret"
        ) from None
    return rows


def _status(error: prawcore.PrawcoreException) -> str:
    return str(getattr(getattr(error, "response", None), "status_code", type(error).__name__))


def _listings(subreddit: Any, query: SubredditQuery) -> Iterator[Iterator[Any]]:
    """The listings and searches of the query, each with all its submissions."""
    for listing in query.listings:
        if listing == "top":
            yield from (subreddit.top(time_filter=window, limit=None) for window in query.windows)
        else:
            yield getattr(subreddit, listing)(limit=None)
    for text in query.searches:
        for window in query.windows:
            yield from (subreddit.search(text, sort=sort, time_filter=window, limit=None) for sort in SORTS)


def current_scores(reddit: praw.Reddit, ids: Sequence[str]) -> dict[str, int]:
    """Current scores of submissions by id, asked for IDS_PER_REQUEST at a time; removed submissions have none."""
    remaining = iter(ids)
    scores: dict[str, int] = {}
    while some := list(islice(remaining, IDS_PER_REQUEST)):
        scores.update((answer.id, answer.score) for answer in reddit.info(fullnames=[f"t3_{name}" for name in some]))
    return scores


def dump_row(submission: Any) -> dict[str, Any]:
    """A submission of PRAW as a dump's line. It reads only loaded fields: any other attribute would send a request."""
    return _stored_fields(vars(submission))


def _stored_fields(loaded: dict[str, Any]) -> dict[str, Any]:
    row = {name: _plain(loaded[name]) for name in FIELDS if name in loaded}
    parents = row.get("crosspost_parent_list")
    if isinstance(parents, list):
        row["crosspost_parent_list"] = [_stored_fields(parent) for parent in parents if isinstance(parent, dict)]
    return row


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, (str, int, float, list, dict)) else str(value)


def published_row(row: dict[str, Any]) -> dict[str, Any]:
    """A stored submission without credentials, and without the name of a user's profile."""
    shown = {name: redact(value) if isinstance(value, str) else value for name, value in row.items()}
    if isinstance(name := row.get("subreddit"), str):
        shown["subreddit"] = published_subreddit(name) or ""
    if isinstance(parents := row.get("crosspost_parent_list"), list):
        shown["crosspost_parent_list"] = [published_row(parent) for parent in parents]
    return shown


def _write_gzip(file: IO[bytes], rows: Sequence[dict[str, Any]]) -> None:
    """Write rows as JSON lines. json.dumps writes ASCII: UTF-8 cannot hold the lone surrogates of some titles."""
    data = "".join(json.dumps(row, default=str) + "\n" for row in rows).encode()
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0) as packed:
        packed.write(data)
