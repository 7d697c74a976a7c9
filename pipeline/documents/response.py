"""Pages from HTTP responses, for callers who fetch pages themselves."""

from collections.abc import Mapping

from pipeline.pages.media import declared_charset, media_type
from pipeline.records import RawPage
from pipeline.urls import dedup_key, domain_of, host_of


def page_from_response(url: str, body: bytes, headers: Mapping[str, str]) -> RawPage:
    """The page of a response, ready for extraction. `body` is decoded of transfer and content codings.

    The media type is what the body's first bytes show, else what Content-Type says; the charset is Content-Type's. Names of headers may be
    in any case. Raises ValueError where `url` is not an http or https URL.

    >>> page = page_from_response("http://example.org/a", b"<p>Hello", {"content-type": "text/html; charset=latin1"})
    >>> page.media_type, page.charset, page.dedup_key
    ('text/html', 'latin1', 'https://example.org/a')
    """
    content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), "")
    key = dedup_key(url)
    return RawPage(
        url=url,
        body=body,
        media_type=media_type(content_type, body),
        charset=declared_charset(content_type),
        dedup_key=key,
        domain=domain_of(host_of(key)),
    )
