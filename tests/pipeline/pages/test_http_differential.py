"""2,000 generated responses, read live and from stored records by ours and by peers (docs/http.md holds the table).

Peers that read from the network read every seventh response, and all of them with WEBTEXT_FULL=1, which also prints the table.
"""

import io
import os
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests
from fastwarc.warc import ArchiveIterator as FastArchiveIterator
from servers.grammar_server import GrammarServer
from servers.http_grammar import LEGAL, RULES, Generated, generated
from warcio.archiveiterator import ArchiveIterator

from pipeline.pages.addresses import AddressPolicy
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.failures import RequestError
from pipeline.pages.http_response import HttpResponse
from pipeline.pages.media import declared_charset, media_type
from pipeline.pages.stored_response import http_response
from pipeline.pages.warc_reader import RECORD_FAILURES, read_records
from pipeline.pages.warc_writer import TRANSFER_HEADERS, exchange_members

RESPONSES = [generated(number) for number in range(2000)]
FULL = bool(os.environ.get("WEBTEXT_FULL"))
LIVE_PEERS = RESPONSES if FULL else RESPONSES[::7]
DOCS = Path(__file__).parents[3] / "docs" / "http.md"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
Reading = tuple[int, bytes] | None
"""Status and body; None where a reader refuses."""

STORED_WHOLE = {"length_too_small": "an edited body is longer than its old head says; the record's length says what was stored"}
"""Spellings of which a stored reading has more of the body than a live one, which ends at the Content-Length."""
STORED_ALONE = {
    "chunks_not_there": "wget stores bodies without the chunk framing that their heads declare",
    "chunks_size_words": "the same: the body does not begin with a chunk",
    "chunks_size_negative": "the same",
    "chunks_size_prefixed": "the same",
    "transfer_gzip": "a crawler may have asked for a transfer coding; ours does not",
    "gzip_not_there": "Common Crawl stored bodies decoded under their old heads until 2018",
    "coding_unknown_over_text": "a crawler may have undone a coding that ours does not know",
    "http_2": "a crawler may have spoken HTTP/2; a connection of ours speaks HTTP/1",
}
"""Rules whose responses are refused live and read from a record, and why."""


@pytest.fixture(scope="module")
def server() -> Iterator[GrammarServer]:
    with GrammarServer({response.number: response.wire for response in RESPONSES}) as running:
        yield running


@pytest.fixture(scope="module")
def live(server: GrammarServer) -> dict[int, HttpResponse | None]:
    """Our live reading of every response."""
    with Client("webtext/test", AddressPolicy.of(["127.0.0.0/8"]), RequestLimits()) as client:

        def get(number: int) -> HttpResponse | None:
            try:
                return client.get(server.url(number))
            except RequestError:
                return None

        with ThreadPoolExecutor(4) as pool:
            return dict(enumerate(pool.map(get, range(len(RESPONSES)))))


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bytes of every response in a WARC record, as a crawler stores what it receives."""
    path = tmp_path_factory.mktemp("differential") / "responses.warc"
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:00000000-0000-0000-0000-{0:012}>\r\n"
        "WARC-Target-URI: http://a.example/{0}\r\nWARC-Date: 2026-01-31T12:00:00Z\r\n"
        "Content-Type: application/http; msgtype=response\r\nContent-Length: {1}\r\n\r\n"
    )
    path.write_bytes(b"".join(head.format(r.number, len(r.wire)).encode() + r.wire + b"\r\n\r\n" for r in RESPONSES))
    return path


@pytest.fixture(scope="module")
def stored(archive: Path) -> dict[int, HttpResponse | None]:
    """Our reading of every record."""
    return {number: _stored(record) for number, record in enumerate(read_records(str(archive)))}


def _stored(record: object) -> HttpResponse | None:
    try:
        return http_response(record)  # type: ignore[arg-type]
    except RECORD_FAILURES:
        return None


def test_every_rule_has_its_right_reading(live: dict[int, HttpResponse | None]) -> None:
    wrong = {}
    for response in RESPONSES:
        ours = live[response.number]
        if (None if ours is None else ours.body) != response.right:
            wrong[response.rule.name, response.number] = response.wire[:500]
    assert wrong == {}
    assert {response.rule.name for response in RESPONSES} == {rule.name for rule in RULES}


def test_live_and_stored_readings_agree_in_all(
    live: dict[int, HttpResponse | None], stored: dict[int, HttpResponse | None]
) -> None:
    """Status, phrase, fields in their order, body, and the body as sent."""
    alone: Counter[str] = Counter()
    for response in RESPONSES:
        one, other = live[response.number], stored[response.number]
        if one is None:
            if other is not None:
                alone[response.rule.name] += 1
            continue
        assert other is not None, response
        if response.rule.name in STORED_WHOLE:
            assert other.body.startswith(one.body)
            assert len(other.body) > len(one.body)
            one = replace(one, body=other.body)
        for name in ("status", "phrase", "headers", "body", "coded"):
            assert getattr(one, name) == getattr(other, name), (name, response)
    assert set(alone) == set(STORED_ALONE)


def test_our_own_records_give_the_live_reading_again(live: dict[int, HttpResponse | None], tmp_path: Path) -> None:
    responses = [response for response in live.values() if response is not None]
    path = tmp_path / "own.warc.gz"
    path.write_bytes(b"".join(exchange_members(response, NOON).members for response in responses))
    again = [http_response(record) for record in read_records(str(path)) if record.kind == "response"]
    assert len(again) == len(responses) > 1000
    for one, other in zip(responses, again, strict=True):
        assert (one.status, one.phrase, one.body, one.coded) == (other.status, other.phrase, other.body, other.coded)
        plain = [(name, value) for name, value in one.headers if value.isascii() and value.isprintable() and value]
        assert set(plain) - set(other.headers) <= {field for field in plain if field[0].lower() in TRANSFER_HEADERS}
        types = [response.header("content-type") for response in (one, other)]
        assert media_type(types[0], one.body) == media_type(types[1], other.body)
        assert declared_charset(types[0]) == declared_charset(types[1])


def read_by_requests(server: GrammarServer, _: Path) -> dict[int, Reading]:
    def get(number: int) -> Reading:
        try:
            response = requests.get(server.url(number), allow_redirects=False, timeout=10)
        except (requests.RequestException, ValueError):
            return None
        return response.status_code, response.content

    with ThreadPoolExecutor(4) as pool:
        return dict(zip((r.number for r in LIVE_PEERS), pool.map(get, (r.number for r in LIVE_PEERS)), strict=True))


def read_by_curl(server: GrammarServer, folder: Path) -> dict[int, Reading]:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    config, found = folder / "curl.txt", dict[int, Reading]()
    command = ["curl", "-q", "-s", "--compressed", "--noproxy", "*", "-w", "%{exitcode} %{http_code}\n", "-K", str(config)]
    while waiting := [r.number for r in LIVE_PEERS if r.number not in found]:
        config.write_text("".join(f'url = "{server.url(number)}"\noutput = "{folder / str(number)}"\n' for number in waiting))
        lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
        assert lines  # a response may end curl, and not only its own transfer
        for number, line in zip(waiting, lines, strict=False):
            code, status = map(int, line.split())
            body = folder / str(number)
            found[number] = None if code else (status, body.read_bytes() if body.exists() else b"")
    return found


def read_by_fastwarc(_: GrammarServer, folder: Path) -> dict[int, Reading]:
    def read(data: bytes) -> Reading:
        record = next(FastArchiveIterator(io.BytesIO(data), auto_decode="all"))
        return int(record.http_headers.status_code), record.reader.read()

    return _of_each_record(folder, read)


def read_by_warcio(_: GrammarServer, folder: Path) -> dict[int, Reading]:
    def read(data: bytes) -> Reading:
        record = next(ArchiveIterator(io.BytesIO(data)))
        return int(record.http_headers.get_statuscode()), record.content_stream().read()

    return _of_each_record(folder, read)


def _of_each_record(folder: Path, read: Callable[[bytes], Reading]) -> dict[int, Reading]:
    """A peer's reading of each record, alone: an error ends the peer's reading of a file."""
    found: dict[int, Reading] = {}
    path = folder / "responses.warc"
    data = path.read_bytes()
    for number, record in enumerate(read_records(str(path))):
        try:
            found[number] = read(data[record.offset : record.offset + record.length] + b"\r\n\r\n")
        except Exception:  # noqa: BLE001  # a peer's errors are of any type
            found[number] = None
    return found


PEERS: dict[str, Callable[[GrammarServer, Path], dict[int, Reading]]] = {
    "requests": read_by_requests,
    "curl": read_by_curl,
    "FastWARC": read_by_fastwarc,
    "warcio": read_by_warcio,
}
SORTS = {rule.name: rule.sort for rule in RULES}


def documented(peer: str) -> dict[str, str]:
    """The rules that docs/http.md says a peer reads in another way than is right, and how."""
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in DOCS.read_text().splitlines() if line.startswith("| ")
    ]
    names = next(row for row in rows if peer in row and row[0] == "spelling")
    return {row[0]: row[names.index(peer)] for row in rows if row[0] in SORTS and row[names.index(peer)] != "\u00b7"}


def verdict(response: Generated, their: Reading) -> str:
    """How a peer's body differs from the right one; empty where it does not."""
    body = None if their is None else their[1]
    if body == response.right:
        return ""
    return "refuses" if body is None else "reads" if response.right is None else "other"


def found_differences(theirs: dict[int, Reading]) -> dict[str, str]:
    """The rules behind a peer's disagreements: again and again the rule most of whose responses are read in another way."""
    differing: dict[str, str] = {}
    left = {number: verdict(RESPONSES[number], their) for number, their in theirs.items()}
    while any(left.values()):
        verdicts: defaultdict[str, Counter[str]] = defaultdict(Counter)
        for number, what in left.items():
            for name in (
                RESPONSES[number].behind if SORTS[RESPONSES[number].rule.name] == LEGAL else [RESPONSES[number].rule.name]
            ):
                verdicts[name][what] += 1
        name = max(verdicts, key=lambda name: (1 - verdicts[name][""] / verdicts[name].total(), verdicts[name].total()))
        differing[name] = max((what for what in verdicts[name] if what), key=verdicts[name].__getitem__)
        left = {number: what for number, what in left.items() if name not in RESPONSES[number].behind}
    return differing


def _curl_version() -> str:
    """Name and version, as in the documentation: `curl 7.88`."""
    done = subprocess.run(["curl", "--version"], capture_output=True, text=True, check=True)
    return ".".join(done.stdout.split(" (")[0].split(".")[:2])


@pytest.mark.parametrize("peer", PEERS)
def test_peers_differ_where_the_documentation_says(peer: str, server: GrammarServer, archive: Path) -> None:
    """Versions of curl differ in what they repair: of the readings of another one only those of legal spellings count."""
    theirs = PEERS[peer](server, archive.parent)
    differing = documented(peer)
    unexplained = [
        (RESPONSES[number].behind, what)
        for number, their in theirs.items()
        if (what := verdict(RESPONSES[number], their)) and not set(RESPONSES[number].behind) & set(differing)
    ]
    exact = FULL and (peer != "curl" or _curl_version() in DOCS.read_text())
    if peer == "curl" and not exact:
        unexplained = [(names, what) for names, what in unexplained if {SORTS[name] for name in names} == {LEGAL}]
    assert unexplained == []
    if exact:
        agree = sum(not verdict(RESPONSES[number], their) for number, their in theirs.items())
        print(f"{peer} agrees in {agree:,} of {len(theirs):,}")
        assert found_differences(theirs) == differing
