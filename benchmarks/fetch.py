"""Pages a second of one core: our client and our whole stage against plain requests, trafilatura's downloader and Scrapy.

One server process on 127.0.0.1 (64 ports: 64 hosts), each client in a process of its own, rounds interleaved, CPU time of the client alone.

    python benchmarks/fetch.py                                  # ours and plain requests
    python benchmarks/fetch.py --peers /path/to/venv/bin/python # and those with scrapy and trafilatura installed there
"""

import argparse
import asyncio
import gzip
import json
import os
import random
import resource
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

HOSTS = 64
THREADS = 16
SCENARIOS = ("https new hosts", "http new connections", "http kept alive")
OURS = ("webtext client", "webtext stage", "plain requests")
PEERS = ("trafilatura", "scrapy")


def page() -> bytes:
    """Some 30 KB of markup."""
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randint(2, 9))) for _ in range(2000)]
    paragraphs = "".join(f"<p>{' '.join(chance.choices(words, k=60))}</p>" for _ in range(70))
    return f"<!doctype html><title>A page</title><body>{paragraphs}</body>".encode()


async def serve(folder: Path) -> None:
    """64 TLS ports and 64 plain ones; writes them to ports.json and runs until killed."""
    body = gzip.compress(page(), mtime=0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                while (await reader.readline()).strip():
                    pass
                keep = b"/keep" in line
                if b"robots.txt" in line:
                    writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nContent-Type: text/plain\r\n\r\n")
                    continue
                head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\n"
                head += f"Content-Length: {len(body)}\r\nConnection: {'keep-alive' if keep else 'close'}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
                if not keep:
                    break
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    ports: dict[str, list[int]] = {"http": [], "https": []}
    listeners = []
    for scheme in ports:
        for _ in range(HOSTS):
            tls = context if scheme == "https" else None
            listener = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls, backlog=512)
            ports[scheme].append(listener.sockets[0].getsockname()[1])
            listeners.append(listener)
    (folder / "ports.part").write_text(json.dumps(ports))
    (folder / "ports.part").rename(folder / "ports.json")
    starter = os.getppid()
    while os.getppid() == starter:  # nobody is left behind, however the benchmark ends
        await asyncio.sleep(1)


@contextmanager
def server() -> Iterator[tuple[Path, dict[str, list[int]]]]:
    """The server's process; its folder, with the authority's certificate, and its ports."""
    import trustme

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
        authority.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA).private_key_and_cert_chain_pem.write_to_path(
            str(folder / "server.pem")
        )
        import certifi

        # As large as the bundle that everybody else reads for every host.
        (folder / "authority.pem").write_bytes(Path(certifi.where()).read_bytes() + authority.cert_pem.bytes())
        process = subprocess.Popen([sys.executable, __file__, "--serve", name])
        try:
            while not (folder / "ports.json").exists():
                time.sleep(0.05)
            yield folder, json.loads((folder / "ports.json").read_text())
        finally:
            process.terminate()
            process.wait()


def urls(scenario: str, ports: dict[str, list[int]], pages: int) -> list[str]:
    """Of one scenario, each port in its turn."""
    scheme = scenario.split()[0]
    path = "keep" if "kept" in scenario else "page"
    hosts = ports[scheme][:8] if "kept" in scenario else ports[scheme]
    return [f"{scheme}://127.0.0.1:{hosts[i % len(hosts)]}/{path}/{i}" for i in range(pages)]


def cpu_seconds() -> float:
    """Of this process, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measured(asked: list[str], fetch: Callable[[str], int], limit_bytes: int = 20_000) -> dict[str, float]:
    """CPU and wall of fetching all with 16 threads; every page must come whole."""
    cpu, wall = cpu_seconds(), time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        sizes = list(pool.map(fetch, asked))
    assert min(sizes) > limit_bytes, min(sizes)
    return {"cpu": cpu_seconds() - cpu, "wall": time.monotonic() - wall}


def run_webtext_client(asked: list[str], ca_bundle: str) -> dict[str, float]:
    from pipeline.crawling.addresses import AddressPolicy
    from pipeline.crawling.client import Client, Limits

    with Client("webtext/bench", AddressPolicy.of(["127.0.0.0/8"]), Limits(), ca_bundle=ca_bundle, pools=2 * THREADS) as client:
        return measured(asked, lambda url: len(client.get(url).body))


def run_webtext_stage(asked: list[str], ca_bundle: str) -> dict[str, float]:
    """robots.txt, one request at a time a host, media types, journal, WARC, index."""
    from pipeline import files
    from pipeline.fetch import FetchPart, PagesSettings, Share
    from pipeline.parts import Part, Place, run_part
    from pipeline.records import Link

    with tempfile.TemporaryDirectory() as name:
        links = f"{name}/links.parquet"
        files.publish_table(links, Link.table(Link(url, url, "127.0.0.1", 3, None, ()) for url in asked))
        settings = PagesSettings(host_delay=0.0, threads=THREADS, allow_addresses=("127.0.0.0/8",), ca_bundle=ca_bundle)
        cpu, wall = cpu_seconds(), time.monotonic()
        receipt = run_part(Place.of("pages", name, {}, {}), FetchPart(settings), Part("0", Share((links,)), len(asked)))
        assert receipt.books.items_out == len(asked), receipt.books
        return {"cpu": cpu_seconds() - cpu, "wall": time.monotonic() - wall}


def run_plain_requests(asked: list[str], ca_bundle: str) -> dict[str, float]:
    import requests

    sessions = threading.local()

    def fetch(url: str) -> int:
        if not hasattr(sessions, "one"):
            sessions.one = requests.Session()
        return len(sessions.one.get(url, timeout=30, verify=ca_bundle).content)

    return measured(asked, fetch)


def run_trafilatura(asked: list[str], ca_bundle: str) -> dict[str, float]:
    """Its `fetch_response`, with its own pool; the address check off, which refuses loopback."""
    from trafilatura import downloads
    from trafilatura.settings import DEFAULT_CONFIG

    downloads.certifi.where = lambda: ca_bundle
    DEFAULT_CONFIG.set("DEFAULT", "SSRF_PROTECTION", "off")
    DEFAULT_CONFIG.set("DEFAULT", "INSECURE_SSL_FALLBACK", "off")

    def fetch(url: str) -> int:
        response = downloads.fetch_response(url)
        return len(response.data) if response is not None else 0

    return measured(asked, fetch)


def run_scrapy(asked: list[str], _ca_bundle: str) -> dict[str, float]:
    """A spider whose callback counts; Scrapy does not verify certificates."""
    import scrapy
    from scrapy.crawler import CrawlerProcess

    sizes: list[int] = []
    began: list[float] = []

    class Spider(scrapy.Spider):
        name = "bench"

        async def start(self):  # noqa: ANN202
            began.extend((cpu_seconds(), time.monotonic()))
            for url in asked:
                yield scrapy.Request(url, callback=self.parse)

        def parse(self, response):  # noqa: ANN001, ANN202
            sizes.append(len(response.body))

    settings = {
        "LOG_ENABLED": False,
        "ROBOTSTXT_OBEY": False,
        "CONCURRENT_REQUESTS": THREADS,
        "CONCURRENT_REQUESTS_PER_DOMAIN": THREADS,
        "DOWNLOAD_DELAY": 0,
        "COOKIES_ENABLED": False,
        "RETRY_ENABLED": False,
        "TELNETCONSOLE_ENABLED": False,
    }
    process = CrawlerProcess(settings)
    process.crawl(Spider)
    process.start()
    assert len(sizes) == len(asked), len(sizes)
    assert min(sizes) > 20_000
    return {"cpu": cpu_seconds() - began[0], "wall": time.monotonic() - began[1]}


RUNNERS = {
    "webtext client": run_webtext_client,
    "webtext stage": run_webtext_stage,
    "plain requests": run_plain_requests,
    "trafilatura": run_trafilatura,
    "scrapy": run_scrapy,
}


def compare(peers: str | None, pages: int, rounds: int) -> None:
    """Print pages a CPU second: median [least to most] of the rounds, and the ratio to plain requests."""
    tools = [(name, sys.executable) for name in OURS] + ([(name, peers) for name in PEERS] if peers else [])
    with server() as (folder, ports):
        for scenario in SCENARIOS:
            rates: dict[str, list[float]] = {name: [] for name, _ in tools}
            (folder / "asked.json").write_text(json.dumps(urls(scenario, ports, pages)))
            for _ in range(rounds):
                for name, python in tools:
                    command = [python, __file__, "--client", name, "--folder", str(folder)]
                    out = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
                    if out.returncode:
                        raise SystemExit(f"{name}: {out.stderr[-2000:]}")
                    rates[name].append(pages / json.loads(out.stdout.splitlines()[-1])["cpu"])
            base = statistics.median(rates["plain requests"])
            print(f"\n{scenario}: pages a CPU second ({pages} pages, {rounds} rounds)", flush=True)
            for name, found in rates.items():
                middle = statistics.median(found)
                spread = f"[{min(found):.0f} to {max(found):.0f}]"
                print(f"  {name:<16} {middle:7.0f} {spread}  {middle / base:5.2f} x plain requests", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", help="a Python that has scrapy and trafilatura")
    parser.add_argument("--pages", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    for internal in ("--serve", "--client", "--folder"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(Path(arguments.serve)))
    elif arguments.client:
        folder = Path(arguments.folder)
        asked = json.loads((folder / "asked.json").read_text())
        print(json.dumps(RUNNERS[arguments.client](asked, str(folder / "authority.pem"))))
    else:
        compare(arguments.peers, arguments.pages, arguments.rounds)


if __name__ == "__main__":
    main()
