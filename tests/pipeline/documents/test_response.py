import pytest

from pipeline.extract import page_from_response

URL = "https://www.bbc.co.uk/news/1?utm_source=x"


@pytest.mark.parametrize(("headers", "body", "media_type", "charset"), [
    ({"Content-Type": "text/html; charset=ISO-8859-1"}, b"<p>x", "text/html", "iso-8859-1"),
    ({"content-type": "TEXT/HTML"}, b"<p>x", "text/html", None),
    ({"CONTENT-TYPE": 'application/xhtml+xml; charset="utf-8"', "Server": "x"}, b"<p>x", "application/xhtml+xml", "utf-8"),
    ({"Content-Type": "text/html"}, b"%PDF-1.7", "application/pdf", None),
    ({}, b"<!doctype html><p>x", "text/html", None),
    ({}, b"\x00\x01", "application/octet-stream", None),
])  # fmt: skip
def test_media_type_and_charset_of_a_response(headers: dict[str, str], body: bytes, media_type: str, charset: str | None) -> None:
    page = page_from_response(URL, body, headers)
    assert (page.url, page.body, page.media_type, page.charset) == (URL, body, media_type, charset)


def test_page_of_a_response_has_the_key_and_domain_of_its_url() -> None:
    page = page_from_response(URL, b"", {})
    assert (page.dedup_key, page.domain) == ("https://bbc.co.uk/news/1", "bbc.co.uk")
    with pytest.raises(ValueError, match="not an absolute http or https URL"):
        page_from_response("ftp://example.org/", b"", {})
