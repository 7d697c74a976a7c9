import gzip
import logging
import lzma
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from requests import Response
from servers.reddit import CLIENT_ID, SECRET, FakeReddit, post, serving

from pipeline.engine.runner import Engine
from pipeline.engine.stage import Call
from pipeline.links import reddit_api
from pipeline.links import stage as links
from pipeline.links.reddit_api import TRIES, client, gather, wait_seconds
from pipeline.links.settings import WINDOWS, LinksSettings, SubredditQuery
from pipeline.reddit import Post, parse_line
from pipeline.storage import files
from pipeline.storage.private_addresses import addresses_of
from tokenizer.errors import InputError


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds of each sleep, which does not happen."""
    sleeps: list[float] = []
    monkeypatch.setattr(reddit_api, "time", SimpleNamespace(sleep=sleeps.append))
    return sleeps


@pytest.fixture
def reddit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, waits: list[float]) -> Iterator[FakeReddit]:
    """A fake Reddit that PRAW finds through praw.ini, with keys in the environment."""
    with serving() as fake:
        folder = tmp_path / "config"
        folder.mkdir()
        (folder / "praw.ini").write_text(f"[DEFAULT]\noauth_url={fake.url}\nreddit_url={fake.url}\n")
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder))
        monkeypatch.setattr("praw.config.Config.CONFIG", None)
        monkeypatch.setenv("praw_client_id", CLIENT_ID)
        monkeypatch.setenv("praw_client_secret", SECRET)
        yield fake


def test_listings_windows_and_searches_reach_past_the_cap(reddit: FakeReddit) -> None:
    reddit.listings = {
        "new": [post(n) for n in range(5000, 3500, -1)],
        "hot": [post(n) for n in range(4990, 5010)],
        "top/week": [post(n) for n in range(200)],
        "top/all": [post(n) for n in range(100, 1100)],
        "search/day": [post(n) for n in range(6000, 6250)],
    }
    rows = gather(client(), "news", SubredditQuery())
    reachable = {row["id"] for listing in reddit.listings.values() for row in listing[:1000]}
    assert set(rows) == reachable
    assert len(rows) > 2000
    assert reddit.requests["new"] == reddit.requests["top/all"] == 10
    assert {f"top/{w}" for w in WINDOWS} | {f"search/{w}" for w in WINDOWS} < set(reddit.requests)
    assert rows["p00007"] == {k: v for k, v in post(7).items() if k in reddit_api.FIELDS}


def test_refused_requests_are_retried_after_the_wait_that_reddit_asks_for(reddit: FakeReddit, waits: list[float]) -> None:
    reddit.listings = {"new": [post(n) for n in range(250)]}
    reddit.refusals = [
        (429, {"retry-after": "7"}),
        (429, {"x-ratelimit-reset": "33"}),
        (503, {}),
        (502, {"retry-after": "99999"}),
    ]
    rows = gather(client(), "news", SubredditQuery(("new",), (), ()))
    assert len(rows) == 250
    assert waits == [7.0, 33.0, 8.0, 600.0]


RESETS = [
    ({"x-ratelimit-reset": "0"}, 2.0),
    ({"x-ratelimit-reset": "0.0"}, 2.0),
    ({"x-ratelimit-reset": "0.4", "x-ratelimit-remaining": "0"}, 2.0),
    ({"x-ratelimit-reset": "-1"}, 2.0),
    ({"x-ratelimit-reset": "nan"}, 2.0),
    ({"x-ratelimit-reset": ""}, 2.0),
    ({"x-ratelimit-reset": "1"}, 1.0),
    ({"x-ratelimit-reset": "inf"}, 600.0),
    ({"retry-after": "0"}, 2.0),
    ({"retry-after": "0", "x-ratelimit-reset": "9"}, 9.0),
    ({"retry-after": "soon", "x-ratelimit-reset": "9"}, 9.0),
    ({"retry-after": "Thu, 01 Jan 2015 00:00:00 GMT"}, 2.0),
]


@pytest.mark.parametrize(("headers", "seconds"), RESETS)
def test_a_refusal_waits_at_least_a_second(headers: dict[str, str], seconds: float) -> None:
    response = Response()
    response.headers.update(headers)
    assert wait_seconds(response, 0) == seconds


def test_a_listing_survives_the_last_second_of_a_window(reddit: FakeReddit, waits: list[float]) -> None:
    reddit.listings = {"new": [post(n) for n in range(250)]}
    client_of_reddit = client()
    reddit.refusals = [(429, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "0"})] * (TRIES - 1)
    assert len(gather(client_of_reddit, "news", SubredditQuery(("new",), (), ()))) == 250
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]


def test_no_stored_line_names_a_person(reddit: FakeReddit, tmp_path: Path) -> None:
    parent = {"url": "http://b.example/1", "author": "canary-parent", "permalink": "/r/x/comments/canary", "is_self": False}
    reddit.listings = {"new": [post(9, crosspost_parent_list=[parent], author="canary-author", permalink="/r/canary")]}
    run(tmp_path / "out", listings=("new",), searches=())
    (snapshot,) = (tmp_path / "out").rglob("*.jsonl.gz")
    (line,) = gzip.decompress(snapshot.read_bytes()).splitlines()
    assert b"canary" not in line
    assert parse_line(line, 1, escaped=False) == parse_line(orjson.dumps(reddit.listings["new"][0]), 1, escaped=False)


def test_a_published_snapshot_holds_no_credential_and_the_links_are_fetched_with_theirs(
    reddit: FakeReddit, tmp_path: Path
) -> None:
    canary = "https://a.example/?token=c4n4ry"
    parent = {"url": canary, "subreddit": "u_canary-parent", "is_self": False}
    reddit.listings = {"new": [post(9, url=canary, subreddit="u_canary-person", crosspost_parent_list=[parent])]}
    run(tmp_path / "out", listings=("new",), searches=())
    (snapshot,) = (tmp_path / "out").rglob("*.jsonl.gz")
    stored = gzip.decompress(snapshot.read_bytes())
    assert b"c4n4ry" not in stored
    assert b"canary" not in stored
    assert b"https://a.example/?token=REDACTED" in stored
    (links,) = (tmp_path / "out").glob("links-*.parquet")
    assert addresses_of(str(links)) == {"https://a.example/?token=REDACTED": canary}


def test_endless_refusals_raise_one_line(reddit: FakeReddit, waits: list[float]) -> None:
    reddit.refusals = [(429, {})] * 20
    with pytest.raises(InputError, match=r"refused 8 requests in a row \(last: status 429\); run the same command later"):
        gather(client(), "news", SubredditQuery(("new",)))
    assert waits == [2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]
    assert len(waits) == TRIES


def test_a_closed_port_raises_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, reddit: FakeReddit, waits: list[float]
) -> None:
    (tmp_path / "config" / "praw.ini").write_text("[DEFAULT]\noauth_url=http://127.0.0.1:9\nreddit_url=http://127.0.0.1:9\n")
    monkeypatch.setattr("praw.config.Config.CONFIG", None)
    with pytest.raises(InputError, match="refused 8 requests in a row"):
        gather(client(), "news", SubredditQuery(("new",)))
    assert len(waits) == TRIES


def test_waits_follow_a_date_and_ignore_an_invalid_header() -> None:
    response = Response()
    response.headers["Retry-After"] = format_datetime(datetime.now(UTC) + timedelta(seconds=90))
    assert 80 < wait_seconds(response, 0) <= 90
    response.headers["Retry-After"] = "soon"
    assert wait_seconds(response, 3) == 16.0
    assert wait_seconds(None, 20) == 600.0


@pytest.mark.parametrize(
    ("status", "message"), [(404, "no such subreddit"), (302, "no such subreddit"), (403, "private, banned")]
)
def test_a_subreddit_that_is_not_public_is_named(reddit: FakeReddit, status: int, message: str) -> None:
    reddit.closed = {"secrets": status}
    with pytest.raises(InputError, match=f"r/secrets: .*{message}"):
        gather(client(), "secrets", SubredditQuery())


def test_missing_keys_raise_one_line_that_names_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setattr("praw.config.Config.CONFIG", None)
    monkeypatch.delenv("praw_client_id", raising=False)
    with pytest.raises(InputError, match="praw_client_id and praw_client_secret"):
        run(tmp_path / "out")


def test_refused_keys_are_not_shown(reddit: FakeReddit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("praw_client_secret", "canary-wrong")
    with pytest.raises(InputError, match="refused the keys") as caught:
        gather(client(), "news", SubredditQuery())
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_scores_are_refreshed_a_hundred_per_request(reddit: FakeReddit) -> None:
    reddit.listings = {"new": [post(n) for n in range(250)]}
    reddit.scores = {f"t3_{post(n)['id']}": 1000 + n for n in range(249)}
    rows = gather(client(), "news", SubredditQuery(("new",), (), (), refresh=True))
    assert [row["score"] for row in rows.values()][:249] == [1000 + n for n in range(249)]
    assert rows["p00249"]["score"] == 249 % 50
    assert reddit.id_counts == [100, 100, 50]


def run(folder: Path, **changes: object) -> None:
    settings = LinksSettings(subreddits=("news",), **changes)
    links.STAGE.run(Call({}, str(folder), settings, Engine(workers=1)))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file() and p.name != "run.json"}


def test_lone_surrogates_are_stored_and_read(reddit: FakeReddit, tmp_path: Path) -> None:
    parent = {"title": "\udfff", "url": "http://b.example/\ud83d", "is_self": False}
    reddit.listings = {"new": [post(1, title="half \ud83d", score=50), post(2, crosspost_parent_list=[parent], score=50)]}
    run(tmp_path / "out")
    manifest = orjson.loads((tmp_path / "out" / "manifest.json").read_bytes())
    assert (manifest["books"]["items_in"], manifest["books"]["items_out"]) == (2, 2)


def test_addresses_of_the_api_are_not_unescaped(reddit: FakeReddit, tmp_path: Path) -> None:
    reddit.listings = {"new": [post(9, url="http://a.example/?b=1&amp;c=2", score=50)]}
    run(tmp_path / "out", listings=("new",), searches=())
    tables = [files.read_table(str(path)) for path in (tmp_path / "out").glob("links-*")]
    assert [url for table in tables for url in table.column("url").to_pylist()] == ["http://a.example/?b=1&amp;c=2"]


def test_a_stopped_run_resumes_from_the_stored_submissions(
    reddit: FakeReddit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reddit.listings = {"new": [post(n) for n in range(300)], "top/all": [post(n, created_utc=1.6e9) for n in range(300, 400)]}
    run(tmp_path / "whole")
    requests = reddit.requests.total()

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(links, "bucket_ranges", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "resumed")
    assert reddit.requests.total() == 2 * requests
    reddit.listings = {}
    run(tmp_path / "resumed")
    assert reddit.requests.total() == 2 * requests
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")
    tables = [files.read_table(str(path)) for path in (tmp_path / "whole").glob("links-*")]
    assert sum(len(table.column("submissions").combine_chunks().flatten()) for table in tables) == sum(
        n % 50 >= 3 for n in range(400)
    )


def test_no_secret_reaches_a_file_or_a_log(reddit: FakeReddit, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    reddit.listings = {"new": [post(n) for n in range(5)]}
    reddit.refusals = [(429, {"retry-after": "1"})]
    with caplog.at_level(logging.INFO):
        run(tmp_path / "out")
    assert "waiting 1 s" in caplog.text
    output = b"".join(contents(tmp_path / "out").values()) + (tmp_path / "out" / "run.json").read_bytes() + caplog.text.encode()
    assert b"canary" not in output
    assert CLIENT_ID.encode() not in output


def test_recorded_api_submissions_read_as_dump_lines(reddit: FakeReddit, shared_data: Path) -> None:
    lines = lzma.decompress((shared_data / "reddit" / "api_submissions.jsonl.xz").read_bytes()).splitlines()
    rows = {row["name"]: row for row in map(orjson.loads, lines) if row.get("name")}
    recorded = list(rows.values())[:900]
    reddit.listings = {"new": recorded}
    gathered = gather(client(), "news", SubredditQuery(("new",), (), ()))
    stored = {key: parse_line(orjson.dumps(row, default=str), 1, escaped=False) for key, row in gathered.items()}
    assert stored == {row["id"]: parse_line(orjson.dumps(row), 1, escaped=False) for row in recorded}
    assert all(isinstance(submission, Post) for submission in stored.values())
