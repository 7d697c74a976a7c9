import pytest

from pipeline.pages.settings import PagesSettings


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"allow_addresses": ("127.0.0.0/33",)}, "--allow-addresses 127.0.0.0/33: not a network"),
        ({"threads": 0}, "--threads 0: must be more than 0"),
        ({"host_delay": -1.0}, "--host-delay -1.0: must be 0 or more"),
        ({"max_redirects": -1}, "--max-redirects -1: must be 0 or more"),
        ({"fetched_at": "yesterday"}, "--fetched-at yesterday: not an instant such as 2026"),
        ({"proxy": "ftp://me:secret@x"}, "--proxy ftp://x: not of the form"),
        ({"contact": "a\nb"}, "--contact: printable ASCII only"),
    ],
)
def test_invalid_settings_are_named(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace(".", r"\.")):
        PagesSettings(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("user_agent", "token"),
    [
        ("", "webtext"),
        ("mybot", "mybot"),
        ("mybot/1.0", "mybot"),
        ("my_bot-2/1.0 (+https://example.com)", "my_bot-2"),
        ("Mozilla/5.0 (compatible; mybot/1.0; +https://example.com)", "mybot"),
        ("Mozilla/5.0 (compatible; mybot +https://example.com)", "mybot"),
        ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; mybot/1.2) Chrome/120.0 Safari/537.36", "mybot"),
        ("Mozilla/5.0 (X11; Linux) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36 mybot/1.0", "mybot"),
        ("Mozilla/5.0 (mybot; +https://example.com)", "mybot"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "webtext"),
        ("(a comment alone)", "webtext"),
    ],
)
def test_robots_are_read_for_the_product_of_the_user_agent(user_agent: str, token: str) -> None:
    assert PagesSettings(user_agent=user_agent).politeness.agent == token
