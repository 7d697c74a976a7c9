import json
import os
from pathlib import Path

import pytest

from pipeline.pages.robots import MAX_BYTES, Robots, robots_url

VECTORS = Path(os.environ.get("WEBTEXT_STANDARDS", "../shared/data/standards")) / "robots"
BASE = "https://a.example"
RULES = b"""
User-agent: foo
User-agent: webtext
Disallow: /private
Allow: /private/but
Disallow: /*.gif$
Crawl-delay: 7

User-agent: *
Disallow: /

User-agent: webtext
Disallow: /merged
"""


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/", True),
        ("/private", False),
        ("/private/x", False),
        ("/private/but/x", True),
        ("/a.gif", False),
        ("/a.gif?x", True),
        ("/merged", False),
    ],
)
def test_longest_match_in_all_groups_of_the_agent_decides(path: str, allowed: bool) -> None:
    robots = Robots.parse(RULES, "webtext")
    assert robots.has_rules
    assert robots.allows(BASE + path) is allowed


def test_other_agents_obey_the_star_group() -> None:
    assert not Robots.parse(RULES, "other").allows(BASE + "/x")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf", b"\xef\xbb", b"\xef"])
def test_byte_order_mark_does_not_hide_rules(mark: bytes) -> None:
    assert not Robots.parse(mark + b"User-agent: *\nDisallow: /", "webtext").allows(BASE + "/x")


@pytest.mark.parametrize(("requested", "delay"), [(b"7", 7.0), (b"0.5", 1.0), (b"900", 30.0), (b"soon", 1.0)])
def test_crawl_delay_is_obeyed_up_to_thirty_seconds(requested: bytes, delay: float) -> None:
    assert Robots.parse(b"User-agent: *\nCrawl-delay: " + requested, "webtext").delay_seconds(1.0) == delay


def test_rules_beyond_500_kib_are_ignored() -> None:
    head = b"User-agent: *\nDisallow: /a\n"
    body = head + b"#" * (MAX_BYTES - len(head) - 1) + b"\n" + b"Disallow: /b\n"
    robots = Robots.parse(body, "webtext")
    assert not robots.allows(BASE + "/a")
    assert robots.allows(BASE + "/b")


def test_absent_rules_allow_and_unreachable_rules_disallow() -> None:
    assert Robots.unavailable("webtext").allows(BASE + "/x")
    assert not Robots.unreachable("webtext").allows(BASE + "/x")
    assert Robots.parse(b"", "webtext").allows(BASE + "/x")
    assert Robots.parse(b"\xff\xfe\x00garbage\n\n:::", "webtext").allows(BASE + "/x")


@pytest.mark.parametrize(
    "url", ["https://a.example:8443/x/y?z", "https://a.example:8443", "https://a.example:8443?q", "https://a.example:8443#f"]
)
def test_robots_url_is_per_origin(url: str) -> None:
    assert robots_url(url) == "https://a.example:8443/robots.txt"


@pytest.mark.parametrize(
    ("line", "ours"),
    [
        ("webtext", True),
        ("WebText", True),
        ("webtext/1.0", True),
        ("webtext/0.1 (https://example.com)", True),
        ("webtext 1.0", True),
        ("webtext # ours", True),
        ("*webtext*", True),
        ("web", False),
        ("text", False),
        ("webtexts", False),
        ("webtext-news", False),
        ("webtext_news", False),
        ("mywebtext", False),
        ("Mozilla/5.0 (compatible; webtext)", False),
        ("", False),
    ],
)
def test_product_token_is_compared_whole(line: str, ours: bool) -> None:
    named = Robots.parse(f"User-agent: *\nDisallow: /a\n\nUser-agent: {line}\nDisallow: /b".encode(), "webtext")
    assert (named.allows(BASE + "/a"), named.allows(BASE + "/b")) == ((True, False) if ours else (False, True))


@pytest.mark.parametrize(
    "line",
    [
        "Noindex: /q",
        "Clean-param: sid /",
        "Content-Signal: ai-train=no",
        "Crawl-delay: 5",
        "Sitemap: https://a.example/s.xml",
        "Host: a.example",
        "Request-rate: 1/5",
        "words without a meaning",
        ":::",
        "",
        "# a comment",
    ],
)
def test_other_lines_do_not_end_a_group(line: str) -> None:
    for text in (
        f"User-agent: webtext\n{line}\nUser-agent: other\nDisallow: /x",
        f"User-agent: webtext\nDisallow: /y\n{line}\nDisallow: /x",
    ):
        assert not Robots.parse(text.encode(), "webtext").allows(BASE + "/x")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_line_end_is_one(end: str) -> None:
    text = end.join(["User-agent: webtext", "", "Disallow: /x", "User-agent: *", "Disallow: /"])
    robots = Robots.parse(text.encode(), "webtext")
    assert robots.allows(BASE + "/y")
    assert not robots.allows(BASE + "/x")


@pytest.mark.parametrize("control", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"])
def test_other_controls_end_no_line(control: str) -> None:
    text = f"User-agent: *\nDisallow: /\nDisallow: /x{control}User-agent: webtext{control}Allow: /\n"
    assert not Robots.parse(text.encode(), "webtext").allows(BASE + "/y")


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ("User-agent: webtext\n\nUser-agent: *\nDisallow: /", False),
        ("User-agent: *\nDisallow: /\n\nUser-agent: webtext\n", True),
        ("User-agent: *\nDisallow: /\n\nUser-agent: webtext\nDisallow:\n", True),
        ("User-agent: webtext\nDisallow:\nUser-agent: *\nDisallow: /", True),
        ("User-agent: *\nDisallow: /a\nUser-agent: *\nDisallow: /x", False),
        ("User-agent: other\nUser-agent: *\nDisallow: /x", False),
        ("Disallow: /x\nUser-agent: *\nAllow: /", True),
        ("User-agent * \nDisallow /x", False),
        ("user agent: *\ndissallow: /x", False),
        ("Useragent: webtext\nDisallow: /\nAllow: /x", True),
    ],
)
def test_groups(text: str, allowed: bool) -> None:
    assert Robots.parse(text.encode(), "webtext").allows(BASE + "/x") is allowed


DELIBERATE = {
    "the file robots.txt itself may always be fetched": {
        ("asdfbot", "http://m.example.com/robots.txt"),
        ("BarBot", "http://example.com/robots.txt"),
        ("AB", "http://example.com/robots.txt"),
        ("XYZ", "http://example.com/robots.txt"),
    },
    "the agent is a product token, not a whole User-Agent": {
        ("Foo Bar", "http://foo.bar/x/y"),
        ("harry potter", "http://foo.bar/horcrux"),
        ("Mozilla/5.0 (compatible; Львів-bot/1.1)", "/totalitarianism/foo.htm"),
    },
    "a token may contain digits": {("AB42bot", "http://example.com/foo/bar"), ("AB42bot", "http://example.com/")},
    "rules are compared with the address to fetch, decoded": {
        ("FooBot", "http://foo.bar/foo/bar/ツ"),
        ("FooBot", "http://foo.bar/foo/bar/baz"),
        ("foobot", "https://example.com/foo/bar?baz=https%3A%2F%2Ffoo.bar"),
    },
    "a token must match as a whole, as RFC 9309 says": {
        ("hedwig-news2", "/group1"),
        ("hedwig-new", "/group2"),
        ("hedwig-new", "/group3"),
        ("hedwig-images", "/group2"),
        ("hedwig-images", "/group3"),
    },
    "an unknown line does not end a group": {
        ("agent", "/foo"),
        ("agent", "/foobar"),
        ("agent", "/content/2"),
    },
    "an asterisk inside a token has no meaning": {("foobot", "http://foo.bar/myprofile")},
}


def test_docs_list_every_deliberate_difference() -> None:
    text = (Path(__file__).parents[3] / "docs" / "urls.md").read_text("utf-8").lower()
    assert {name for name in DELIBERATE if name.lower() not in text} == set()


@pytest.mark.parametrize("name", ["google", "ctc", "rfc9309", "protego"])
def test_vectors_of_other_parsers(name: str) -> None:
    path = VECTORS / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no vectors in {VECTORS}")
    wrong = set()
    for _, text, agent, url, allowed in json.loads(path.read_text("utf-8"))["vectors"]:
        if Robots.parse(text.encode("utf-8", "surrogateescape"), agent).allows(url) is not allowed:
            wrong.add((agent, url))
    assert wrong <= set().union(*DELIBERATE.values())
