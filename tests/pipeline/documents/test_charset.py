import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import charset


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.one_of(st.none(), st.text(max_size=20)))
def test_any_bytes_become_writable_text(body: bytes, declared: str | None) -> None:
    text, _ = charset.decode(body, declared)
    cleaned = charset.clean(text)
    assert cleaned.encode().decode() == cleaned
    assert unicodedata.is_normalized("NFC", cleaned)
    assert "\0" not in cleaned


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
def test_bytes_are_decoded_as_browsers_do(body: bytes, declared: str | None, text: str, encoding: str) -> None:
    assert charset.decode(body, declared) == (text, encoding)
