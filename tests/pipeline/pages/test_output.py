import gzip

import pytest
from servers.stage_runs import link
from warc_files import BODY, NOON

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.outcomes import NO_REDIRECTS, FetchedPage
from pipeline.pages.output import journal_entry
from pipeline.pages.warc_writer import response_head

URL = "https://example.com/"
PACKED = gzip.compress(BODY, mtime=0)


def head_of(response: HttpResponse) -> dict[str, object]:
    page = FetchedPage(URL, response, "text/html", None, NOON, NO_REDIRECTS, response_head(response))
    return journal_entry(page, link(URL))[0]


@pytest.mark.parametrize(
    "value", ["a\x85Content-Encoding: br", "a\x0bb", "a\x1cTransfer-Encoding: chunked", "\xa0", "a\r\n b", "\u4e2d"]
)
def test_page_with_any_header_value_is_stored(value: str) -> None:
    assert head_of(HttpResponse(URL, 200, "OK", ((f"X{value}Y", "a"),), BODY, ()))["body_bytes"] == len(BODY)
    assert head_of(HttpResponse(URL, 200, "OK", (("X-Name", value),), BODY, ()))["body_bytes"] == len(BODY)
    assert head_of(HttpResponse(URL, 200, value, (("Content-Encoding", "gzip"),), BODY, (), PACKED))["body_bytes"] == len(BODY)


@pytest.mark.parametrize(
    ("headers", "body", "coded"),
    [
        ((("Content-Encoding", "gzip"),), PACKED, None),
        ((("Content-Encoding", "gzip"),), BODY, PACKED[:-5]),
        ((("Content-Encoding", "br"),), bytes(range(99)), None),
    ],
)
def test_page_whose_record_would_not_give_it_back_is_a_drop(
    headers: tuple[tuple[str, str], ...], body: bytes, coded: bytes | None
) -> None:
    assert head_of(HttpResponse(URL, 200, "OK", headers, body, (), coded))["reason"] == "bad_record"
