"""A fake Reddit on loopback: the part of the OAuth and listing API that PRAW uses, with pages, rate limits and refusals."""

import base64
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

CLIENT_ID, SECRET = "an-app-of-ours", "canary-client-secret"
PAGE, CAP = 100, 1000


def post(number: int, **fields: Any) -> dict[str, Any]:
    """A submission as the API returns it."""
    name = f"p{number:05d}"
    defaults = {
        "id": name,
        "name": f"t3_{name}",
        "subreddit": "news",
        "subreddit_id": "t5_1",
        "author": "someone",
        "score": number % 50,
        "created_utc": 1_500_000_000.0 + number,
        "url": f"http://example{number % 7}.com/{number}",
        "is_self": False,
        "over_18": False,
        "quarantine": False,
        "title": f"Title {number}",
        "permalink": f"/r/news/comments/{name}/",
    }
    return defaults | fields


class FakeReddit:
    """Submissions by listing (`new`, `top/week`, `search/day` …), refusals of the first requests, and counts of requests.

    `closed` gives the status of subreddits that are not public; `id_counts` holds the number of ids of each request for scores.
    """

    def __init__(self) -> None:
        self.listings: dict[str, list[dict[str, Any]]] = {}
        self.scores: dict[str, int] = {}
        self.refusals: list[tuple[int, dict[str, str]]] = []
        self.closed: dict[str, int] = {}
        self.requests: Counter[str] = Counter()
        self.id_counts: list[int] = []
        self.url = ""

    def answer(self, path: str, query: dict[str, str]) -> tuple[int, Any]:
        """Status and JSON body for a GET request."""
        if path == "/api/info":
            names = query["id"].split(",")
            self.requests["info"] += 1
            self.id_counts.append(len(names))
            known = {row["name"]: row for rows in self.listings.values() for row in rows}
            return 200, listing([known[n] | {"score": self.scores[n]} for n in names if n in self.scores], None)
        _, _, subreddit, kind = path.split("/", 3)
        if subreddit in self.closed:
            return self.closed[subreddit], {}
        kind = f"{kind}/{query['t']}" if "t" in query else kind
        self.requests[kind] += 1
        rows = self.listings.get(kind, [])[:CAP]
        names = [row["name"] for row in rows]
        start = names.index(query["after"]) + 1 if query.get("after") else 0
        page = rows[start : start + min(PAGE, int(query.get("limit", 25)))]
        return 200, listing(page, page[-1]["name"] if page and start + len(page) < len(rows) else None)


def listing(rows: list[dict[str, Any]], after: str | None) -> dict[str, Any]:
    """Submissions in the envelope of Reddit's listings."""
    return {"kind": "Listing", "data": {"after": after, "children": [{"kind": "t3", "data": row} for row in rows]}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeReddit

    def log_message(self, *_: Any) -> None:
        """Log nothing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        expected = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
        if self.headers.get("authorization") != f"Basic {expected}":
            return self._send(401, {"error": 401})
        return self._send(200, {"access_token": "canary-access-token", "token_type": "bearer", "expires_in": 86400, "scope": "*"})

    def do_GET(self) -> None:
        if self.fake.refusals:
            status, headers = self.fake.refusals.pop(0)
            return self._send(status, {}, headers)
        address = urlsplit(self.path)
        if self.headers.get("authorization") != "bearer canary-access-token":
            return self._send(401, {})
        status, body = self.fake.answer(address.path.rstrip("/"), {k: v[0] for k, v in parse_qs(address.query).items()})
        limits = {"x-ratelimit-remaining": "900", "x-ratelimit-used": "100", "x-ratelimit-reset": "540"}
        return self._send(status, body, limits | ({"location": "/subreddits/search"} if status == 302 else {}))

    def _send(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        if self.close_connection:  # prawcore requests it with its keys: without the header it may reuse the closing connection
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving() -> Iterator[FakeReddit]:
    """The fake Reddit, served on a free port while the block runs."""
    fake = FakeReddit()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": fake}))
    server.daemon_threads = True
    fake.url = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
