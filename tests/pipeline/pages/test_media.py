import pytest

from pipeline.pages.media import declared_charset, media_type

HTML = b"<!DOCTYPE html><html><p>x"


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("text/html", HTML, "text/html"),
        ("TEXT/HTML; charset=x", b"no markup", "text/html"),
        ("application/xhtml+xml", HTML, "application/xhtml+xml"),
        ("text/plain", HTML, "text/plain"),
        ("", HTML, "text/html"),
        ("", b"\xef\xbb\xbf \n<html>", "text/html"),
        ("", b"<!-- a --> <!-- b --><HTML>", "text/html"),
        ("text/xml", b'<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x"><html>', "text/html"),
        ("text/xml", b'<?xml version="1.0"?><rss>', "text/xml"),
        ("application/octet-stream", b"words", "application/octet-stream"),
        ("", b"words", "application/octet-stream"),
        ("text/html", b"%PDF-1.5", "application/pdf"),
        ("text/html", b"\x89PNG\r\n\x1a\n", "image/png"),
        ("text/html", b"\xff\xd8\xff\xe0", "image/jpeg"),
        ("text/html", b"PK\x03\x04", "application/zip"),
        ("text/html", b"\x1f\x8b\x08", "application/gzip"),
        ("text/plain", b"\0\1\2", "application/octet-stream"),
        ("text/html", b"\xff\xfe<\0h\0t\0m\0l\0", "text/html"),
        ("text/html; charset=UTF-16LE", b"<\0h\0t\0m\0l\0", "text/html"),
        ("image/png", HTML, "image/png"),
        ("text/html, text/html", HTML, "text/html"),
        ("text/html,text/html;charset=utf-8", b"no markup", "text/html"),
        ("image/png, text/html", HTML, "text/html"),
        ("text/html, image/png", HTML, "image/png"),
        ("text/html, charset=utf-8", b"no markup", "text/html"),
        ("text/plain, */*", HTML, "text/plain"),
        ("text/html, ", b"no markup", "text/html"),
        (", text/html", b"no markup", "text/html"),
        ('text/html; a="b, text/plain"', HTML, "text/html"),
        ('text/html; a="b\\", text/plain', HTML, "text/html"),
        ('image/png; a="b, text/plain", text/html', HTML, "text/html"),
        ("text/html charset=utf-8", HTML, "text/html"),
        ("charset=utf-8", HTML, "text/html"),
        ("html", HTML, "text/html"),
        ('"text/html"', HTML, "text/html"),
        ("text/", HTML, "text/html"),
        ("text/html/x", HTML, "text/html"),
        ("\xff;;;=", HTML, "text/html"),
        ("text/html\x0b", b"no markup", "text/html"),
        ("html", b"no markup", "application/octet-stream"),
        ("text/html, text/plain; charset=utf-16le", b"w\0o\0r\0d\0", "text/plain"),
        ("application/json", b"{}", "application/json"),
    ],
)
def test_media_type_from_header_and_first_bytes(header: str, body: bytes, expected: str) -> None:
    assert media_type(header, body) == expected


@pytest.mark.parametrize(
    ("header", "charset"),
    [
        ("text/html", None),
        ("text/html; charset=UTF-8", "utf-8"),
        ("text/html;charset='latin-1'", "latin-1"),
        ('text/html; a=b ; charset = "x-sjis"', "x-sjis"),
        ("text/html; charset=", None),
        ("text/html; charset=gbk, text/html", "gbk"),
        ("text/html; charset=gbk, text/plain", None),
        ("text/html; charset=gbk, text/plain, text/html", None),
        ("text/html; charset=gbk, text/html; charset=big5", "big5"),
        ("text/html; charset=gbk, */*; charset=big5", "gbk"),
        ("text/html; charset=gbk, charset=big5", "gbk"),
        ('text/html; charset=gbk, text/html; x=", text/plain', "gbk"),
        ("TEXT/HTML; charset=gbk, text/html", "gbk"),
        ("text/html; charset=u\0tf", "u"),
        ("text/html; charset=" + "a" * 99, "a" * 40),
    ],
)
def test_declared_charset(header: str, charset: str | None) -> None:
    assert declared_charset(header) == charset
