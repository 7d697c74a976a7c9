"""Pages a second of one core: our client and our whole stage against plain requests, trafilatura's downloader and Scrapy.

    python benchmarks/fetch.py          # some minutes; installs the peers at first use

One server process on 127.0.0.1 (64 ports: 64 hosts; gzip), each client in a process of its own, 16 threads or requests at a time, rounds
interleaved, CPU time of the client alone. What each does with a page:

  webtext client            vets the address, verifies TLS, total deadline, decodes under a cap, nothing stored
  webtext stage             robots.txt, one request at a time a host, retries, media type, journal, WARC (3 records a page), index
  requests                  a session a thread, decodes, nothing stored
  trafilatura               fetch_response on urllib3 (its address check refuses loopback: off), no text made, nothing stored
  trafilatura, curl         the same where pycurl is installed
  trafilatura, stored       the same, and warcio writes one WARC record a page
  scrapy                    a spider that counts: no robots.txt, no certificates verified, nothing stored
  scrapy, stored            and an item pipeline that writes each body to a file of its own
"""

import argparse
import asyncio
import gzip
import json
import os
import random
import resource
import socket
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
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers, scores  # both read nothing of ours: peers' Pythons run this file

HOSTS = 64
THREADS = 16
SCENARIOS = ("https new hosts", "http new connections", "http kept alive")
OURS = ("webtext client", "webtext stage", "requests")
DOWNLOADER = ("trafilatura", "lxml_html_clean", "warcio", "certifi")
PEERS = {
    "trafilatura": DOWNLOADER,
    "trafilatura, curl": (*DOWNLOADER, "pycurl"),
    "trafilatura, stored": DOWNLOADER,
    "scrapy": ("scrapy",),
    "scrapy, stored": ("scrapy",),
}


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
    from pipeline.pages.addresses import AddressPolicy
    from pipeline.pages.client import Client, RequestLimits

    with Client(
        "webtext/bench", AddressPolicy.of(["127.0.0.0/8"]), RequestLimits(), ca_bundle=ca_bundle, pools=4 * THREADS
    ) as client:
        return measured(asked, lambda url: len(client.get(url).body))


def run_webtext_stage(asked: list[str], ca_bundle: str) -> dict[str, float]:
    """robots.txt, one request at a time a host, media types, journal, WARC, index."""
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

    return measured(asked, fetch)


def run_trafilatura(asked: list[str], ca_bundle: str) -> dict[str, float]:
    from trafilatura import downloads

    set_up_trafilatura(ca_bundle, curl=False)
    return measured(asked, lambda url: len(downloads.fetch_response(url).data))


def run_trafilatura_with_curl(asked: list[str], ca_bundle: str) -> dict[str, float]:
    from trafilatura import downloads

    set_up_trafilatura(ca_bundle, curl=True)
    return measured(asked, lambda url: len(downloads.fetch_response(url).data))


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

        return measured(asked, fetch)


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
    began: list[float] = []

    class Spider(scrapy.Spider):
        name = "bench"

        async def start(self):  # noqa: ANN202
            began.extend((cpu_seconds(), time.monotonic()))
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
    assert min(sizes) > 20_000
    return {"cpu": cpu_seconds() - began[0], "wall": time.monotonic() - began[1]}


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


def installed() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """The interpreter of every tool, what it is with its version, and why a peer cannot be installed."""
    absent: dict[str, str] = {}
    found = dict.fromkeys(OURS, sys.executable)
    named = {"requests": f"requests {version('requests')}"}
    for name, requirements in PEERS.items():
        try:
            found[name] = str(peers.python(requirements[0], *requirements))
        except peers.PeerError as error:
            print(f"without {name}: {error}")
            absent[name] = str(error)
            continue
        versions = peers.versions(Path(found[name]), *requirements)
        print(f"{name}: {versions}")
        tool, _, how = name.partition(", ")
        named[name] = f"{tool} {versions[tool]}" + (f", {how}" if how else "")
    return found, named, absent


Rates = dict[str, list[float]]


def raced(tools: dict[str, str], pages: int, rounds: int, folder: Path) -> tuple[Rates, dict[str, float], dict[str, str]]:
    """Pages a CPU second of every tool, rounds interleaved; its peak memory in MB; why a peer fails, which then has no rate."""
    rates: Rates = {name: [] for name in tools}
    peaks = dict.fromkeys(tools, 0.0)
    absent: dict[str, str] = {}
    for _ in range(rounds):
        for name in list(rates):
            try:
                figures = run_alone(name, tools[name], folder)
                rates[name].append(pages / figures["cpu"])
                peaks[name] = max(peaks[name], figures["peak_mb"])
            except peers.PeerError as error:
                print(error)
                absent[name] = str(error)
                del rates[name]
    return rates, peaks, absent


def compare(scenarios: list[str], pages: int, rounds: int, handed_to: Path | None) -> None:
    """Print pages a CPU second: median [least to most] of the rounds, and our stage's and client's ratio to each, round by round."""
    tools, named, absent = installed()
    scores.hand_over(handed_to, [scores.Absent("pages", name, why) for name, why in absent.items()])
    with server() as (folder, ports):
        for scenario in scenarios:
            (folder / "asked.json").write_text(json.dumps(urls(scenario, ports, pages)))
            rates, peaks, failed = raced(tools, pages, rounds, folder)
            scores.hand_over(handed_to, [scores.Absent(f"pages, {scenario}", name, why) for name, why in failed.items()])
            print(f"\n{scenario}: pages a CPU second ({pages} pages, {rounds} rounds); client / it; stage / it", flush=True)
            for name, found in rates.items():
                against = [spread([a / b for a, b in zip(rates[own], found, strict=True)], ".2f") for own in OURS[:2]]
                print(f"  {name:<20} {spread(found, '.0f'):<24} {against[0]:<24} {against[1]}", flush=True)
            each = {name: tuple(1e3 / rate for rate in found) for name, found in rates.items()}
            scores.hand_over(
                handed_to,
                [
                    scores.Race(
                        "pages",
                        f"{scenario}; {own.removeprefix('webtext ')}",
                        peer,
                        "CPU ms a page",
                        each[own],
                        each[name],
                        peaks[own],
                        peaks[name],
                    )
                    for name, peer in named.items()
                    if name in each
                    for own in OURS[:2]
                ],
            )
            if scenario == SCENARIOS[-1]:
                scores.hand_over(handed_to, [limit(each["webtext client"], folder, pages)])


def limit(client: tuple[float, ...], folder: Path, pages: int) -> scores.Limit:
    """The same bytes received over one socket a thread and inflated, with no HTTP read, no address vetted, no deadline kept."""
    asked = json.loads((folder / "asked.json").read_text())
    found = tuple(1e3 * bare(asked) / pages for _ in client)
    return scores.Limit("pages, client", "sockets and zlib alone, plain http, kept alive", "CPU ms a page", client, found)


def bare(asked: list[str]) -> float:
    """CPU seconds of the least that a client can do with so many URLs of one scheme."""

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


def run_alone(name: str, python: str, folder: Path) -> dict[str, float]:
    """CPU seconds and peak memory of one tool in a process of its own; PeerError with its last line where a peer's fails."""
    command = [python, __file__, "--client", name, "--folder", str(folder)]
    out = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[1])
    if out.returncode and name in PEERS:
        raise peers.PeerError(f"{name}: {(out.stderr.strip().splitlines() or ['no message'])[-1]}")
    if out.returncode:
        raise SystemExit(f"{name}: {out.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    return figures


def spread(values: list[float], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}} to {max(values):{form}}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenarios", nargs="+", choices=SCENARIOS, default=SCENARIOS)
    parser.add_argument("--pages", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    scores.add_flag(parser)
    for internal in ("--serve", "--client", "--folder"):
        parser.add_argument(internal, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        asyncio.run(serve(Path(arguments.serve)))
    elif arguments.client:
        folder = Path(arguments.folder)
        asked = json.loads((folder / "asked.json").read_text())
        print(json.dumps(RUNNERS[arguments.client](asked, str(folder / "authority.pem")) | {"peak_mb": scores.peak_mb()}))
    else:
        compare(arguments.scenarios, arguments.pages, arguments.rounds, arguments.scores)


if __name__ == "__main__":
    main()
