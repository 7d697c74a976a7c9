import gzip
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator as FastArchiveIterator
from hypothesis import given
from hypothesis import strategies as st
from warc_files import BODY, NOON, write_warc
from warcio.archiveiterator import ArchiveIterator
from warcio.checker import Checker

from pipeline.pages.header_parser import split_head
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.outcomes import DroppedLink, PageDrop, page_or_drop
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_record import parse_record
from pipeline.pages.warc_writer import (
    TRANSFER_HEADERS,
    UnwritableResponseError,
    exchange_members,
    metadata_member,
    response_head,
)
from pipeline.redaction import is_secret_header, redact

TYPE = ("Content-Type", "text/html")


def response(*headers: tuple[str, str], phrase: str = "OK") -> HttpResponse:
    return HttpResponse("https://example.com/a", 200, phrase, (TYPE, *headers), BODY, ())


def stored(given: HttpResponse) -> HttpResponse:
    """The response as its record gives it back."""
    member = exchange_members(given, NOON)
    return http_response(parse_record(gzip.decompress(member.members[: member.response_length]), 0, member.response_length))


def test_secrets_are_not_written(tmp_path: Path) -> None:
    write_warc(tmp_path / "a.warc.gz")
    text = gzip.decompress((tmp_path / "a.warc.gz").read_bytes())
    assert b"hush" not in text
    assert b"reddit-submission: abc python 7" in text


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    write_warc(tmp_path / "a.warc.gz")
    first = (tmp_path / "a.warc.gz").read_bytes()
    write_warc(tmp_path / "a.warc.gz")
    assert (tmp_path / "a.warc.gz").read_bytes() == first


class CheckArguments:
    """Arguments of `warcio check`."""

    def __init__(self, inputs: list[str]) -> None:
        self.inputs = inputs
        self.verbose = False
        self.verbosity = 0


def test_other_tools_read_the_file_without_errors(tmp_path: Path) -> None:
    path = tmp_path / "a.warc.gz"
    write_warc(path)
    with path.open("rb") as file:
        bodies = [r.content_stream().read() for r in ArchiveIterator(file, check_digests="raise") if r.rec_type == "response"]
    assert bodies == [BODY] * 3
    with path.open("rb") as file:
        fast = [
            r.verify_payload_digest()
            for r in FastArchiveIterator(file, parse_http=True)
            if r.is_http and "response" in str(r.record_type)
        ]
    assert fast == [True] * 3
    checker = Checker(CheckArguments([str(path)]))
    checker.process_all()
    assert checker.exit_value == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("\xd1\x85Content-Encoding: br", "%D1%85Content-Encoding: br"),
        ("a\x0bContent-Encoding: br", "a Content-Encoding: br"),
        ("a\x0cContent-Encoding: br", "a Content-Encoding: br"),
        ("a\x1cb\x1dc\x1ed", "a b c d"),
        ("a\r\nContent-Encoding: br", "a Content-Encoding: br"),
        ("a\rb\nc\0d\x7fe", "a b c d e"),
        ("\x80\x9f", "%80%9F"),
        ("caf\xe9", "caf\xe9"),
        ("a\xa0", "a\xa0"),
        ("\xe2\x80\xa8 x", "%E2%80%A8 x"),
        ("\u2028x", "%26%238232%3Bx"),
    ],
)
def test_controls_in_a_header_do_not_split_it(value: str, shown: str) -> None:
    head, rest = split_head(response_head(response(("X-Name", value), phrase=value)))
    assert (head.values("x-name"), head.phrase, len(head.fields), rest) == ([shown], shown, 3, b"")


def test_redirect_with_byte_85_leads_to_the_same_url() -> None:
    head, _ = split_head(response_head(response(("Location", "/\xd1\x85?a=\xd1\x8f"))))
    assert head.values("location") == ["/%D1%85?a=%D1%8F"]


@given(
    st.lists(st.tuples(st.text(max_size=6), st.text(st.characters(max_codepoint=0x2030), max_size=12)), max_size=6),
    st.text(st.characters(max_codepoint=0x2030), max_size=12),
)
def test_every_record_is_read_back_or_is_a_drop(headers: list[tuple[str, str]], phrase: str) -> None:
    page = response(*headers, phrase=phrase)
    outcome = page_or_drop(page.url, page, NOON)
    if isinstance(outcome, DroppedLink):
        assert outcome.reason in (PageDrop.BAD_RESPONSE, PageDrop.NOT_HTML)
    else:
        assert stored(page).body == BODY


def test_head_that_is_not_read_back_is_a_drop() -> None:
    page = response(("X-Long", "x" * 70_000))
    with pytest.raises(UnwritableResponseError):
        response_head(page)
    outcome = page_or_drop(page.url, page, NOON)
    assert isinstance(outcome, DroppedLink)
    assert outcome.reason is PageDrop.BAD_RESPONSE


@pytest.mark.parametrize("value", ["a\x85b", "a\u2028b", "a\u2029b", "a\x0bb", "a\nb"])
def test_controls_in_a_metadata_record_do_not_split_its_lines(value: str) -> None:
    record = gzip.decompress(metadata_member("https://example.com/", NOON, "<urn:uuid:x>", [("via", value)]))
    assert b"\r\nvia: a b\r\n" in record


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="".join(map(chr, range(127, 160)))))


@given(st.lists(st.tuples(st.from_regex(r"[!-9;-~]{1,9}", fullmatch=True), PRINTABLE), max_size=8), PRINTABLE)
def test_plain_head_is_read_back_as_its_grammar_promises(headers: list[tuple[str, str]], phrase: str) -> None:
    given_fields = [
        (name, redact(value))
        for name, value in headers
        if name.lower() not in TRANSFER_HEADERS and not is_secret_header(name.lower())
    ]
    head, rest = split_head(response_head(response(*given_fields, phrase=phrase)))
    assert (head.phrase, rest) == (phrase.strip(" "), b"")
    assert head.fields[1:-1] == tuple((name, value.strip(" ")) for name, value in given_fields)
