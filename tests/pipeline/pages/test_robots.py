import pytest

from pipeline.pages.robots import MAX_BYTES, Robots, robots_url

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
def test_the_longest_match_of_all_our_groups_decides(path: str, allowed: bool) -> None:
    robots = Robots.parse(RULES, "webtext")
    assert robots.has_rules
    assert robots.allows(BASE + path) is allowed


def test_others_fall_under_the_star() -> None:
    assert not Robots.parse(RULES, "other").allows(BASE + "/x")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_byte_order_mark_hides_no_rule(mark: bytes) -> None:
    assert not Robots.parse(mark + b"User-agent: *\nDisallow: /", "webtext").allows(BASE + "/x")


@pytest.mark.parametrize(("asked", "delay"), [(b"7", 7.0), (b"0.5", 1.0), (b"900", 30.0), (b"soon", 1.0)])
def test_crawl_delay_is_heeded_to_thirty_seconds(asked: bytes, delay: float) -> None:
    assert Robots.parse(b"User-agent: *\nCrawl-delay: " + asked, "webtext").delay_seconds(1.0) == delay


def test_what_lies_beyond_500_kib_is_ignored() -> None:
    head = b"User-agent: *\nDisallow: /a\n"
    body = head + b"#" * (MAX_BYTES - len(head) - 1) + b"\n" + b"Disallow: /b\n"
    robots = Robots.parse(body, "webtext")
    assert not robots.allows(BASE + "/a")
    assert robots.allows(BASE + "/b")


def test_no_rules_allow_and_no_answer_disallows() -> None:
    assert Robots.unavailable("webtext").allows(BASE + "/x")
    assert not Robots.unreachable("webtext").allows(BASE + "/x")
    assert Robots.parse(b"", "webtext").allows(BASE + "/x")
    assert Robots.parse(b"\xff\xfe\x00garbage\n\n:::", "webtext").allows(BASE + "/x")


@pytest.mark.parametrize(
    "url", ["https://a.example:8443/x/y?z", "https://a.example:8443", "https://a.example:8443?q", "https://a.example:8443#f"]
)
def test_rules_are_an_origins(url: str) -> None:
    assert robots_url(url) == "https://a.example:8443/robots.txt"
