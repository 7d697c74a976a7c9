"""The clients that fetch.py compares. Each runs in a process of its own: `PYTHON fetch_clients.py CLIENT FOLDER`.

FOLDER holds asked.json, the URLs to fetch, and authority.pem, the certificates to trust. Prints JSON: CPU seconds, wall seconds and peak
memory. Every import that a peer's Python lacks is inside the function that needs it.
"""

import gzip
import json
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scores  # imports nothing that a peer's Python lacks

THREADS = 16
MIN_PAGE_BYTES = 20_000
"""A decoded page is larger; a smaller one did not arrive whole."""


def cpu_seconds() -> float:
    """Return the CPU seconds of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measure(asked: list[str], fetch: Callable[[str], int]) -> dict[str, float]:
    """Return CPU and wall seconds of fetching all URLs with 16 threads. `fetch` returns the size of a page."""
    cpu, wall = cpu_seconds(), time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = list(pool.map(fetch, asked))
    assert min(sizes) > MIN_PAGE_BYTES, min(sizes)
    return {"cpu": cpu_seconds() - cpu, "wall": time.monotonic() - wall}


def run_webtext_client(asked: list[str], ca_bundle: str) -> dict[str, float]:
    from pipeline.pages.addresses import AddressPolicy
    from pipeline.pages.client import Client, RequestLimits

    with Client(
        "webtext/bench", AddressPolicy.of(["127.0.0.0/8"]), RequestLimits(), ca_bundle=ca_bundle, pools=4 * THREADS
    ) as client:
        return measure(asked, lambda url: len(client.get(url).body))


def run_webtext_stage(asked: list[str], ca_bundle: str) -> dict[str, float]:
    """The work of one part of the stage: robots.txt, one request at a time per host, media types, journal, WARC, index."""
    from pipeline.engine.execute import run_part
    from pipeline.engine.parts import Part, PhaseFolder
    from pipeline.pages.fetch import FetchPart
    from pipeline.pages.settings import PagesSettings
    from pipeline.pages.share import Share
    from pipeline.records import Link
    from pipeline.storage import files

    with tempfile.TemporaryDirectory() as name:
        links = f"{name}/links.parquet"
        files.publish_table(links, Link.table(Link(url, url, "127.0.0.1", 3, None, ()) for url in asked))
        settings = PagesSettings(host_delay=0.0, threads=THREADS, allow_addresses=("127.0.0.0/8",), ca_bundle=ca_bundle)
        cpu, wall = cpu_seconds(), time.monotonic()
        receipt = run_part(PhaseFolder.first("pages", name, {}, {}), FetchPart(settings), Part("0", Share((links,)), len(asked)))
        assert receipt.books.items_out == len(asked), receipt.books
        return {"cpu": cpu_seconds() - cpu, "wall": time.monotonic() - wall}


def run_requests(asked: list[str], ca_bundle: str) -> dict[str, float]:
    import requests

    sessions = threading.local()

    def fetch(url: str) -> int:
        if not hasattr(sessions, "one"):
            sessions.one = requests.Session()
        return len(sessions.one.get(url, timeout=30, verify=ca_bundle).content)

    return measure(asked, fetch)


def run_trafilatura(asked: list[str], ca_bundle: str) -> dict[str, float]:
    from trafilatura import downloads

    set_up_trafilatura(ca_bundle, curl=False)
    return measure(asked, lambda url: len(downloads.fetch_response(url).data))


def run_trafilatura_with_curl(asked: list[str], ca_bundle: str) -> dict[str, float]:
    from trafilatura import downloads

    set_up_trafilatura(ca_bundle, curl=True)
    return measure(asked, lambda url: len(downloads.fetch_response(url).data))


def run_trafilatura_stored(asked: list[str], ca_bundle: str) -> dict[str, float]:
    import io

    from trafilatura import downloads
    from warcio.statusandheaders import StatusAndHeaders
    from warcio.warcwriter import WARCWriter

    set_up_trafilatura(ca_bundle, curl=False)
    lock = threading.Lock()
    with tempfile.TemporaryFile() as file:
        writer = WARCWriter(file, gzip=True)

        def fetch(url: str) -> int:
            response = downloads.fetch_response(url, with_headers=True)
            head = StatusAndHeaders(f"{response.status} OK", list(response.headers.items()), protocol="HTTP/1.1")
            with lock:
                writer.write_record(writer.create_warc_record(url, "response", io.BytesIO(response.data), http_headers=head))
            return len(response.data)

        return measure(asked, fetch)


def set_up_trafilatura(ca_bundle: str, *, curl: bool) -> None:
    from trafilatura import downloads
    from trafilatura.settings import DEFAULT_CONFIG

    assert curl == downloads.HAS_PYCURL, "pycurl"
    downloads.certifi.where = lambda: ca_bundle
    DEFAULT_CONFIG.set("DEFAULT", "SSRF_PROTECTION", "off")
    DEFAULT_CONFIG.set("DEFAULT", "INSECURE_SSL_FALLBACK", "off")


def run_scrapy(asked: list[str], _ca_bundle: str, stored: str | None = None) -> dict[str, float]:
    import scrapy
    from scrapy.crawler import CrawlerProcess

    sizes: list[int] = []
    start: list[float] = []

    class Spider(scrapy.Spider):
        name = "bench"

        async def start(self):  # noqa: ANN202
            start.extend((cpu_seconds(), time.monotonic()))
            for url in asked:
                yield scrapy.Request(url, callback=self.parse)

        def parse(self, response):  # noqa: ANN001, ANN202
            sizes.append(len(response.body))
            if stored:
                yield {"name": f"{len(sizes)}.html", "body": response.body}

    class Store:
        def process_item(self, item):  # noqa: ANN001, ANN202
            Path(stored, item["name"]).write_bytes(item["body"])
            return item

    settings = {
        "LOG_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "CONCURRENT_REQUESTS": THREADS,
        "CONCURRENT_REQUESTS_PER_DOMAIN": THREADS,
        "DOWNLOAD_DELAY": 0,
        "COOKIES_ENABLED": False,
        "RETRY_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
        "ITEM_PIPELINES": {Store: 1} if stored else {},
    }
    process = CrawlerProcess(settings)
    process.crawl(Spider)
    process.start()
    assert len(sizes) == len(asked), len(sizes)
    assert min(sizes) > MIN_PAGE_BYTES
    return {"cpu": cpu_seconds() - start[0], "wall": time.monotonic() - start[1]}


def run_scrapy_stored(asked: list[str], ca_bundle: str) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        return run_scrapy(asked, ca_bundle, folder)


RUNNERS = {
    "webtext client": run_webtext_client,
    "webtext stage": run_webtext_stage,
    "requests": run_requests,
    "trafilatura": run_trafilatura,
    "trafilatura, curl": run_trafilatura_with_curl,
    "trafilatura, stored": run_trafilatura_stored,
    "scrapy": run_scrapy,
    "scrapy, stored": run_scrapy_stored,
}


def bare_seconds(asked: list[str]) -> float:
    """Return the CPU seconds of receiving and decompressing plain-http URLs over one socket per host and thread."""

    def work(some: list[str]) -> None:
        open_sockets: dict[str, socket.socket] = {}
        for url in some:
            place, _, path = url.removeprefix("http://").partition("/")
            if place not in open_sockets:
                host, _, port = place.partition(":")
                open_sockets[place] = socket.create_connection((host, int(port)))
            line = open_sockets[place]
            line.sendall(f"GET /{path} HTTP/1.1\r\nHost: {place}\r\nAccept-Encoding: gzip\r\n\r\n".encode())
            data = b""
            while b"\r\n\r\n" not in data:
                data += line.recv(1 << 16)
            head, _, body = data.partition(b"\r\n\r\n")
            (length,) = (
                int(field.split(b":")[1]) for field in head.lower().split(b"\r\n") if field.startswith(b"content-length")
            )
            while len(body) < length:
                body += line.recv(1 << 16)
            gzip.decompress(body)
        for line in open_sockets.values():
            line.close()

    began = cpu_seconds()
    threads = [threading.Thread(target=work, args=(asked[start::THREADS],)) for start in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return cpu_seconds() - began


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    asked = json.loads((folder / "asked.json").read_text())
    print(json.dumps(RUNNERS[name](asked, str(folder / "authority.pem")) | {"peak_mb": scores.peak_mb()}))


if __name__ == "__main__":
    main()
