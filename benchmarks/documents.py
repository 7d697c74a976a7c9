"""The whole stage `documents`: the speed-up by a second worker, and the growth of cost with the number of pages.

    python benchmarks/documents.py scaling ../shared/data/html [--pages 4000] [--rounds 3]
    python benchmarks/documents.py growth  ../shared/data/html [--pages 16000]

`scaling` runs `webtext documents` with one worker and with two on the same pages, in turn. `growth` runs it with two workers
on a sixteenth of the pages, on a quarter and on all. Figures are wall time and CPU time of all processes, start-up included, and the peak
of their total memory (proportional set size). The pages are gold pages in a seeded order, repeated: in a copy, every paragraph ends in
its own numbers. `growth` uses pages of at most 50 kB, so that it takes only minutes. `--crawl FOLDER` keeps the pages for another run;
`make_scaling` and `make_growth` only write them.
"""

import argparse
import math
import os
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path

import gold
import psutil
import pyarrow.parquet as pq
import scores

from pipeline.pages.http_response import HttpResponse
from pipeline.pages.warc_writer import exchange_members
from pipeline.records import Page
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, StageManifest

COLLECTIONS = ("scrapinghub", "newspaper4k", "mozilla", "trafilatura")
FETCHED = datetime(2018, 1, 1, tzinfo=UTC)
WARC, INDEX = "warc-00000.warc.gz", "pages-00000-of-00001.parquet"
PARAGRAPH_END = re.compile(rb"</p>", re.IGNORECASE)
SAMPLE_SECONDS = 2.0
PAGE_BYTES = {"scaling": 1 << 30, "growth": 50_000}


@dataclass(frozen=True)
class CommandCost:
    """Time and memory of one command."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int

    def __str__(self) -> str:
        busy = self.cpu_seconds / self.wall_seconds
        return f"{self.wall_seconds:6.1f} s, {self.cpu_seconds:6.1f} s of CPU ({busy:.2f} cores), {self.peak_bytes >> 20} MiB"


def vary(body: bytes, copy: int) -> bytes:
    """Make the copy differ: end each paragraph with the number of the copy and of the paragraph."""
    numbers = count()
    return PARAGRAPH_END.sub(lambda end: b" %d/%d%s" % (copy, next(numbers), end[0]), body) + b"<p>Copy %d.</p>" % copy


def bodies(data: Path, number: int, max_bytes: int) -> Iterator[bytes]:
    """Yield `number` pages of at most `max_bytes` before they are varied."""
    pages = [page for page in gold.load(data, COLLECTIONS) if len(page.body) <= max_bytes]
    for i in range(number):
        if i % len(pages) == 0:
            random.Random(i).shuffle(pages)
        yield vary(pages[i % len(pages)].body, i // len(pages))


def crawl(data: Path, folder: Path, number: int, max_bytes: int) -> None:
    """Write a pages folder as the stage `pages` leaves it."""
    folder.mkdir(parents=True)
    pages = []
    with (folder / WARC).open("wb") as warc:
        for i, body in enumerate(bodies(data, number, max_bytes)):
            url = f"http://site{i % 97}.example/{i}"
            exchange = exchange_members(HttpResponse(url, 200, "OK", (("Content-Type", "text/html"),), body, ()), FETCHED)
            at, digest = warc.tell(), sha256(body).digest()
            warc.write(exchange.members)
            pages.append(
                Page(url, url[7:], url[7:].partition("/")[0], 3, None, url, FETCHED, 200, "text/html", None, WARC, at,
                     exchange.response_length, len(body), digest)
            )  # fmt: skip
    index(folder, pages)


def index(folder: Path, pages: list[Page]) -> None:
    """Write the index and the manifest of a pages folder."""
    files.publish_table(str(folder / INDEX), Page.table(pages))
    entries = tuple(
        FileEntry(name, kind, len(pages), (folder / name).stat().st_size, files.fingerprint(str(folder / name)))
        for name, kind in ((INDEX, "pages"), (WARC, "warc"))
    )
    StageManifest("pages", {}, {}, entries, Books(len(pages), len(pages))).save(str(folder))


def first(folder: Path, number: int) -> Path:
    """Return a pages folder of the first pages of `folder`, beside it; it is made if it is missing."""
    part = folder.with_name(f"{folder.name}-first-{number}")
    if not part.exists():
        part.mkdir()
        os.link(folder / WARC, part / WARC)
        index(part, [Page.from_row(row) for row in pq.read_table(folder / INDEX).slice(0, number).to_pylist()])
    return part


def extract(pages: Path, workers: int) -> CommandCost:
    """Run the stage. Exits with its error output if it fails."""
    with tempfile.TemporaryDirectory(dir=pages.parent) as output:
        command = [sys.executable, "-m", "pipeline", "documents", "--input", str(pages), "--output", output]
        began, spent, peak = time.perf_counter(), _children_seconds(), [0]
        process = subprocess.Popen([*command, "--workers", str(workers)], stderr=subprocess.PIPE, text=True)
        watcher = threading.Thread(target=_watch, args=(process, peak))
        watcher.start()
        errors = process.communicate()[1]
        watcher.join()
        if process.returncode:
            raise SystemExit(errors)
        return CommandCost(time.perf_counter() - began, _children_seconds() - spent, peak[0])


def _watch(process: "subprocess.Popen[str]", peak: list[int]) -> None:
    while process.poll() is None:
        total = 0
        try:
            root = psutil.Process(process.pid)
            for member in (root, *root.children(recursive=True)):
                total += member.memory_full_info().pss
        except psutil.Error:
            continue  # a process has ended meanwhile
        finally:
            time.sleep(SAMPLE_SECONDS)
        peak[0] = max(peak[0], total)


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def scaling(pages: Path, rounds: int) -> scores.Race:
    """Print and return the speed-up of two workers over one."""
    ratios, walls, peaks = [], [], []
    for _ in range(rounds):
        one, two = extract(pages, 1), extract(pages, 2)
        ratios.append(one.wall_seconds / two.wall_seconds)
        walls.append((two.wall_seconds, one.wall_seconds))
        peaks.append((two.peak_bytes / 1e6, one.peak_bytes / 1e6))
        print(f"one worker {one}; two {two}; {ratios[-1]:.2f} times as fast", flush=True)
    print(f"two workers: {min(ratios):.2f} - {statistics.median(ratios):.2f} - {max(ratios):.2f} times as fast as one")
    return scores.Race(
        "documents",
        "the whole stage, two workers, total memory of all processes",
        "ours, one worker",
        "wall s",
        *zip(*walls, strict=True),
        *map(max, zip(*peaks, strict=True)),
    )


def growth(folder: Path, pages: int) -> None:
    """Print the cost of three sizes and the exponents of growth."""
    sizes = [pages // 16, pages // 4, pages]
    runs = []
    for size in sizes:
        runs.append(extract(first(folder, size), 2))
        print(f"{size:6,} pages: {runs[-1]}", flush=True)
    for name, costs in (("wall", [r.wall_seconds for r in runs]), ("CPU", [r.cpu_seconds for r in runs])):
        slope = statistics.linear_regression([math.log(size) for size in sizes], [math.log(cost) for cost in costs]).slope
        last = math.log(costs[-1] / costs[-2], sizes[-1] / sizes[-2])
        print(f"{name} time grows with pages to the power of {slope:.3f}, {last:.3f} over the last step")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("scaling", "growth", "make_scaling", "make_growth"))
    parser.add_argument("data", type=Path, help="folder of gold pages")
    parser.add_argument("--pages", type=int, help="default: 4,000 for scaling, 16,000 for growth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--crawl", type=Path, help="folder in which to keep the pages for another run")
    scores.add_flag(parser)
    arguments = parser.parse_args()
    what = arguments.what.removeprefix("make_")
    number = arguments.pages or (4_000 if what == "scaling" else 16_000)
    home = arguments.crawl or Path(tempfile.mkdtemp())
    folder = home / f"{what}-{number}"
    if not folder.exists():
        crawl(arguments.data, folder, number, PAGE_BYTES[what])
    if arguments.what == "scaling":
        scores.append_rows(arguments.scores, [scaling(folder, arguments.rounds)])
    elif arguments.what == "growth":
        growth(folder, number)
    if arguments.crawl is None:
        shutil.rmtree(home)


if __name__ == "__main__":
    main()
