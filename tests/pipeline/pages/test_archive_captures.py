"""Which captures of an archive are pages, and which of them is taken."""

import hashlib
from base64 import b32encode
from pathlib import Path

import pytest
from archive_records import http, outcomes, record

from pipeline.engine.runner import Engine
from pipeline.pages.warc_record import payload_digest

PAGE = b"<!doctype html><title>A page</title><p>Words of a page that is long enough."
OTHER = b"<!doctype html><p>Another page."
URL, LATER = "http://a.example.org/", "http://b.example.org/later"


def digests(data: bytes) -> list[str]:
    """Spellings of one payload's digests."""
    sha1, sha256 = hashlib.sha1(data), hashlib.sha256(data)
    base32 = b32encode(sha1.digest()).decode()
    long = b32encode(sha256.digest()).decode()
    return [
        f"sha1:{base32}",
        f"SHA1:{base32}",
        f"sha-1:{base32.lower()}",
        f"sha1:{sha1.hexdigest()}",
        f"sha1: {sha1.hexdigest().upper()}",
        f"sha256:{sha256.hexdigest()}",
        f"SHA-256:{sha256.hexdigest().upper()}",
        f"sha256:{long}",
        f"sha256:{long.rstrip('=')}",
        f"sha-256:{long.lower()}",
        f"md5:{hashlib.md5(data).hexdigest()}",
        f"blake3:{'ab' * 32}",
    ]


def test_revisit_known_by_its_payload_alone_has_the_page_of_any_address(tmp_path: Path, engine: Engine) -> None:
    records, expected = [record("http://other.example.org/", http(OTHER), f"WARC-Payload-Digest: {digests(OTHER)[0]}")], {}
    for number in range(12):
        page, later = PAGE + b"%d" % number, f"{LATER}{number}"
        spelled = digests(page)
        same = [digest for digest in spelled if normal(digest) == normal(spelled[number])]
        records += [
            record(f"{URL}{number}", http(page), f"WARC-Payload-Digest: {same[0]}"),
            record(later, http(b""), f"WARC-Payload-Digest: {spelled[number]}", kind="revisit", date="2017-01-01"),
        ]
        expected[later] = page
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


def normal(digest: str) -> str:
    return payload_digest({"warc-payload-digest": digest})


def test_digests_of_one_payload_are_one_and_those_that_say_nothing_are_none() -> None:
    assert len({normal(digest) for digest in digests(PAGE)[:5]}) == len({normal(digest) for digest in digests(PAGE)[5:10]}) == 1
    assert [normal(text) for text in ("", "sha1", "sha1:", *digests(b"")[:11])] == [""] * 14


def test_revisits_of_empty_payloads_have_no_page_of_others(tmp_path: Path, engine: Engine) -> None:
    """Some writers give the digest of no bytes to records whose payload they did not read."""
    empty = f"WARC-Payload-Digest: {digests(b'')[0]}"
    records = [record(URL, http(PAGE), empty), record(LATER, http(b""), empty, kind="revisit")]
    assert outcomes(tmp_path, engine, [LATER], *records) == {LATER: "not_archived"}


def test_revisit_of_a_damaged_record_has_the_page_of_another(tmp_path: Path, engine: Engine) -> None:
    digest = f"WARC-Payload-Digest: {digests(PAGE)[0]}"
    records = [
        record(URL, http(b"\x1f\x8b" + bytes(40), "Content-Encoding: gzip"), digest),
        record("http://c.example.org/", http(PAGE), digest, date="2011"),
        record(LATER, http(b""), digest, f"WARC-Refers-To-Target-URI: {URL}", kind="revisit"),
        record("http://d.example.org/", http(b""), "WARC-Payload-Digest: sha1:x", kind="revisit"),
    ]
    expected = {LATER: PAGE, "http://d.example.org/": "not_archived"}
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


@pytest.mark.parametrize("order", ["request first", "response first", "response names the request"])
def test_answers_to_other_requests_than_get_are_no_pages(tmp_path: Path, engine: Engine, order: str) -> None:
    records, expected = [], {}
    for number, method in enumerate(["POST", "PUT", "HEAD", "OPTIONS", "PATCH", "DELETE"]):
        url, response_id, request_id = f"{URL}{number}", f"<urn:uuid:a{number}>", f"<urn:uuid:b{number}>"
        asked = f"{method} / HTTP/1.1\r\nHost: a.example.org\r\n\r\n".encode()
        named = f"WARC-Concurrent-To: {request_id}" if order == "response names the request" else "X-Name: a"
        naming = "X-Name: a" if order == "response names the request" else f"WARC-Concurrent-To: {response_id}"
        pair = [
            record(url, http(OTHER), f"WARC-Record-ID: {response_id}", named, date="2016-05-01T00:00:01Z"),
            record(url, asked, f"WARC-Record-ID: {request_id}", naming, kind="request"),
        ]
        get = record(url, b"GET / HTTP/1.1\r\n\r\n", f"WARC-Concurrent-To: <urn:uuid:c{number}>", kind="request")
        records += pair[::-1] if order == "request first" else pair
        records += [record(url, http(PAGE), f"WARC-Record-ID: <urn:uuid:c{number}>", date="2012"), get]
        expected[url] = PAGE
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


CUT = {
    "WARC-Truncated": (("WARC-Truncated: length",), http(PAGE)),
    "unknown reason": (("WARC-Truncated: unspecified",), http(PAGE)),
    "first segment": (("WARC-Segment-Number: 1",), http(PAGE)),
    "shorter than its length": ((), http(PAGE, f"Content-Length: {len(PAGE) + 1}")),
    "cut at a mebibyte without a mark": ((), http(PAGE, "Content-Length: 1048577")),
    "repeated length": ((), http(PAGE, "Content-Length: 999", "content-length: 999")),
    "listed length": ((), http(PAGE, "Content-Length: 999, 999")),
    "cut between chunks": ((), http(b"5\r\n<p>ab\r\n", "Transfer-Encoding: chunked")),
    "cut in a chunk": ((), http(b"50\r\n<p>ab", "Transfer-Encoding: chunked")),
    "cut in the size of a chunk": ((), http(b"5\r\n<p>ab\r\n5", "Transfer-Encoding: chunked")),
}


def test_part_of_a_page_is_no_page_and_gives_way_to_a_whole_capture(tmp_path: Path, engine: Engine) -> None:
    records, expected = [], dict[str, bytes | str]()
    for number, (fields, block) in enumerate(CUT.values()):
        alone, both = f"{URL}{number}", f"{LATER}{number}"
        records += [record(alone, block, *fields), record(both, block, *fields), record(both, http(PAGE), date="2011")]
        expected |= {alone: "truncated", both: PAGE}
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


OTHER_LENGTHS = [
    ("Content-Length: 999", "Content-Encoding: gzip"),
    ("Content-Length: 999", "Content-Encoding: br"),
    ("Content-Length: 999", "X-Crawl-Content-Encoding: gzip"),
    ("Content-Length: 999", "x-orig-content-encoding: br"),
    ("Content-Length: 999", "X-Archive-Orig-Content-Encoding: gzip"),
    ("Content-Length: 999", "Transfer-Encoding: chunked"),
    ("X-Crawl-Content-Length: 999",),
    (f"Content-Length: {len(PAGE)}",),
    (f"Content-Length: {len(PAGE)}", f"Content-Length: {len(PAGE)}"),
    (),
]


def test_length_that_counts_other_bytes_cuts_no_page(tmp_path: Path, engine: Engine) -> None:
    records = [record(f"{URL}{number}", http(PAGE, *lines)) for number, lines in enumerate(OTHER_LENGTHS)]
    expected = {f"{URL}{number}": PAGE for number in range(len(OTHER_LENGTHS))}
    assert outcomes(tmp_path, engine, list(expected), *records) == expected


NO_PAGES = [
    http(b""),
    http(b"\r\n \r\n"),
    http(b"", "Content-Length: 99"),
    http(PAGE[:20], status="206 Partial Content"),
    http(b"", status="301 Moved"),
    http(b"", "Location: mailto:a@example.org", status="302 Found"),
    http(b"", "Location: http://gone.example.org/", status="302 Found"),
    http(b"\x1f\x8b", "Content-Encoding: gzip"),
    http(b"3\r\nabczz\r\n", "Transfer-Encoding: chunked"),
    http(bytes(99), "Content-Encoding: br"),
]


def test_nearer_capture_that_gives_no_page_gives_way_to_one_that_does(tmp_path: Path, engine: Engine) -> None:
    records, expected = [], {}
    for number, block in enumerate(NO_PAGES):
        url = f"{URL}{number}"
        records += [record(url, block), record(url, http(PAGE), date="2010-02")]
        expected[url] = PAGE
    assert outcomes(tmp_path, engine, list(expected), *records) == expected
