"""Archives as their real writers make them, or as their documentation describes them, with the meaning of each URL in them.

Each writer fills one folder. The writers are warcio (also as recorder of a live connection, and as converter from ARC), FastWARC
and, where it is on the PATH, wget; records of Common Crawl, Heritrix and Browsertrix are written through warcio with the fields
that these write. ARC files and spellings that no library writes are put together byte by byte.
"""

import gzip
import hashlib
import io
import random
import shutil
import socketserver
import subprocess
import sys
import threading
from base64 import b32encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fastwarc.stream_io import GzipWriter, ZstdWriter, zstd_train_dictionary_from_samples
from fastwarc.warc import WarcRecord, WarcRecordType
from foreign_pages import (
    Answer,
    Meaning,
    failure,
    page,
    redirect,
    sent,
    stored_decoded,
    stored_renamed,
)
from warcio.cli import main as warcio_command
from warcio.warcwriter import WARCWriter

Meanings = dict[str, Meaning | str]
Block = Callable[[random.Random, Answer], bytes]
Captured = tuple[str, Answer]
DATES = ("2014-03-02T10:11:12Z", "2016-05-01T00:00:00Z", "2017-12-31T23:59:59Z")
REQUEST = b"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: other\r\n\r\n"


def captures(chance: random.Random, host: str, count: int, *, coding: bool = True) -> tuple[list[Captured], Meanings]:
    """Captures of a host's URLs, and what each URL means."""
    answers: dict[str, Answer] = {}
    meanings: Meanings = {}
    for number in range(count):
        url = f"http://{host}/{chance.choice(('page', 'a/b', 'search?q=1&n=', '%C3%A9'))}{number}"
        kind = chance.random()
        if kind < 0.1 and answers:
            target = chance.choice([other for other, answer in answers.items() if answer.status == 200])
            answers[url] = redirect(chance, chance.choice((target, target.removeprefix("http:"), target.partition(host)[2])))
            meanings[url] = meanings[target]
        else:
            answers[url] = page(chance, coding=coding) if kind < 0.9 or not answers else failure(chance)
            meanings[url] = answers[url].meaning(url)
    order = list(answers.items())
    chance.shuffle(order)
    return order, meanings


def digest(data: bytes) -> str:
    """A WARC-Payload-Digest."""
    return "sha1:" + b32encode(hashlib.sha1(data, usedforsecurity=False).digest()).decode()


class Warcio:
    """A file that warcio writes."""

    def __init__(self, file: BinaryIO, *, version: str = "1.0", packed: bool = True) -> None:
        self._writer = WARCWriter(file, gzip=packed, warc_version=version)
        self._ids = 0

    def add(self, url: str, kind: str, block: bytes, *, date: str = DATES[1], **fields: str) -> str:
        """Write one record; its id. The names of fields have `_` for `-`."""
        block = block.replace(b"HTTP/2 ", b"HTTP/1.1 ", 1)  # warcio writes no other
        self._ids += 1
        record_id = f"<urn:uuid:{self._ids:08x}-0000-4000-8000-{hash_of(url)}>"
        known = {"response": "application/http; msgtype=response", "request": "application/http; msgtype=request"}
        known |= {"revisit": known["response"], "metadata": "application/warc-fields", "warcinfo": "application/warc-fields"}
        headers = {"WARC-Date": date, "WARC-Record-ID": record_id} | {name.replace("_", "-"): v for name, v in fields.items()}
        record = self._writer.create_warc_record(
            url,
            kind,
            payload=io.BytesIO(block),
            length=len(block),
            warc_headers_dict=headers,
            warc_content_type=headers.get("Content-Type", known.get(kind, "text/plain")),
        )
        self._writer.write_record(record)
        return record_id


def hash_of(text: str) -> str:
    """Twelve hex digits of a text."""
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()[:12]


def with_warcio(block: Block, name: str, *, version: str = "1.0", packed: bool = True, count: int = 80) -> "Writer":
    """A writer of one file with requests, responses and metadata, as crawlers write them."""

    def write(folder: Path, chance: random.Random) -> Meanings:
        order, meanings = captures(chance, f"{name.partition('.')[0]}.example", count)
        with (folder / name).open("wb") as file:
            warc = Warcio(file, version=version, packed=packed)
            warc.add("", "warcinfo", b"software: other/1.0\r\n")
            for url, answer in order:
                date = chance.choice(DATES)
                request = warc.add(url, "request", REQUEST, date=date)
                warc.add(url, "response", block(chance, answer), date=date, WARC_Concurrent_To=request)
                warc.add(url, "metadata", b"fetchTimeMs: 7\r\n", date=date)
        return meanings

    return write


Writer = Callable[[Path, random.Random], Meanings]


def heritrix(folder: Path, chance: random.Random) -> Meanings:
    """Responses as sent, dns records, revisits by every kind of reference, truncated and segmented records."""
    order, meanings = captures(chance, "heritrix.example", 60)
    with (folder / "heritrix.warc.gz").open("wb") as file:
        warc = Warcio(file)
        warc.add(
            "dns:heritrix.example", "response", b"20160501000000\nheritrix.example. 1 IN A 192.0.2.7\n", Content_Type="text/dns"
        )
        for number, (url, answer) in enumerate(order):
            original = sent(chance, answer)
            record_id = warc.add(url, "response", original, date=DATES[0], WARC_Payload_Digest=digest(answer.payload))
            warc.add(url, "metadata", b"via: http://a.example/\r\n")
            if answer.status == 200 and answer.body:
                again = f"http://heritrix.example/again{number}"
                reference = (
                    {"WARC_Refers_To_Target_URI": url, "WARC_Refers_To_Date": DATES[0]},
                    {"WARC_Refers_To": record_id},
                    {},
                )[number % 3]
                heads = (original.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", b"HTTP/1.1 304 Not Modified\r\n\r\n", b"")
                block = heads[number // 3 % 3]
                warc.add(again, "revisit", block, date=DATES[2], WARC_Payload_Digest=digest(answer.payload), **reference)
                meaning = answer.meaning(again)
                meanings[again] = meaning
        for number, mark in enumerate(({"WARC_Truncated": "length"}, {"WARC_Truncated": "time"}, {"WARC_Segment_Number": "1"})):
            url = f"http://heritrix.example/cut{number}"
            warc.add(url, "response", sent(chance, page(chance), framings=("length", ""))[:-9], **mark)
            meanings[url] = "truncated"
        lost = "http://heritrix.example/lost"
        warc.add(lost, "revisit", b"", WARC_Payload_Digest=digest(b"in no archive"))
        meanings[lost] = "not_archived"
    return meanings


def browsertrix(folder: Path, chance: random.Random) -> Meanings:
    """Decoded bodies under renamed headers, requests after their responses, answers to POST, records of the page under urn:."""
    order, meanings = captures(chance, "browsertrix.example", 60)
    with (folder / "browsertrix.warc.gz").open("wb") as file:
        warc = Warcio(file, version="1.1")
        for url, answer in order:
            fields = {"WARC_Page_ID": "3f2a", "WARC_Resource_Type": "document", "WARC_JSON_Metadata": '{"ipType":"Public"}'}
            date = "2016-05-01T00:00:00.123456Z"
            block = stored_renamed(chance, answer, "x-orig-")
            response = warc.add(url, "response", block, date=date, **fields)
            warc.add(url, "request", REQUEST, date=date, WARC_Concurrent_To=response)
            posted = warc.add(url, "response", sent(chance, page(chance)), date="2016-05-01T00:00:00.2Z")
            warc.add(url, "request", REQUEST.replace(b"GET", b"POST"), WARC_Concurrent_To=posted)
            warc.add(f"urn:pageinfo:{url}", "resource", b'{"pageid": "3f2a"}', Content_Type="application/json")
    return meanings


def resources(folder: Path, chance: random.Random) -> Meanings:
    """Files of a folder as `resource` records, which have no HTTP head."""
    meanings: Meanings = {}
    with (folder / "resources.warc").open("wb") as file:
        warc = Warcio(file, packed=False)
        for number in range(40):
            url, answer = f"https://resources.example/{number}.html", page(chance, coding=False)
            warc.add(url, "resource", answer.body, Content_Type=dict(answer.fields).get("Content-Type", "text/html"))
            meanings[url] = answer.meaning(url)
    return meanings


def fastwarc(folder: Path, chance: random.Random) -> Meanings:
    """Plain; in gzip members and zstd frames, a record in each or all in one; with no dictionary, a plain one, a compressed one."""
    meanings: Meanings = {}
    samples = [sent(chance, page(chance, coding=False)) for _ in range(200)]
    dictionary = zstd_train_dictionary_from_samples(samples, 4000)
    kinds: dict[str, Callable[[BinaryIO], object]] = {
        "fast-plain.warc": lambda file: file,
        "fast-members.warc.gz": GzipWriter,
        "fast-whole.warc.gz": GzipWriter,
        "fast-frames.warc.zst": ZstdWriter,
        "fast-entire.warc.zst": ZstdWriter,
        "fast-dictionary.warc.zst": lambda file: ZstdWriter(file, dictionary=dictionary),
        "fast-packed.warc.zst": lambda file: ZstdWriter(file, dictionary=dictionary, compress_dictionary_frame=True),
    }
    for name, wrap in kinds.items():
        order, meant = captures(chance, f"{name.partition('.')[0]}.example", 40)
        with (folder / name).open("wb") as file:
            stream = wrap(file)
            for url, answer in order:
                record = WarcRecord()
                record.init_headers(WarcRecordType.response)
                record.headers["WARC-Target-URI"] = url
                record.headers["WARC-Date"] = chance.choice(DATES)
                record.headers["Content-Type"] = "application/http; msgtype=response"
                record.set_bytes_content(sent(chance, answer))
                record.write(stream, checksum_data=True)
                if stream is not file and "whole" not in name and "entire" not in name:
                    stream.finish()  # type: ignore[attr-defined]  # ends the member
            if stream is not file:
                stream.finish()  # type: ignore[attr-defined]
                stream.flush()  # type: ignore[attr-defined]
        meanings |= meant
    return meanings


def arc(folder: Path, chance: random.Random) -> Meanings:
    """ARC 1.0 as Alexa and Heritrix 1 wrote it, plain and in gzip members; the latter also converted to WARC by warcio."""
    meanings: Meanings = {}
    for name, packed in (("arc-plain.ARC", False), ("arc-members.arc.gz", True), ("converted.arc.gz", True)):
        order, meant = captures(chance, f"{name.partition('.')[0]}.example", 50)
        about = b"1 0 InternetArchive\nURL IP-address Archive-date Content-type Archive-length\n\n"
        records = [b"filedesc://x.arc 0.0.0.0 20160501000000 text/plain %d\n%s\n" % (len(about), about)]
        for url, answer in order:
            block = sent(chance, answer)
            kind = dict(answer.fields).get("Content-Type", "no-type").partition(";")[0].strip() or "no-type"
            records.append(f"{url} 192.0.2.7 20160501000000 {kind} {len(block)}\n".encode() + block + b"\n")
        data = b"".join(gzip.compress(record, mtime=0) for record in records) if packed else b"".join(records)
        (folder / name).write_bytes(data)
        meanings |= meant
    warcio_command(["recompress", str(folder / "converted.arc.gz"), str(folder / "converted.warc.gz")])
    (folder / "converted.arc.gz").unlink()
    return meanings


def by_hand(folder: Path, chance: random.Random) -> Meanings:
    """Legal spellings of records that no library writes: bare line feeds, folds, brackets, padding, empty members, coarse dates."""
    order, meanings = captures(chance, "hand.example", 80)
    packed, plain = [], []
    for number, (url, answer) in enumerate(order):
        end = chance.choice(("\r\n", "\n"))
        block = sent(chance, answer, end=end)
        date = chance.choice(("2016", "2016-05", "2016-05-01", "2016-05-01T10:11Z", DATES[0], "2016-05-01T00:00:00.5Z"))
        target = chance.choice((url, f"<{url}>"))
        lines = [
            chance.choice(("WARC/1.0", "WARC/1.1", "WARC/0.18")),
            chance.choice(("WARC-Type: response", "warc-type:response", "WARC-TYPE:\tresponse ")),
            f"WARC-Target-URI: {target}",
            f"warc-date: {date}",
            "Content-Type: application/http;msgtype=response",
            chance.choice(("X-Folded: one\r\n two", "WARC-IP-Address: 192.0.2.7", "X-Name: caf\xe9 \x85 b")),
            f"Content-Length: {len(block)}",
        ]
        record = end.join([*lines, "", ""]).encode() + block
        if number % 2:
            plain.append(record + chance.choice((b"\r\n\r\n", b"\n\n", b"\r\n\r\n\r\n\r\n", b"")))
        else:
            packed += [gzip.compress(record + b"\r\n\r\n", mtime=0), *chance.choice(([], [gzip.compress(b"")], [bytes(512)]))]
    (folder / "HAND.WARC.GZ").write_bytes(b"".join([gzip.compress(b"\r\n"), *packed, bytes(70_000)]))
    (folder / "hand.Warc").write_bytes(b"\r\n\r\n" + b"".join(plain) + bytes(1000))
    return meanings


def spellings(folder: Path, chance: random.Random) -> Meanings:
    """Links whose captures are of another spelling of the URL, and captures of which only one is whole."""
    meanings: Meanings = {}
    with (folder / "spellings.warc.gz").open("wb") as file:
        warc = Warcio(file)
        for number in range(60):
            host, path = f"s{number}.example.org", f"p{number}"
            url, answer = f"http://{host}/{path}", page(chance)
            other = (
                f"https://{host}/{path}",
                f"http://www.{host}/{path}",
                f"http://{host}/{path}/",
                f"HTTP://{host.upper()}:80/{path}",
                f"http://{host}/{path}?utm_source=x",
                f"http://{host}/./{path}#part",
            )[number % 6]
            dates = chance.sample(DATES, 3)
            if number % 4 == 0:
                warc.add(url, "response", b"HTTP/1.1 301 Moved\r\nLocation: " + other.encode() + b"\r\n\r\n", date=dates[0])
            elif number % 4 == 1:
                warc.add(url, "response", b"HTTP/1.1 304 Not Modified\r\nContent-Type: text/html\r\n\r\n", date=dates[0])
            elif number % 4 == 2:
                partial = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/99\r\n\r\n<p>A"
                warc.add(url, "response", partial, date=dates[0])
            warc.add(other, "response", sent(chance, answer), date=dates[1])
            meanings[url] = answer.meaning(other)
    return meanings


def recorder(folder: Path, chance: random.Random) -> Meanings:
    """Live connections that warcio records beneath http.client."""
    script = (
        "import sys; from warcio.capture_http import capture_http; import http.client, urllib.parse\n"
        "with capture_http(sys.argv[1]):\n"
        "  for url in sys.stdin.read().split():\n"
        "    parts = urllib.parse.urlsplit(url); path = url.partition(parts.netloc)[2]\n"
        "    connection = http.client.HTTPConnection(parts.netloc); connection.request('GET', path)\n"
        "    connection.getresponse().read(); connection.close()\n"
    )
    with serving(chance, 60, spell=False) as (order, meanings):
        command = [sys.executable, "-c", script, str(folder / "recorder.warc.gz")]
        subprocess.run(command, input="\n".join(url for url, _ in order).encode(), check=True, capture_output=True)
    return meanings


def wget(folder: Path, chance: random.Random) -> Meanings:
    """What wget writes, packed and plain, and with --warc-dedup: the second crawl of the same pages holds revisits."""
    program = shutil.which("wget")
    meanings: Meanings = {}
    if program is None:
        return meanings
    for name, flags in (("packed", ["--warc-cdx"]), ("plain", ["--no-warc-compression"])):
        with serving(chance, 50) as (order, meant):
            command = [program, "--no-config", "--no-proxy", "--tries=1", "-q", "-i", "-", "-O", "/dev/null"]
            flags = [f"--warc-file={folder / f'wget-{name}'}", f"--warc-tempdir={folder}", *flags]
            urls = "\n".join(url for url, _ in order).encode()
            subprocess.run([*command, *flags], input=urls, check=False, capture_output=True, cwd=folder)
            meanings |= meant
            if name == "packed":
                dedup = f"--warc-dedup={folder / 'wget-packed.cdx'}"
                again = [f"--warc-file={folder / 'wget-again'}", f"--warc-tempdir={folder}", dedup]
                subprocess.run([*command, *again], input=urls, check=False, capture_output=True, cwd=folder)
    return meanings


@contextmanager
def serving(chance: random.Random, count: int, *, spell: bool = True) -> Iterator[tuple[list[Captured], Meanings]]:
    """A server on loopback with generated answers; yields the URLs with their answers, and what each means."""
    answers: dict[str, bytes] = {}

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            path = self.rfile.readline().split()[1].decode()
            while self.rfile.readline().strip():
                pass
            self.wfile.write(answers[path])

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        host = f"127.0.0.1:{server.server_address[1]}"
        order, meanings = captures(chance, host, count)
        for url, answer in order:
            answers[url.partition(host)[2]] = live(sent(chance, answer))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield order, meanings
        finally:
            server.shutdown()
            thread.join()


def live(answer: bytes) -> bytes:
    """An answer that every HTTP/1.1 client reads: it ends with the connection."""
    first, _, rest = answer.partition(b"\r\n")
    return b"HTTP/1.1 " + first.split(b" ", 1)[1] + b"\r\nConnection: close\r\n" + rest


WRITERS: dict[str, Writer] = {
    "warcio, as sent": with_warcio(sent, "sent.warc.gz", version="1.1"),
    "warcio, plain": with_warcio(sent, "plain.warc", packed=False),
    "Common Crawl before 08/2018": with_warcio(stored_decoded, "crawl-2016.warc.gz"),
    "Common Crawl since": with_warcio(stored_renamed, "crawl-2019.warc.gz"),
    "CC-NEWS until 05/2019": with_warcio(stored_decoded, "news-2017.warc.gz"),
    "Heritrix": heritrix,
    "Browsertrix": browsertrix,
    "resources": resources,
    "FastWARC": fastwarc,
    "ARC": arc,
    "by hand": by_hand,
    "spellings": spellings,
    "recorder": recorder,
    "wget": wget,
}


def write_all(folder: Path, seed: int, names: Iterable[str] = WRITERS) -> Meanings:
    """The archives of all writers below a folder, each writer in its own; the meaning of each URL in them."""
    meanings: Meanings = {}
    for number, name in enumerate(names):
        below = folder / f"{number:02d}"
        below.mkdir(parents=True)
        meanings |= WRITERS[name](below, random.Random(f"{seed} {name}"))
    return meanings
