"""Credentials and user names are removed from text, wherever in it they stand, and nothing else is."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipeline.records import Drop
from pipeline.redaction import excerpt, is_secret, is_secret_header, redact
from pipeline.urls import dedup_key, fetch_url, keys


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://u:p@h.example/a", "https://h.example/a"),
        ("http://h.example/?token=1&x=2", "http://h.example/?token=REDACTED&x=2"),
        ("http://h.example/?x=2&access_token=a%20b#f", "http://h.example/?x=2&access_token=REDACTED#f"),
        ("http://h.example/?sid=1;key=2", "http://h.example/?sid=REDACTED-G3DW;key=REDACTED-Z4WY"),
        ("http://h.example/?monkey=2&author=x", "http://h.example/?monkey=2&author=x"),
        ("at http://u:p@h.example/ and http://v@i.example/", "at http://h.example/ and http://i.example/"),
    ],
)
def test_passwords_and_keys_are_redacted(text: str, expected: str) -> None:
    assert redact(text) == expected


S = "hush-c4n4ry"
HIDDEN = [
    f"token={S}",
    f"(Location: /a?token={S})",
    f"'http://h.example/?a=b&amp;token={S}'",
    f"https://h.example/?tok%65n={S}",
    f"https://h.example/?X-Amz-Signature={S}&X-Amz-Credential={S}%2F2020",
    f"https://h.example/?user[password]={S}",
    f"https://h.example/?user%5Bpassword%5D={S}",
    f"https://h.example/?user%255Bpassword%255D%3D{S}",
    f"https://h.example/?u=http%3A%2F%2Fb.example%2F%3Ftoken%3D{S}%26x%3D1&p=1",
    f"https://h.example/?u=http://b.example/?token={S}",
    f"https://h.example/?u=http%253A%252F%252Fme%253A{S}%2540b.example%252F",
    f"http%3A%2F%2Fme%3A{S}%40h%2F",
    f"https://h.example/a;jsessionid={S}/b",
    f"https://h.example/a;JSESSIONID={S}?x=1",
    f"https://h.example/(S({S}))/a.aspx",
    f"https://h.example/(A({S})S({S}))/a.aspx",
    f"https://h.example/session={S}/b",
    f"https://h.example/#access_token={S}&x=1",
    f"https://h.example/#/path?id_token={S}",
    f"https://h.example/?_escaped_fragment_=/a?x=1%26token={S}",
    f"https://h.example/eyJhbGciOi.eyJzdWIiOi{S}.{S}/x",
    f"https://h.example/?x=eyJhbGciOi.eyJzdWIiOi{S}.{S}",
    f"https://h.example/?a=1;auth={S};b=2",
    f"//me:{S}@h.example/",
    f"https:\\\\me:{S}@h.example\\a",
    f"see <https://me:{S}@h.example/> and '//you:{S}@h.example'",
    f"https://h.example/?awsaccesskeyid={S}&Signature={S}",
    f"https://h.example/?accessToken={S}&clientSecret={S}&refreshToken={S}",
    f"https://h.example/?key={S}&sid={S}&formkey={S}",
    "https://www.reddit.com/user/hush-c4n4ry/comments",
    "https://old.reddit.com/u/hush-c4n4ry",
    "https://a.example/?u=https%3A%2F%2Freddit.com%2Fu%2Fhush-c4n4ry",
    "https://www.reddit.com/r/u_hush-c4n4ry/comments/1",
]


@pytest.mark.parametrize("number", range(len(HIDDEN)))
def test_a_secret_is_removed_wherever_it_stands(number: int) -> None:
    shown = redact(HIDDEN[number])
    assert S not in shown
    assert redact(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://h.example/?keyword=a&author=b&sort=c&design=d&compass=e&passion=f&pinterest=g&monkey=h&code=7&state=ny&id=3",
        "https://medium.com/@name/a-title-1a2b3c",
        "https://h.example/a@b?x=y",
        "https://flickr.com/photos/1234@N00/5?in=set-7",
        "https://h.example/wiki/Secret_(film)?token",
        "https://www.reddit.com/r/AskReddit/comments/abc/title",
        "robots.txt: 3 failures in a row",
        "https://h.example/?q=a%20b%3Dc&utm_source=x",
    ],
)
def test_ordinary_addresses_stay(text: str) -> None:
    assert redact(text) == text


def test_names_of_secrets_are_told_from_other_names() -> None:
    for name in (
        "Token",
        "user_token",
        "csrfmiddlewaretoken",
        "X-Auth",
        "SessionID",
        "ASPSESSIONIDQQ",
        "oauth_nonce",
        "pass",
        "PIN",
    ):
        assert is_secret(name), name
    for name in ("tokyo", "keynote", "keyword", "passage", "author", "signal", "obsession", "sidebar", "pinned", "assigned"):
        assert not is_secret(name), name
    assert is_secret_header("x-auth-token")
    assert not is_secret_header("access-control-allow-credentials")


def test_text_is_redacted_before_it_is_cut() -> None:
    text = f"ftp://{'x' * 70}:{S}@h.example/?token={S}"
    assert excerpt(text, 80) == "ftp://h.example/?token=REDACTED"
    for most in range(1, 120):
        assert "hush" not in redact(excerpt(text, most))


def test_pages_that_a_key_names_stay_two_pages() -> None:
    one, two = (f"https://docs.example/ccc?key=0Ask{n}PeTLrQ" for n in "12")
    assert redact(one) != redact(two)
    assert dedup_key(one) != dedup_key(two)
    for name in ("sid", "action_key", "siteKey", "formkey", "event[key]"):
        assert dedup_key(f"https://h.example/a?{name}=1040") != dedup_key(f"https://h.example/a?{name}=5096")
    assert dedup_key(f"https://h.example/a?token={one[-9:]}") == dedup_key("http://h.example/a?token=other")


def test_a_key_of_a_page_holds_no_secret_and_is_that_of_the_published_address() -> None:
    for text in HIDDEN:
        try:
            fetched, key = keys(text)
        except ValueError:
            continue
        assert S not in key
        assert dedup_key(redact(fetched)) == key
        assert fetch_url(redact(fetched)) == redact(fetched)


@pytest.mark.parametrize(
    "address",
    [
        "https://me:{}@bad host/",
        "ftp://me:{}@h.example/",
        "https:me:{}@h.example/",
        "https:\\\\me:{}@a b/",
        "https://" + "x" * 90 + ":{}@a b/",
        "https://me:{}@h.example:port/?token={}",
        "me:{}@h.example",
        "gopher://h.example/?token={}",
    ],
)
def test_why_an_address_is_refused_quotes_no_secret(address: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        keys(address.replace("{}", S))
    assert S not in str(refused.value)


PIECES = st.lists(
    st.sampled_from(
        ["?", "&", "=", ";", "/", "%26", "%3D", "%253D", "token", "key", "a", "1", "(S(", "))", "eyJabcde.abcde", "@", "//"]
    )
)


@given(PIECES)
@example(["token", "=", "//", "?", "?"])  # a parameter without a value ends a path, whose slashes a key lacks
@example(["(S(", "?", "/", "&", "))"])  # a query begins within what reads as a session
@example(["(S(", "a", "))", "/", "?", "(S(", "&", "))"])
def test_redaction_is_idempotent_and_agrees_with_the_keys_of_pages(pieces: list[str]) -> None:
    url = f"http://h.example/{''.join(pieces)}"
    assert redact(redact(url)) == redact(url)
    try:
        fetched, key = keys(url)
    except ValueError:
        return
    assert dedup_key(redact(fetched)) == key
    assert dedup_key(key) == key


def test_drops_hold_no_credentials() -> None:
    (row,) = Drop.table([Drop("pages", f"https://me:{S}@h.example/", "dns", f"to http://h.example/?sid={S}")]).to_pylist()
    assert row == {
        "stage": "pages",
        "item": "https://h.example/",
        "reason": "dns",
        "detail": "to http://h.example/?sid=REDACTED-DSHY",
    }
