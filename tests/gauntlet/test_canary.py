"""Canaries in PRAW's keys and token, URLs, headers, a proxy's password and the environment: no output of a run holds one."""

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from servers.library import pages
from servers.reddit import CLIENT_ID, SECRET, post, serving
from servers.replay import ReplayServer, Reply

from pipeline.storage import files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("WEBTEXT_FULL"), reason="a whole run; WEBTEXT_FULL=1 (one stage: test_secrets.py)"),
]
CANARY = "hush-c4n4ry"
HUSHED = (CANARY.encode(), SECRET.encode(), CLIENT_ID.encode(), b"canary-access-token")


def plain(path: Path) -> bytes:
    """A file's bytes, unpacked where they are packed: gzip, and the pages of a Parquet file."""
    data = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(data)
    return data + (str(files.read_table(str(path)).to_pylist()).encode() if path.suffix == ".parquet" else b"")


def test_no_byte_of_a_whole_run_holds_a_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDDIT_CLIENT_SECRET", "PGPASSWORD", "NETRC"):
        monkeypatch.setenv(name, CANARY)
    monkeypatch.setenv("praw_client_id", CLIENT_ID)
    monkeypatch.setenv("praw_client_secret", SECRET)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    web = {
        url: Reply(page, headers=(("Set-Cookie", f"session={CANARY}"), ("WWW-Authenticate", f'Basic realm="{CANARY}"')))
        for url, page in pages(30).items()
        if isinstance(page, bytes)
    }
    dump = tmp_path / "RS_2017-07.jsonl"
    shared = {"score": 9, "is_self": False, "subreddit": "python", "created_utc": 1_500_000_000}
    posted = [
        url.replace("://", f"://me:{CANARY}@") for url in [*web, "ftp://old.example/", "https://bad.example:port/", "https:///x"]
    ]
    dump.write_text("".join(json.dumps({"id": f"s{i}", "url": url, **shared}) + "\n" for i, url in enumerate(posted)))
    with ReplayServer(web) as server, serving() as reddit:
        reddit.listings = {"new": [post(number) for number in range(9)]}
        (tmp_path / "praw.ini").write_text(f"[DEFAULT]\noauth_url={reddit.url}\nreddit_url={reddit.url}\n")
        proxy = server.proxy_url.replace("http://", f"http://me:{CANARY}@")
        command = [
            *(sys.executable, "-m", "pipeline", "run", "--submissions", str(dump), "--subreddits", "news"),
            *("--output", str(tmp_path / "corpus"), "--proxy", proxy, "--ca-bundle", server.ca_bundle),
            *("--host-delay", "0", "--retries", "0", "--fetched-at", "2026-01-31T12:00:00Z"),
            *("--vocab-size", "300", "--validation-share", "0.1"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert reddit.requests["new"] == 1
        assert sum(server.hits[url] for url in web) == len(web)
    assert [word for word in HUSHED if word in (done.stdout + done.stderr).encode()] == []
    written = [path for path in (tmp_path / "corpus").rglob("*") if path.is_file()]
    assert len(written) > 30
    assert [(str(path), word) for path in written for word in HUSHED if word in plain(path)] == []
