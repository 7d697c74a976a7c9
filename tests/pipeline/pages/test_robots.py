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
def test_longest_match_in_all_groups_of_the_agent_decides(path: str, allowed: bool) -> None:
    robots = Robots.parse(RULES, "webtext")
    assert robots.has_rules
    assert robots.allows(BASE + path) is allowed


def test_other_agents_obey_the_star_group() -> None:
    assert not Robots.parse(RULES, "other").allows(BASE + "/x")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
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
