"""Made web archives: WARC files laid out as Common Crawl's, indexes of both kinds over them, and a server of byte ranges."""

import base64
import gzip
import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.archives.surt import surt_key
from pipeline.urls import dedup_key

SCHEMA = pa.schema(
    [
        ("url_surtkey", pa.string()),
        ("url", pa.string()),
        ("url_host_name", pa.string()),
        ("fetch_time", pa.timestamp("ms")),
        ("fetch_status", pa.int16()),
        ("content_digest", pa.string()),
        ("content_mime_type", pa.string()),
        ("content_charset", pa.string()),
        ("content_truncated", pa.string()),
        ("warc_filename", pa.string()),
        ("warc_record_offset", pa.int32()),
        ("warc_record_length", pa.int32()),
        ("warc_segment", pa.string()),
    ]
)
"""The columns of Common Crawl's table that say something of one capture, in the published types."""
ABSENT_BEFORE_2019 = ("content_charset", "content_truncated")


@dataclass
class Shot:
    """A capture: what the crawler saw of a URL at a time."""

    url: str
    at: datetime
    body: bytes = b""
    status: int = 200
    location: str = ""
    truncated: str = ""
    warc: str = ""
    offset: int = 0
    length: int = 0
    digest: str = ""

    def __post_init__(self) -> None:
        self.body = self.body or f"<html><title>{self.url}</title><p>Seen at {self.at.isoformat()}.".encode()
        self.digest = base64.b32encode(hashlib.sha1(self.body).digest()).decode()

    @property
    def name(self) -> str:
        return f"{self.url} {self.at:%Y%m%d%H%M%S}"

    def member(self) -> bytes:
        head = [f"HTTP/1.1 {self.status} Made", "Content-Type: text/html; charset=utf-8", f"Content-Length: {len(self.body)}"]
        head += [f"Location: {self.location}"] if self.location else []
        block = ("\r\n".join(head) + "\r\n\r\n").encode() + self.body
        block_digest = base64.b32encode(hashlib.sha1(block).digest()).decode()
        lines = ["WARC/1.0", "WARC-Type: response", f"WARC-Date: {self.at:%Y-%m-%dT%H:%M:%SZ}", f"WARC-Target-URI: {self.url}"]
        lines += [f"WARC-Payload-Digest: sha1:{self.digest}", f"WARC-Block-Digest: sha1:{block_digest}"]
        lines += [f"WARC-Truncated: {self.truncated}"] if self.truncated else []
        lines += ["Content-Type: application/http; msgtype=response", f"Content-Length: {len(block)}"]
        return gzip.compress("\r\n".join(lines).encode() + b"\r\n\r\n" + block + b"\r\n\r\n", mtime=0)


@dataclass
class MadeCrawl:
    """A crawl: its name and its captures, which `write` lays out in WARC files of `per_file` records below a folder."""

    name: str
    shots: list[Shot]
    per_file: int = 40

    def write(self, root: Path) -> "MadeCrawl":
        for subset, shots in self.by_subset().items():
            for number in range(0, len(shots), self.per_file):
                name = f"crawl-data/{self.name}/segments/1512.4/{subset}/{self.name}-{number // self.per_file:05d}.warc.gz"
                data = gzip.compress(b"WARC/1.0\r\nWARC-Type: warcinfo\r\nContent-Length: 0\r\n\r\n\r\n\r\n", mtime=0)
                for shot in shots[number : number + self.per_file]:
                    member = shot.member()
                    shot.warc, shot.offset, shot.length = name, len(data), len(member)
                    data += member
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
        return self

    def by_subset(self) -> dict[str, list[Shot]]:
        return {
            "warc": [shot for shot in self.shots if shot.status == 200],
            "crawldiagnostics": [shot for shot in self.shots if shot.status != 200],
        }


def rows_of(shots: Sequence[Shot]) -> list[dict[str, object]]:
    rows = [
        {
            "url_surtkey": surt_key(shot.url),
            "url": shot.url,
            "url_host_name": shot.url.split("/")[2],
            "fetch_time": shot.at.replace(tzinfo=None),
            "fetch_status": shot.status,
            "content_digest": shot.digest,
            "content_mime_type": "text/html",
            "content_charset": "UTF-8",
            "content_truncated": shot.truncated or None,
            "warc_filename": shot.warc,
            "warc_record_offset": shot.offset,
            "warc_record_length": shot.length,
            "warc_segment": "1512.4",
        }
        for shot in shots
    ]
    return sorted(rows, key=lambda row: (str(row["url_surtkey"]), str(row["fetch_time"])))


def write_columnar(root: Path, crawls: Sequence[MadeCrawl], *, files: int = 2, group: int = 7) -> list[str]:
    """The columnar index of some crawls; those before 2019 lack the columns that came later. Returns the folders."""
    folders = []
    for crawl in crawls:
        folder = root / "cc-index" / "table" / "cc-main" / "warc" / f"crawl={crawl.name}"
        folders.append(str(folder))
        absent = ABSENT_BEFORE_2019 if crawl.name < "CC-MAIN-2019" else ()
        schema = pa.schema([column for column in SCHEMA if column.name not in absent])
        for subset, shots in crawl.by_subset().items():
            rows = rows_of(shots)
            each = -(-len(rows) // files) or 1
            for number in range(files):
                part = [{name: row[name] for name in schema.names} for row in rows[number * each : (number + 1) * each]]
                path = folder / f"subset={subset}" / f"part-{number:05d}.c000.gz.parquet"
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(pa.Table.from_pylist(part, schema=schema), path, row_group_size=group, compression="gzip")
    return folders


def cdxj_lines(shots: Sequence[Shot]) -> list[bytes]:
    lines = []
    for shot in shots:
        fields = {"url": shot.url, "mime": "text/html", "status": str(shot.status), "digest": shot.digest}
        fields |= {"length": str(shot.length), "offset": str(shot.offset), "filename": shot.warc}
        fields |= {"truncated": shot.truncated} if shot.truncated else {}
        lines.append(f"{surt_key(shot.url)} {shot.at:%Y%m%d%H%M%S} {json.dumps(fields)}".encode())
    return sorted(lines)


def write_cdxj(folder: Path, crawls: Sequence[MadeCrawl]) -> list[str]:
    paths = []
    for crawl in crawls:
        path = folder / crawl.name / "index.cdxj"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"!meta {}\n" + b"".join(line + b"\n" for line in cdxj_lines(crawl.shots)))
        paths.append(str(path))
    return paths


def write_zipnum(folder: Path, crawls: Sequence[MadeCrawl], *, block: int = 5, shards: int = 3) -> list[str]:
    paths = []
    for crawl in crawls:
        home = folder / "cc-index" / "collections" / crawl.name / "indexes"
        home.mkdir(parents=True, exist_ok=True)
        lines = cdxj_lines(crawl.shots)
        each = -(-len(lines) // shards) or 1
        cluster = []
        for number in range(shards):
            data = b""
            for at in range(number * each, min(len(lines), (number + 1) * each), block):
                chosen = lines[at : min(at + block, (number + 1) * each)]
                member = gzip.compress(b"".join(line + b"\n" for line in chosen), mtime=0)
                key = b" ".join(chosen[0].split(b" ")[:2]).decode()
                cluster.append(f"{key}\tcdx-{number:05d}.gz\t{len(data)}\t{len(member)}\t{len(cluster) + 1}\n")
                data += member
            (home / f"cdx-{number:05d}.gz").write_bytes(data)
        (home / "cluster.idx").write_text("".join(cluster))
        paths.append(str(home))
    return paths


def wanted_shot(url: str, at: datetime, shots: Sequence[Shot], days: int, side: str) -> Shot | None:
    """The capture of the day by looking at every one of them."""
    best: tuple[tuple[float, datetime, bool], Shot] | None = None
    for shot in shots:
        distance = (shot.at - at).total_seconds()
        if dedup_key(shot.url) != dedup_key(url) or surt_key(shot.url) != surt_key(url) or shot.truncated:
            continue
        if shot.status not in (200, 301, 302) or abs(distance) > days * 86_400:
            continue
        if (side == "before" and distance > 0) or (side == "after" and distance < 0):
            continue
        rank = (abs(distance), shot.at, shot.url != url)
        if best is None or rank < best[0]:
            best = rank, shot
    return best[1] if best else None


def made_crawls(seed: int = 7, pages: int = 60) -> list[MadeCrawl]:
    """Three crawls of different years with several captures of each page, some of them failures, redirects or truncated."""
    draw = random.Random(seed)
    crawls = []
    for name, start in (
        ("CC-MAIN-2013-20", datetime(2013, 5, 18, tzinfo=UTC)),
        ("CC-MAIN-2015-35", datetime(2015, 8, 27, tzinfo=UTC)),
        ("CC-MAIN-2019-51", datetime(2019, 12, 5, tzinfo=UTC)),
    ):
        shots = []
        for page in range(pages):
            url = page_url(page)
            for _ in range(draw.choice((0, 1, 1, 2, 3))):
                at = start + timedelta(seconds=draw.randrange(20 * 86_400))
                kind = draw.random()
                spelled = url.replace("http://", "https://www.") if draw.random() < 0.2 else url
                if kind < 0.08:
                    shots.append(Shot(spelled, at, status=404))
                elif kind < 0.16 and name > "CC-MAIN-2019":
                    shots.append(Shot(spelled, at, truncated="length"))
                else:
                    shots.append(Shot(spelled, at))
        crawls.append(MadeCrawl(name, shots))
    return crawls


def page_url(page: int) -> str:
    return f"http://site{page % 9}.example/Page/{page}?b=2&a={page % 3}"


Fault = Callable[["Request"], tuple[int, dict[str, str], bytes] | None]
"""An answer in place of the file's: status, headers, body; None lets the file answer."""


@dataclass(frozen=True)
class Request:
    """A request as the server saw it: `number` counts all, `of_path` those of its path."""

    path: str
    range: tuple[int, int] | None
    agent: str
    at: float
    number: int
    of_path: int


@dataclass
class RangeServer:
    """Serves a folder with byte ranges; `requests` are all that came."""

    root: Path
    fault: Fault | None = None
    requests: list[Request] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    url: str = ""

    def most_in_a_second(self) -> int:
        """The most requests in any second."""
        times = sorted(request.at for request in self.requests)
        return max((sum(start <= t < start + 1 for t in times) for start in times), default=0)


@contextmanager
def range_server(root: Path, fault: Fault | None = None) -> Iterator[RangeServer]:
    served = RangeServer(root, fault)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked = self.headers.get("Range", "")
            first, _, last = asked.removeprefix("bytes=").partition("-")
            span = (int(first), int(last)) if asked else None
            with served.lock:
                of_path = sum(request.path == self.path for request in served.requests)
                request = Request(
                    self.path, span, self.headers.get("User-Agent", ""), time.monotonic(), len(served.requests), of_path
                )
                served.requests.append(request)
            answer = served.fault(request) if served.fault else None
            self.answer(*(answer or served_file(root, request)))

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            if int(headers.get("Content-Length", len(body))) != len(body):
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served.url = f"http://127.0.0.1:{server.server_address[1]}/"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def served_file(root: Path, request: Request) -> tuple[int, dict[str, str], bytes]:
    path = root / request.path.lstrip("/")
    if not path.is_file():
        return 404, {}, b"gone"
    data = path.read_bytes()
    if request.range is None:
        return 200, {}, data
    first, last = request.range
    if first >= len(data):
        return 416, {"Content-Range": f"bytes */{len(data)}"}, b""
    piece = data[first : last + 1]
    return 206, {"Content-Range": f"bytes {first}-{first + len(piece) - 1}/{len(data)}"}, piece
