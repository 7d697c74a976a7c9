import os
import re
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tld import get_fld

from pipeline.reddit import Post, parse_lines
from pipeline.urls import dedup_key, domain_of, fetch_url, host_of

FETCHED = [
    ("http://example.com", "http://example.com/"),
    ("HTTP://EXAMPLE.com/A", "http://example.com/A"),
    ("  https://example.com/a\n", "https://example.com/a"),
    ("http://example.com:80/", "http://example.com/"),
    ("https://example.com:443/", "https://example.com/"),
    ("https://example.com:/", "https://example.com/"),
    ("http://example.com:0080/", "http://example.com/"),
    ("http://example.com:443/", "http://example.com:443/"),
    ("http://user:secret@example.com/", "http://example.com/"),
    ("http://a@b@example.com/", "http://example.com/"),
    ("http://example.com/a/./b/../c", "http://example.com/a/c"),
    ("http://example.com/../../a", "http://example.com/a"),
    ("http://example.com/a/%2e%2E/b", "http://example.com/b"),
    ("http://example.com/a/..", "http://example.com/"),
    ("http://example.com//a//b", "http://example.com//a//b"),
    ("http://example.com/%7euser/%3a%2f", "http://example.com/~user/%3A%2F"),
    ("http://example.com/100%", "http://example.com/100%25"),
    ("http://example.com/a b?c d", "http://example.com/a%20b?c%20d"),
    ("http://example.com/é?é", "http://example.com/%C3%A9?%C3%A9"),
    ("http://example.com/a;b=1,2", "http://example.com/a;b=1,2"),
    ("http://example.com?q", "http://example.com/?q"),
    ("http://example.com/?", "http://example.com/?"),
    ("http://example.com/a#b?c", "http://example.com/a"),
    ("http://example.com/#!/user", "http://example.com/?_escaped_fragment_=/user"),
    ("http://example.com/a?b=1#!c=2&d=3", "http://example.com/a?b=1&_escaped_fragment_=c=2%26d=3"),
    ("http://example.com/?#!/a%20b c#d+é", "http://example.com/?_escaped_fragment_=/a%2520b%20c%23d%2B%C3%A9"),
    ("http://example.com/#!", "http://example.com/"),
    ("http://example.com/#!/", "http://example.com/"),
    ("http://example.com/#a!b", "http://example.com/"),
    ("http:\\\\example.com\\a", "http://example.com/a"),
    ("http://example.com\\a\\..\\b?c\\d#e\\f", "http://example.com/b?c%5Cd"),
    ("http://user:secret@example.com\\@other.example", "http://example.com/@other.example"),
    ("\x00\x1b http://example.com/\x1f \r ", "http://example.com/"),
    ("http://[::ffff:127.0.0.1]/", "http://[::ffff:7f00:1]/"),
    ("http://[1:0:0:2:0:0:0:3]/", "http://[1:0:0:2::3]/"),
    ("http://[0:0:0:0:0:0:0:0]/", "http://[::]/"),
    ("http://[1:0:0:0:0:0:0:0]/", "http://[1::]/"),
    ("http://[1:2:3:4:5:6:0:8]/", "http://[1:2:3:4:5:6:0:8]/"),
    ("http://example.com/?a=[1]|{2}", "http://example.com/?a=%5B1%5D%7C%7B2%7D"),
    ("http://example.com/?utm_source=x&b=2&a=1", "http://example.com/?utm_source=x&b=2&a=1"),
    ("http://Bücher.example/", "http://xn--bcher-kva.example/"),
    ("http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
    ("http://例え。テスト/", "http://xn--r8jz45g.xn--zckzah/"),
    ("http://i❤.ws/", "http://xn--i-7iq.ws/"),
    ("http://%65xample.com/", "http://example.com/"),
    ("http://a_b.example.com/", "http://a_b.example.com/"),
    ("http://-a-.tumblr.com/", "http://-a-.tumblr.com/"),
    ("http://[2001:DB8::0:1]:8080/x", "http://[2001:db8::1]:8080/x"),
    ("http://2130706433/", "http://2130706433/"),
    ("http://example.com./", "http://example.com./"),
]
REFUSED = [
    "",
    "example.com/a",
    "//example.com/",
    "ftp://example.com/",
    "javascript:alert(1)",
    "mailto:a@example.com",
    "http://",
    "http:///a",
    "http://exa mple.com/",
    "http://a..b/",
    f"http://{'a' * 64}.com/",
    f"http://{'a.' * 130}com/",
    "http://example.com:99999/",
    "http://example.com:x/",
    "http://[::1/",
    "http://[::zz]/",
    "http://exa<mple.com/",
    "http://%00.com/",
    "http://%ff.com/",
    "http://example.com/" + "a" * 9000,
]
NAMED = [
    ("http://[fe80::1%25eth0]/", "an IPv6 zone"),
    ("http://[fe80::1%eth0]/", "an IPv6 zone"),
    ("http://[::%31]/", "an IPv6 zone"),
    ("http://[[::1]]/", "not an IPv6 address"),
    ("http://exa mple.com/", "a space character"),
    ("http://exa%20mple.com/", "a space character"),
    ("http://exa\u3000mple.com/", "a space character"),
    ("http://exa\u00a0mple.com/", "a space character"),
    ("http://exa%C2%A0mple.com/", "a space character"),
    ("http://exa\x07mple.com/", "a control character"),
    ("http://exa%7Fmple.com/", "a control character"),
    ("http://exa\x85mple.com/", "a control character"),
    ("http://exa\u2028mple.com/", "a control character"),
    ("http://exa\u202emple.com/", "a bidi character"),
    ("http://exa%E2%80%AEmple.com/", "a bidi character"),
    ("http://exa\u200fmple.com/", "a bidi character"),
    ("http://xn--exaple-" + "exa\u202eple".encode("punycode").decode().rpartition("-")[2] + ".com/", "a bidi character"),
    ("http://a\u05d0.example/", "letters of both directions"),
    ("http://\u0627b.example/", "letters of both directions"),
]
KEYS = [
    ("http://www.example.com/", "https://example.com/"),
    ("https://m.example.com", "https://example.com/"),
    ("http://www2.example.co.uk/a/", "https://example.co.uk/a"),
    ("http://www.m.example.com/", "https://example.com/"),
    ("http://m.com/", "https://m.com/"),
    ("http://www.co.uk/", "https://www.co.uk/"),
    ("http://amp.example.com/a/amp/", "https://example.com/a"),
    ("http://example.com/a.amp", "https://example.com/a"),
    ("http://example.com/a?amp=1", "https://example.com/a"),
    ("http://example.com/amp", "https://example.com/amp"),
    ("http://example.com:443/", "https://example.com/"),
    ("http://example.com:8080/", "https://example.com:8080/"),
    ("http://example.com./a", "https://example.com/a"),
    ("http://example.com/?b=2&a=1&&a=1", "https://example.com/?a=1&a=1&b=2"),
    ("http://example.com/?UTM_Source=x&fbclid=1&gclid=2&page=3", "https://example.com/?page=3"),
    ("http://example.com/?utm%5Fsource=x", "https://example.com/"),
    ("http://example.com/a;jsessionid=1F2E?phpsessid=4", "https://example.com/a"),
    ("http://example.com/a#b", "https://example.com/a"),
    ("http://example.com/A", "https://example.com/A"),
    ("http://youtube.com/watch?v=1", "https://youtube.com/watch?v=1"),
    ("http://www.example.com/#!/a/1", "https://example.com/?_escaped_fragment_=/a/1"),
    ("https://example.com/?_escaped_fragment_=/a/1", "https://example.com/?_escaped_fragment_=/a/1"),
    ("http://example.com/#!/", "https://example.com/"),
    ("http://www.食狮.公司.cn/", "https://xn--85x722f.xn--55qx5d.cn/"),
    ("http://www.xn--55qx5d.cn/", "https://www.xn--55qx5d.cn/"),
    ("http://example.com//..amp", "https://example.com/"),
]
HASH_BANGS = ["", "#!/a/status/1", "#!/b/status/2", "#!a", "#!b", "#!/a?b=1", "#!/a?b=2", "#!/a&b", "#!/a/b", "#!/A"]


@pytest.mark.parametrize(("url", "expected"), FETCHED)
def test_fetch_url_is_normalised_and_idempotent(url: str, expected: str) -> None:
    assert fetch_url(url) == expected
    assert fetch_url(expected) == expected


@pytest.mark.parametrize("url", REFUSED)
def test_a_url_that_is_not_http_raises(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        fetch_url(url)
    with pytest.raises(ValueError, match=r"."):
        dedup_key(url)


@pytest.mark.parametrize(("url", "message"), NAMED)
def test_a_host_that_no_reader_can_tell_is_refused_by_name(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        fetch_url(url)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("site", ["http://twitter.com/", "http://gawker.example/a?b=1", "http://m.example.com"])
def test_pages_named_after_a_hash_bang_are_different_pages(site: str) -> None:
    assert len({fetch_url(site + fragment) for fragment in HASH_BANGS}) == len(HASH_BANGS)
    assert len({dedup_key(site + fragment) for fragment in HASH_BANGS}) == len(HASH_BANGS)


@pytest.mark.parametrize(("url", "expected"), KEYS)
def test_spellings_of_one_page_share_a_key(url: str, expected: str) -> None:
    assert dedup_key(url) == expected
    assert dedup_key(expected) == expected


@pytest.mark.parametrize(
    "url",
    [
        "http://u:canary@a b/",
        "x://u:canary@example.com",
        "http://u:canary/@example.com/",
        "http://u:c?canary@a b",
        "x:\\\\u:canary@a.com",
    ],
)
def test_an_error_shows_no_password(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        fetch_url(url)
    assert "canary" not in str(caught.value)


def test_domains_follow_the_public_suffix_list() -> None:
    names = ["news.bbc.co.uk", "www.example.com", "a.b.blogspot.com", "127.0.0.1", "[::1]", "localhost", "example.com."]
    domains = [domain_of(name) for name in names]
    assert domains == ["bbc.co.uk", "example.com", "blogspot.com", "127.0.0.1", "[::1]", "localhost", "example.com"]
    ascii_names = [fetch_url(f"http://{name}/")[7:-1] for name in ("a.食狮.公司.cn", "a.b.個人.hk", "c.a.b.ålesund.no", "x.a.рф")]
    unicode_domains = ("食狮.公司.cn", "b.個人.hk", "b.ålesund.no", "a.рф")
    assert [domain_of(name) for name in ascii_names] == [fetch_url(f"http://{name}/")[7:-1] for name in unicode_domains]
    assert domain_of("xn--55qx5d.cn") == "xn--55qx5d.cn"
    assert domain_of("a.b.xn--zzzzz-.example") == "a.b.xn--zzzzz-.example"
    assert host_of("http://[::1]:8080/a") == "[::1]"
    assert host_of("http://example.com:8080/a") == "example.com"


CHARACTERS = "aZ09-._~!$&'()*+,;=:@/?#[]%\\ \té中❤"
PARTS = [*CHARACTERS, "#!", "..amp", "%2e", "%41", "%zz", "..", "/./", "/../", "//", "amp", "utm_a=1", "www.", "m.", ":80"]
TOKENS = st.sampled_from(PARTS)
ADDRESSES = st.builds(
    lambda scheme, host, rest: f"{scheme}://{host}{''.join(rest)}",
    st.sampled_from(["http", "HTTPS"]),
    st.one_of(
        st.sampled_from(["example.com", "www.m.example.co.uk", "u:p@Bücher.example:80", "[::1]:443", "amp.m.com."]),
        st.lists(TOKENS, max_size=6).map("".join),
    ),
    st.lists(TOKENS, max_size=14),
)


def check_keys(url: str) -> bool:
    """Whether the URL has keys; asserts that they are idempotent, ASCII without unsafe characters, and agree with each other."""
    try:
        fetched = fetch_url(url)
    except ValueError:
        return False
    assert fetch_url(fetched) == fetched
    assert fetched.isascii()
    assert not re.search(r"[\s<>\"\\^`{|}#]", fetched)
    key = dedup_key(url)
    assert dedup_key(key) == key
    assert dedup_key(fetched) == key
    assert fetch_url(key) == key
    return True


@settings(max_examples=300, deadline=None)
@given(ADDRESSES)
def test_keys_are_idempotent_on_any_url(url: str) -> None:
    check_keys(url)


def test_keys_are_idempotent_on_generated_urls() -> None:
    random = Random(1)
    hosts = ["example.com", "www.m.example.co.uk", "u:p@Bücher.example:80", "[::1]:443", "amp.m.com.", "a%62c.example:8080"]
    urls = [
        f"{random.choice(['http', 'HTTPS'])}://{random.choice(hosts)}/{''.join(random.choices(PARTS, k=8))}"
        for _ in range(10_000)
    ]
    assert sum(map(check_keys, urls)) == len(urls)


@pytest.mark.slow
def test_keys_are_idempotent_on_real_urls(shared_data) -> None:
    dumps = ["RS_v2_2005-07.xz", "api_submissions.jsonl.xz", "top2013.jsonl.zst"]
    urls = {p.url for d in dumps for p in parse_lines(str(shared_data / "reddit" / d)) if isinstance(p, Post) and not p.is_self}
    assert len(urls) > 250_000
    checked = sorted(urls)[:: 1 if os.environ.get("WEBTEXT_FULL") else 8]
    assert len(checked) - sum(map(check_keys, checked)) < 30


def test_the_shortcut_for_common_suffixes_agrees_with_the_list() -> None:
    for suffix in ("com", "net", "org"):
        for name in (f"a.{suffix}", f"b.a.{suffix}", f"uk.{suffix}", f"x.co.uk.{suffix}", f"www.gov.{suffix}"):
            assert domain_of(name) == get_fld(f"http://{name}", search_private=False)
