"""The join of links with the columnar index of a web archive: seconds, bytes read, memory, and how they grow with either side.

`archive_join.py FOLDER [--submissions DUMP …] LINKSxROWS …`: makes an index of that many rows and that many links, joins them, and
prints a row of a table. Three links in ten are in the index. The links of the dumps come first, made links fill up their number.
Each case runs in a process of its own.
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.archives.held_links import NumberedShare
from pipeline.archives.index_files import find_index_files
from pipeline.archives.match import CAPTURES, INDEX_BYTES, INDEX_BYTES_READ
from pipeline.archives.rounds import Search
from pipeline.archives.surt import surt_key
from pipeline.engine.parts import Part, PhaseFolder
from pipeline.engine.runner import Engine
from pipeline.pages.held import Earlier
from pipeline.pages.settings import PagesSettings
from pipeline.pages.share import Share
from pipeline.records import Link
from pipeline.storage import files

ROWS_PER_FILE, ROWS_PER_GROUP, LINKS_PER_SHARD = 2_500_000, 250_000, 200_000
PAGES_PER_SITE = 100
IN_INDEX = 0.3
WARCS = pa.array([f"crawl-data/CC-MAIN-2013-20/segments/1368696381249/warc/CC-MAIN-{n:05d}.warc.gz" for n in range(8000)])
DIGITS = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", np.uint8)
START, SECONDS = int(datetime(2013, 5, 18, tzinfo=UTC).timestamp()), 20 * 86_400


def _padded(numbers: pa.Array, width: int) -> pa.Array:
    return pc.utf8_lpad(numbers.cast(pa.string()), width, "0")


def _urls(pages: "np.ndarray[tuple[int], np.dtype[np.int64]]") -> tuple[pa.Array, pa.Array]:
    """SURT keys and URLs of pages by their numbers; sorted numbers give sorted keys."""
    site = _padded(pa.array(pages // PAGES_PER_SITE), 8)
    path = pc.binary_join_element_wise("articles/2013/a-title-of-some-words-", _padded(pa.array(pages % PAGES_PER_SITE), 4), "")
    keys = pc.binary_join_element_wise("com,site", site, ")/", path, "")
    return keys, pc.binary_join_element_wise("http://www.site", site, ".com/", path, "")


def write_index(folder: Path, rows: int, dumped: Sequence[str]) -> None:
    """An index of every third made page and of three in ten of the dumps' links, in the published types, sorted by key."""
    random = np.random.default_rng(3)
    folder = folder / "crawl=CC-MAIN-2013-20" / "subset=warc"
    folder.mkdir(parents=True, exist_ok=True)
    held = sorted((surt_key(url), url) for url in dumped if random.random() < IN_INDEX)
    before, after = [pair for pair in held if pair[0] < "com,site0"], [pair for pair in held if pair[0] > "com,site:"]
    made = rows - len(before) - len(after)
    _write_file(folder / "part-00000-dumped.parquet", [_pairs(before)], random)
    for number, first in enumerate(range(0, made, ROWS_PER_FILE), 1):
        last = min(made, first + ROWS_PER_FILE)
        groups = (
            _urls(3 * np.arange(at, min(last, at + ROWS_PER_GROUP), dtype=np.int64)) for at in range(first, last, ROWS_PER_GROUP)
        )
        _write_file(folder / f"part-{number:05d}.parquet", groups, random)
    _write_file(folder / "part-99999-dumped.parquet", [_pairs(after)], random)


def _pairs(pairs: Sequence[tuple[str, str]]) -> tuple[pa.Array, pa.Array]:
    return pa.array([key for key, _ in pairs], pa.string()), pa.array([url for _, url in pairs], pa.string())


def _write_file(path: Path, groups: Iterable[tuple[pa.Array, pa.Array]], random: np.random.Generator) -> None:
    writer = None
    for keys, urls in groups:
        count = len(keys)
        if count == 0:
            continue
        digests = DIGITS[random.integers(0, 32, (count, 32), np.uint8)].tobytes()
        offsets = pa.py_buffer(np.arange(0, 32 * (count + 1), 32, dtype=np.int32).tobytes())
        table = pa.table(
            {
                "url_surtkey": keys,
                "url": urls,
                "fetch_time": pa.array(1000 * (START + random.integers(0, SECONDS, count))).cast(pa.timestamp("ms")),
                "fetch_status": pa.array(np.full(count, 200, np.int16)),
                "content_digest": pa.StringArray.from_buffers(count, offsets, pa.py_buffer(digests)),
                "content_mime_type": pa.array(["text/html"] * count),
                "warc_filename": WARCS.take(pa.array(random.integers(0, len(WARCS), count))),
                "warc_record_offset": pa.array(random.integers(0, 10**9, count).astype(np.int32)),
                "warc_record_length": pa.array(random.integers(500, 60_000, count).astype(np.int32)),
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=ROWS_PER_GROUP)
    if writer:
        writer.close()


def write_links(folder: Path, links: int, rows: int, dumped: pa.Table) -> list[str]:
    """The dumps' links, and links of made pages all over the index's keys, IN_INDEX of which it holds."""
    random = np.random.default_rng(5)
    taken = dumped.slice(0, links)
    made = links - taken.num_rows
    held = random.random(made) < IN_INDEX
    pages = 3 * random.integers(0, rows, made) + np.where(held, 0, random.integers(1, 3, made))
    _, urls = _urls(pages)
    keys = pc.replace_substring(urls, "http://www.", "https://")
    at = pa.array([datetime(2013, 6, 1, tzinfo=UTC)] * made, Link.SCHEMA.field("submitted_at").type)
    empty = pa.array([[]] * made, Link.SCHEMA.field("submissions").type)
    domains = pc.utf8_slice_codeunits(keys, 8, 24)
    columns = [urls, keys, domains, pa.array(np.full(made, 5)), at, empty]
    table = pa.concat_tables([taken, pa.Table.from_arrays(columns, schema=Link.SCHEMA)])
    paths = []
    for number, first in enumerate(range(0, links, LINKS_PER_SHARD)):
        paths.append(str(folder / f"links-{number:05d}.parquet"))
        files.publish_table(paths[-1], table.slice(first, LINKS_PER_SHARD), kept=False)
    return paths


def read_dumped(folder: Path) -> pa.Table:
    """The links of the dumps, which `webtext links` wrote into FOLDER/dumped."""
    found = sorted((folder / "dumped").glob("*.parquet"))
    tables = [pq.read_table(path, columns=Link.SCHEMA.names).cast(Link.SCHEMA) for path in found if path.name.startswith("links")]
    return pa.concat_tables([Link.SCHEMA.empty_table(), *tables])


def measure(folder: Path, links: int, rows: int) -> str:
    """Join, and give the row of the table."""
    case, index = f"{links}x{rows}", folder / f"index-{rows}"
    if not (index / "done").exists():
        subprocess.run([sys.executable, __file__, str(folder), case, "--step", "index"], check=True)
        (index / "done").touch()
    made = subprocess.run(
        [sys.executable, __file__, str(folder), case, "--step", "links"], check=True, text=True, stdout=subprocess.PIPE
    )
    paths = made.stdout.split()
    settings = PagesSettings(archive_index=(str(index),), source=("commoncrawl",))
    parts = [
        Part(f"{n:05d}", NumberedShare(Share((path,)), n * LINKS_PER_SHARD, Earlier("", 1)), min(LINKS_PER_SHARD, links))
        for n, path in enumerate(paths)
    ]
    work = folder / f"work-{links}-{rows}"
    phase = PhaseFolder("bench", str(work), "main", "0" * 64)
    access = settings.access("commoncrawl", str(work))
    search = Search(Engine(1), phase, settings, find_index_files([str(index)], ""), access, parts)
    started, cpu = time.perf_counter(), time.process_time()
    lookups, found = search.look_up()
    looked, looked_cpu = time.perf_counter(), time.process_time()
    _, receipts = search.match(0, lookups, found)
    ended, ended_cpu = time.perf_counter(), time.process_time()
    read, held = (sum(receipt.counters[name] for receipt in receipts) for name in (INDEX_BYTES_READ, INDEX_BYTES))
    captures = sum(entry.rows for receipt in receipts for entry in receipt.files if f"{CAPTURES}-" in entry.name)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    files.remove_folder(str(work))
    return (
        f"| {links:,} | {rows:,} | {looked - started:.1f} ({looked_cpu - cpu:.1f}) | {ended - looked:.1f} ({ended_cpu - looked_cpu:.1f}) |"
        f" {read / 1e6:,.0f} of {held / 1e6:,.0f} | {captures:,} | {memory:,.0f} |"
    )


def main() -> None:
    """Run each case in a process of its own, so that its peak of memory is its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="+", metavar="LINKSxROWS")
    parser.add_argument("--submissions", nargs="+", default=[], metavar="DUMP")
    parser.add_argument("--step", choices=("links", "index", "case"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    folder = arguments.folder
    links, rows = (int(number) for number in arguments.cases[0].split("x"))
    if arguments.step == "links":
        print("\n".join(write_links(folder, links, rows, read_dumped(folder))))
    elif arguments.step == "index":
        write_index(folder / f"index-{rows}", rows, read_dumped(folder).column("url").to_pylist())
    elif arguments.step == "case":
        print(measure(folder, links, rows))
    else:
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.submissions:
            command = [sys.executable, "-m", "pipeline", "links", "--output", str(folder / "dumped"), "--submissions"]
            subprocess.run([*command, *arguments.submissions], check=True)
            print(f"{read_dumped(folder).num_rows:,} links of the dumps")
        print(
            "| links | index rows | keys, s (CPU) | join, s (CPU) | MB read | captures | peak MB |\n|--:|--:|--:|--:|--:|--:|--:|",
            flush=True,
        )
        for case in arguments.cases:
            subprocess.run([sys.executable, __file__, str(folder), case, "--step", "case"], check=True)


if __name__ == "__main__":
    main()
