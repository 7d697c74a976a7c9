"""64 threads fetch from servers, 30 percent hostile, for SECONDS: `soak.py SECONDS`. Prints JSON: memory, descriptors, rate.

Rounds of the same hosts, one crawl after the other in this process; the servers are another process, so that their memory is not
counted. A clean round has as many addresses, none of them hostile. The last second of a mixed round is the slowest hosts'
deadline. Every address has one outcome. A good server's page may also time out, where the machine is too busy to serve it within the
deadline: that is counted beside the machine's load, and no other failure of a good server is taken.
"""

import json
import multiprocessing
import os
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import psutil
from servers.hostile import CASES, HostileServer
from servers.outcomes import LOOPBACK

from pipeline.engine.allocator import choose_allocators
from pipeline.engine.cores import usable_cores
from pipeline.pages.client import Client, RequestLimits
from pipeline.pages.crawl import Crawl, first_requests
from pipeline.pages.outcomes import DroppedLink, FetchedPage, FetchOutcome, PageDrop
from pipeline.pages.politeness import Politeness

ALL, THREADS = 12_000, 64
HOSTILE = ALL * 3 // 10
DEADLINE_SECONDS = 1.0


def serve(pipe: Connection) -> None:
    """The servers, until told to stop."""
    with HostileServer() as server:
        pipe.send(server.port)
        pipe.recv()


def url(case: str, number: int, port: int) -> str:
    return f"http://{case.replace('_', '-')}.n{number}.test:{port}/"


def lookup(host: str, port: int, **options: Any) -> list[Any]:
    """Names under .test are the servers'."""
    if host.endswith(".test"):
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    return socket.getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, **options)


def crawl(urls: list[str]) -> tuple[int, float]:
    """Good servers' pages that timed out, and seconds, of one crawl. Raises AssertionError where the books do not balance."""
    pages: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    others: set[str] = set()

    def take(outcome: FetchOutcome) -> None:
        if "//good." not in outcome.url:
            others.add(outcome.url)
        elif isinstance(outcome, FetchedPage):
            pages[outcome.url] += 1
        else:
            drops[str(outcome.reason) if isinstance(outcome, DroppedLink) else type(outcome).__name__] += 1

    began = time.monotonic()
    politeness = Politeness(delay_seconds=0.0, retries=0, robots=False, address_requests=THREADS)
    with Client("webtext/test", LOOPBACK, RequestLimits(DEADLINE_SECONDS, 2_000_000), lookup=lookup) as client:
        Crawl(client, politeness, take).run(first_requests(urls), THREADS)
    good = {url for url in urls if "//good." in url}
    late = drops.pop(PageDrop.TIMEOUT.value, 0)
    assert not drops, drops
    assert pages.keys() <= good
    assert pages.total() == len(pages) == len(good) - late, (pages.total(), len(pages), late)
    assert others == set(urls) - good
    return late, time.monotonic() - began


def rounds(seconds: float, good: list[str], mixed: list[str]) -> dict[str, Any]:
    """Clean and mixed rounds in turns; memory and descriptors after each."""
    process, began, warm = psutil.Process(), time.monotonic(), seconds / 3
    rows, rates, late, load = [], {"clean": [], "mixed": []}, 0, 0.0  # type: ignore[var-annotated]
    measured: dict[str, Callable[[], tuple[int, float]]] = {"clean": lambda: crawl(good), "mixed": lambda: crawl(mixed)}
    while time.monotonic() - began < seconds or len(rates["mixed"]) < 2:
        for name, run in measured.items():
            timed_out, spent = run()
            late, load = late + timed_out, max(load, os.getloadavg()[0])
            rates[name].append(ALL / spent)
        at = time.monotonic() - began
        rows.append((at / 60, process.memory_info().rss / 1e6, settled(process)))
    warmed = [row for row in rows if row[0] * 60 >= warm] if len(rows) > 4 else rows
    slope = float(np.polyfit([row[0] for row in warmed], [row[1] for row in warmed], 1)[0])
    return {
        "minutes": round(rows[-1][0], 1),
        "rounds": len(rows),
        "urls": 2 * ALL * len(rows),
        "timed_out_good_urls": late,
        "most_load_per_core": round(load / usable_cores(), 1),
        "memory_mb": [round(warmed[0][1], 1), round(warmed[-1][1], 1)],
        "slope_mb_per_minute": round(slope, 3),
        "descriptors": [warmed[0][2], warmed[-1][2]],
        "clean_urls_per_second": round(float(np.median(rates["clean"])), 1),
        "mixed_urls_per_second": round(float(np.median(rates["mixed"])), 1),
    }


def settled(process: psutil.Process) -> int:
    """Open descriptors, once closing sockets are closed."""
    time.sleep(0.2)
    return int(process.num_fds())


def main() -> None:
    """Start the servers, soak, say what was seen."""
    choose_allocators()  # as the command line does
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)  # it ends where this fails
    server.start()
    port = ours.recv()
    names = [name for name in CASES if not name.startswith("good")]
    good = [url("good", number, port) for number in range(1, ALL + 1)]
    hostile = [url(names[number % len(names)], number, port) for number in range(1, HOSTILE + 1)]
    result = rounds(float(sys.argv[1]), good, sorted([*good[HOSTILE:], *hostile], key=place_of))
    ours.send(None)
    server.join()
    print(json.dumps(result))


def place_of(text: str) -> int:
    """An order that is the same in every process."""
    return int.from_bytes(text.encode(), "big") % 1_000_003


if __name__ == "__main__":
    main()
