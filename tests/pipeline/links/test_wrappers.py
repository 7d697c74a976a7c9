import pytest

from pipeline.links.intake import accept
from pipeline.links.rules import LinkRules
from pipeline.links.settings import LinksSettings, SourceKind
from pipeline.links.wrappers import LONGEST_CHAIN, resolve
from pipeline.records import Drop
from pipeline.reddit import Post
from pipeline.urls import fetch_url

PAGE, QUERY = "https://www.example.com/a/b", "https://www.example.com/a?b=1&c=2"
ENCODED = "https%3A%2F%2Fwww.example.com%2Fa%3Fb%3D1%26c%3D2"
WRAPPED = [
    ("https://www-example-com.translate.goog/a/b?_x_tr_sl=de&_x_tr_tl=en&_x_tr_hl=en", PAGE),
    ("https://www-example-com.translate.goog/a?b=1&_x_tr_sl=auto&c=2&_x_tr_tl=en", QUERY),
    ("https://a--b-example-co-uk.translate.goog/?_x_tr_sch=http&_x_tr_sl=de", "http://a-b.example.co.uk/"),
    (f"http://googleweblight.com/?lite_url={ENCODED}&ei=x&lc=en", QUERY),
    (f"https://googleweblight.com/i?u={ENCODED}&hl=en", QUERY),
    ("https://urldefense.proofpoint.com/v2/url?u=https-3A__www.example.com_a-3Fb-3D1-26c-3D2&d=DwMF&c=x", QUERY),
    (f"https://urldefense.proofpoint.com/v1/url?u={ENCODED}&k=x", QUERY),
    ("https://urldefense.com/v3/__https://www.example.com/a/b__;!!AbC!x$", PAGE),
    ("https://www-example-com.cdn.ampproject.org/c/s/www.example.com/a/b", PAGE),
    ("https://www-example-com.cdn.ampproject.org/v/s/www.example.com/a/b?usqp=mq331&amp_js_v=0.1", PAGE),
    ("https://www-example-com.cdn.ampproject.org/v/s/www.example.com/a?b=1&amp_js_v=0.1&c=2", QUERY),
    ("http://cdn.ampproject.org/c/www.example.com/a/b", "http://www.example.com/a/b"),
    ("https://a.cdn.ampproject.org/wp/s/www.example.com/a/b#amp=1", PAGE),
    ("https://www-example-com.bing-amp.com/c/s/www.example.com/a/b", PAGE),
    ("https://www.bing.com/amp/s/www.example.com/a/b", PAGE),
    ("https://www.google.com/amp/s/www.example.com/a/b", PAGE),
    ("https://www.google.co.uk/amp/s/www.example.com/a/b", PAGE),
    ("https://google.de/amp/www.example.com/a/b", "http://www.example.com/a/b"),
    (f"https://www.google.com/url?sa=t&q={ENCODED}&usg=x", QUERY),
    (f"http://www.google.com.au/url?sa=t&rct=j&q=words&url={ENCODED}", QUERY),
    (f"http://news.google.com/news/url?sa=T&url={ENCODED}", QUERY),
    (f"https://www.google.com/imgres?imgurl=http%3A%2F%2Fa.example%2Fa.jpg&imgrefurl={ENCODED}", QUERY),
    (f"https://translate.google.com/translate?sl=de&u={ENCODED}", QUERY),
    (
        "http://webcache.googleusercontent.com/search?q=cache:AbCdEfGhIjkJ:www.example.com/a/b+words&hl=en",
        "http://www.example.com/a/b",
    ),
    ("http://webcache.googleusercontent.com/search?q=cache%3Ahttps%3A%2F%2Fwww.example.com%2Fa%2Fb", PAGE),
    (f"https://l.facebook.com/l.php?u={ENCODED}&h=AT0", QUERY),
    (f"http://lm.facebook.com/l.php?h=AT0&u={ENCODED}", QUERY),
    (f"http://www.facebook.com/l.php?u={ENCODED}", QUERY),
    (f"https://l.instagram.com/?e=x&u={ENCODED}", QUERY),
    (f"https://out.reddit.com/t3_abc?url={ENCODED}&token=x&app_name=reddit.com", QUERY),
    ("http://web.archive.org/web/20130102030405/https://www.example.com/a/b", PAGE),
    ("https://web.archive.org/web/20130102030405id_/https://www.example.com/a?b=1&c=2", QUERY),
    ("https://web.archive.org/web/2013*/https://www.example.com/a/b", PAGE),
    ("https://web.archive.org/web/*/https://www.example.com/a/b", PAGE),
    ("https://web.archive.org/web/https:/www.example.com/a/b", PAGE),
    ("https://web.archive.org/save/https://www.example.com/a/b", PAGE),
    ("https://web.archive.org/web/20130102030405/https%3A%2F%2Fwww.example.com/a%2Fb", PAGE),
    ("http://wayback.archive.org/web/20130102030405/www.example.com/a/b", "http://www.example.com/a/b"),
    ("http://web.archive.org/web/2013/example.com/a", "http://example.com/a"),
    ("http://www.archive.org/web/20130102030405/https://www.example.com/a/b", PAGE),
    ("http://archive.is/2013.01.02-030405/https://www.example.com/a/b", PAGE),
    ("https://archive.today/newest/https://www.example.com/a/b", PAGE),
    ("http://webarchive.nationalarchives.gov.uk/20130102030405/https://www.example.com/a/b", PAGE),
    ("https://arquivo.pt/wayback/20130102030405/https://www.example.com/a/b", PAGE),
    (f"http://www.webcitation.org/query?url={ENCODED}&date=2013-01-02", QUERY),
    (f"https://www.youtube.com/redirect?event=x&q={ENCODED}", QUERY),
    (f"https://t.umblr.com/redirect?z={ENCODED}&t=x", QUERY),
    (f"https://duckduckgo.com/l/?kh=-1&uddg={ENCODED}", QUERY),
    (f"https://steamcommunity.com/linkfilter/?url={ENCODED}", QUERY),
    (f"https://vk.com/away.php?to={ENCODED}", QUERY),
    (f"https://www.linkedin.com/redir/redirect?url={ENCODED}", QUERY),
    (f"https://slack-redir.net/link?url={ENCODED}", QUERY),
    (f"https://disq.us/url?url={ENCODED}%3Ax", QUERY + ":x"),
    (f"http://go.redirectingat.com/?id=1&url={ENCODED}", QUERY),
    (f"http://redirect.viglink.com/?key=1&u={ENCODED}", QUERY),
    ("https://12ft.io/https://www.example.com/a/b", PAGE),
    ("https://webarchive.loc.gov/all/20130102030405/https://www.example.com/a/b", PAGE),
    ("http://timetravel.mementoweb.org/memento/2013/https://www.example.com/a/b", PAGE),
    ("https://wayback.vefsafn.is/web/20130102030405/https://www.example.com/a/b", PAGE),
    ("https://nullrefer.com/?https://www.example.com/a/b", PAGE),
    ("https://r.search.yahoo.com/_ylt=x/RU=https%3a%2f%2fwww.example.com%2fa%2fb/RK=0/RS=x", PAGE),
    ("http://href.li/?https://www.example.com/a?b=1&c=2", QUERY),
    ("http://anonym.to/?https://www.example.com/a/b", PAGE),
    ("https://outline.com/https://www.example.com/a/b", PAGE),
    (f"https://eur01.safelinks.protection.outlook.com/?url={ENCODED}&data=x", QUERY),
    (f"https://l.facebook.com/l.php?u=https%3A%2F%2Fwww.google.com%2Furl%3Fq%3D{ENCODED.replace('%', '%25')}", QUERY),
    ("https://web.archive.org/web/2017/https://www.google.com/amp/s/www.example.com/a/b", PAGE),
]
UNWRAPPED = [
    "http://example.com/url?q=http%3A%2F%2Fa.example%2F",
    "http://notgoogle.com/url?q=http%3A%2F%2Fa.example%2F",
    "http://google.com.example.com/url?q=http%3A%2F%2Fa.example%2F",
    "http://cdn.ampproject.org.example.com/c/s/a.example/b",
    "https://www.google.com/search?q=http%3A%2F%2Fa.example%2F",
    "https://www.google.com/url?q=words",
    "https://www.google.com/url?q=javascript%3Aalert(1)",
    "https://www.google.com/url?q=http%3A%2F%2Fexa%20mple%2F",
    "https://www.google.com/amp/",
    "https://plus.google.com/a/posts/b",
    "https://archive.org/details/some.item",
    "https://archive.org/stream/a/b.c/d.txt",
    "https://archive.org/",
    "https://archive.org/download/2013/20130102/a.txt",
    "http://archive.is/AbCdE",
    "https://web.archive.org/web/20130102030405/",
    "https://www.facebook.com/page/posts/1?u=http%3A%2F%2Fa.example%2F",
    "https://www.youtube.com/watch?v=1",
    "https://l.facebook.com/l.php?h=x",
    "https://out.reddit.com/t3_abc",
    "https://cdn.ampproject.org/v0.js",
    "https://anonym.to/?words",
    "https://vk.com/wall-1_2",
    "https://www.bing.com/search?q=a",
]


@pytest.mark.parametrize(("url", "page"), WRAPPED)
def test_a_wrapper_resolves_to_its_page(url: str, page: str) -> None:
    assert resolve(fetch_url(url)) == page


@pytest.mark.parametrize("url", UNWRAPPED)
def test_an_address_that_wraps_no_page_stays(url: str) -> None:
    assert resolve(fetch_url(url)) == fetch_url(url)


def test_a_chain_of_wrappers_ends() -> None:
    url = "https://web.archive.org/web/2013/" * (LONGEST_CHAIN * 3) + PAGE
    assert len(resolve(url)) == len(url) - LONGEST_CHAIN * len("https://web.archive.org/web/2013/")


def reason(url: str, **changes: object) -> str | None:
    post = Post("abc", "news", 5, 1_400_000_000, url, is_self=False, over_18=False, quarantine=False)
    result = accept(post, LinkRules.of(LinksSettings(**changes), SourceKind.DUMP))
    return str(result.reason) if isinstance(result, Drop) else None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.google.com/amp/s/en.m.wikipedia.org/wiki/A", "removed_site"),
        ("https://web.archive.org/web/2013/http://en.wikipedia.org/wiki/A", "removed_site"),
        ("https://out.reddit.com/t3_a?url=http%3A%2F%2Fde.wikipedia.org%2Fwiki%2FA", "removed_site"),
        ("https://out.reddit.com/t3_a?url=http%3A%2F%2Fa.example%2F", None),
        ("https://out.reddit.com/t3_a?url=https%3A%2F%2Fi.redd.it%2Fabc", "reddit_host"),
        ("https://out.reddit.com/t3_a", "reddit_host"),
        ("https://l.facebook.com/l.php?u=http%3A%2F%2Fa.example%2Fa.pdf", "media_file"),
        ("https://www.google.com/url?q=http%3A%2F%2Fa.example%2F", None),
    ],
)
def test_the_rules_judge_the_wrapped_page(url: str, expected: str | None) -> None:
    assert reason(url) == expected


def test_a_wrapped_page_folds_with_the_page_itself() -> None:
    rules = LinkRules.of(LinksSettings(), SourceKind.DUMP)
    post = Post("abc", "news", 5, 1_400_000_000, PAGE, is_self=False, over_18=False, quarantine=False)
    rows = [
        accept(Post("abc", "news", 5, 1_400_000_000, url, False, False, False), rules) for url, page in WRAPPED if page == PAGE
    ]
    assert {row[:4] for row in rows} == {accept(post, rules)[:4]}
