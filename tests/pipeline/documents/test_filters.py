import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import charset, cleaning

SURPRISES = st.text(st.characters(codec=None), max_size=300)


@pytest.mark.parametrize("line", [
    "Read more »", "READ MORE: Something else happened", "Share this article on Facebook", "Advertisement", "  3 Comments",
    "Sign up for our newsletter", "All rights reserved.", "© 2017 The Daily Planet", "We use cookies to improve your visit.",
    "Please enable JavaScript to view the comments.", "Skip to main content", "Follow her on Twitter @someone", "DON'T MISS",
    "Privacy Policy", "Click here for more information.", "Leave a reply", "Related articles", "Get the latest news in your inbox",
])  # fmt: skip
def test_furniture_goes(line: str) -> None:
    assert cleaning.strip_boilerplate(f"The cat sat.\n{line}\nThe dog ran.") == ("The cat sat.\nThe dog ran.", 1)


@pytest.mark.parametrize("line", [
    "The cookies were still warm when she came home.", "Share prices fell by a third in the first hour of trading.",
    "Comments by the minister were not well received.", "He follows the old road to the harbour.",
    "Watch out for the dog.", "Email had not been invented.", "Follow the money.", "Print was dying.", "Related to this is the tide.",
    "Sign language is a language.", "Accepting the prize, she wept.", "Read the whole book before you judge it.",
])  # fmt: skip
def test_prose_stays(line: str) -> None:
    assert cleaning.strip_boilerplate(line) == (line, 0)


@settings(max_examples=300, deadline=None)
@given(SURPRISES)
def test_cleaning_takes_any_text_and_changes_nothing_twice(text: str) -> None:
    once = charset.clean(text)
    assert charset.clean(once) == once
    once.encode()
    for step in (cleaning.tidy, lambda t: cleaning.strip_boilerplate(t)[0]):
        cleaned = step(once)
        assert step(cleaned) == cleaned


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=20)))
def test_any_bytes_become_a_text_that_can_be_written(body: bytes, declared: str | None) -> None:
    text, _ = charset.decode(body, declared)
    cleaned = charset.clean(text)
    assert cleaned.encode().decode() == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert "\0" not in cleaned


@pytest.mark.parametrize(("heading", "text", "rest"), [
    ("A storm is coming", "A storm is coming\nStay at home.", "Stay at home."),
    ("A storm is coming | The Daily", "A Storm is Coming\nStay at home.", "Stay at home."),
    ("A storm is coming", "By our reporter\nA storm is coming!\nStay at home.", "Stay at home."),
    ("Storm", "Stay at home.\nNow.\nPlease.\nStorm", "Stay at home.\nNow.\nPlease.\nStorm"),
    ("Storm warning for the coast", "Storm\nStay at home.", "Storm\nStay at home."),
    ("", "Stay at home.", "Stay at home."),
])  # fmt: skip
def test_the_title_leaves_the_text(heading: str, text: str, rest: str) -> None:
    assert cleaning.strip_title(text, frozenset({heading}))[0] == rest


@pytest.mark.parametrize(("host", "site"), [
    ("wikipedia.org", "wikipedia.org"), ("en.m.Wikipedia.org.", "wikipedia.org"), ("notwikipedia.org", None), ("org", None), ("", None),
])  # fmt: skip
def test_a_site_is_itself_and_all_below(host: str, site: str | None) -> None:
    assert cleaning.on_site(host, frozenset({"wikipedia.org"})) == site


@pytest.mark.parametrize(("body", "declared", "text", "encoding"), [
    ("é".encode(), None, "é", "utf-8"),
    (b"\xe9", "latin1", "é", "windows-1252"),
    (b"\x93quoted\x94", "iso-8859-1", "“quoted”", "windows-1252"),
    ("日本".encode("shift_jis"), "Shift_JIS", "日本", "shift_jis"),
    (b"<meta charset=windows-1251>" + "Привет".encode("cp1251"), None, "<meta charset=windows-1251>Привет", "windows-1251"),
    ("<meta charset=gb2312>中文".encode("gbk"), None, "<meta charset=gb2312>中文", "gb18030"),
    ("<meta charset=latin1>déjà".encode(), None, "<meta charset=latin1>déjà", "utf-8"),
    (b"\xef\xbb\xbfhello", "windows-1252", "hello", "utf-8"),
    ("\ufeffhé".encode("utf-16-be"), None, "hé", "utf-16be"),
    (b"<meta charset=utf-16>plain", None, "<meta charset=utf-16>plain", "utf-8"),
    (b"abc", "punycode", "abc", "utf-8"),
    (b"abc", "u\x00tf", "abc", "utf-8"),
    ("long text, é and ü and ö".encode() + b"\xff", "utf-8", "long text, é and ü and ö\ufffd", "utf-8"),
])  # fmt: skip
def test_bytes_are_read_as_the_web_reads_them(body: bytes, declared: str | None, text: str, encoding: str) -> None:
    assert charset.decode(body, declared) == (text, encoding)
