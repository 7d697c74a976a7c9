import socketserver
import threading
from collections.abc import Iterator

import pytest
from servers.hostile import WHOLE, full

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.cookies import ChainCookies
from pipeline.pages.crawl import Crawl, first_requests
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.outcomes import FetchedPage, FetchOutcome
from pipeline.pages.politeness import Politeness

URL = "http://a.example/b"


def redirect(*cookies: str, url: str = URL) -> HttpResponse:
    return HttpResponse(url, 302, "Found", tuple(("Set-Cookie", cookie) for cookie in cookies), b"", ())


def header(*cookies: str, url: str = URL, target: str = URL, setter: str = URL) -> str:
    return ChainCookies().after(redirect(*cookies, url=setter), target).header(url)


@pytest.mark.parametrize(
    ("cookies", "sent"),
    [
        (["seen=1"], "seen=1"),
        (["seen=1; Path=/; HttpOnly"], "seen=1"),
        (["a=1", "b=2; Max-Age=60"], "a=1; b=2"),
        (["a=1", "a=2"], "a=2"),
        (["a=1", "a=; Max-Age=0"], ""),
        (["a="], "a="),
        (["a=1; Secure"], ""),
        (["no cookie"], ""),
        (["a=\x01"], "a="),
        (["a b=1"], ""),
        ([], ""),
    ],
)
def test_cookies_are_sent_after_a_redirect_back(cookies: list[str], sent: str) -> None:
    assert header(*cookies) == sent


def test_cookies_stay_with_their_host_and_scheme() -> None:
    assert header("a=1", url="http://other.example/b") == ""
    assert header("a=1", url="https://a.example/b") == "a=1"
    secure = "https://a.example/b"
    assert header("a=1; Secure", setter=secure, target=secure, url=secure) == "a=1"
    assert header("a=1", setter=secure, target=secure, url=URL) == ""


def test_cookies_are_not_sent_without_a_redirect_back() -> None:
    onwards = ChainCookies().after(redirect("a=1"), "http://a.example/c")
    assert onwards.header("http://a.example/c") == ""
    back = onwards.after(redirect(url="http://a.example/c"), URL)
    assert back.header(URL) == "a=1"


class Wall(socketserver.StreamRequestHandler):
    """Redirects every request without its cookie to the same page."""

    seen: list[bytes]

    def handle(self) -> None:
        while line := self.rfile.readline():
            lines = list(iter(self.rfile.readline, b"\r\n"))
            cookie = next((field for field in lines if field.lower().startswith(b"cookie:")), b"")
            self.seen.append(cookie)
            if b"seen=1" in cookie:
                self.wfile.write(full())
            else:
                path = line.split()[1].decode()
                self.wfile.write(full("Set-Cookie: seen=1; Path=/", f"Location: {path}", body=b"", status="302 Found"))


@pytest.fixture
def wall() -> Iterator[tuple[str, list[bytes]]]:
    seen: list[bytes] = []
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), type("OneWall", (Wall,), {"seen": seen}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", seen
    server.shutdown()
    thread.join()
    server.server_close()


def test_page_behind_a_cookie_wall_is_fetched_and_the_cookie_forgotten(wall: tuple[str, list[bytes]]) -> None:
    base, seen = wall
    outcomes: list[FetchOutcome] = []
    with Client("webtext/test", AddressPolicy.of(["127.0.0.1/32"]), RequestLimits(10.0)) as client:
        Crawl(client, Politeness(delay_seconds=0.0, robots=False), outcomes.append).run(
            first_requests([f"{base}/a", f"{base}/b"]), 1
        )
    pages = [outcome for outcome in outcomes if isinstance(outcome, FetchedPage)]
    assert [page.response.body for page in pages] == [WHOLE, WHOLE]
    assert [bool(cookie) for cookie in seen] == [False, True, False, True]
    assert not any(name.lower() == "cookie" for page in pages for name, _ in page.response.request_headers)
