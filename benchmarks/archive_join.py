"""The join of links with the columnar index of a web archive: seconds, bytes read, memory, and how they grow with either side.

`archive_join.py FOLDER LINKSxROWS …`: makes an index of that many rows and that many links, three in ten of which are in the index,
joins them, and prints a row of a table. Each case runs in a process of its own.
"""

import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.archives.held_links import NumberedShare
from pipeline.archives.index_files import find_index_files
from pipeline.archives.match import INDEX_BYTES, INDEX_BYTES_READ
from pipeline.archives.rounds import Search
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


def write_index(folder: Path, rows: int) -> None:
    """An index of every third page, in the published types, sorted by key."""
    random = np.random.default_rng(3)
    folder = folder / "crawl=CC-MAIN-2013-20" / "subset=warc"
    folder.mkdir(parents=True, exist_ok=True)
    warcs = pa.array([f"crawl-data/CC-MAIN-2013-20/segments/1368696381249/warc/CC-MAIN-{n:05d}.warc.gz" for n in range(8000)])
    for number, first in enumerate(range(0, rows, ROWS_PER_FILE)):
        path = folder / f"part-{number:05d}.parquet"
        writer = None
        for at in range(first, min(rows, first + ROWS_PER_FILE), ROWS_PER_GROUP):
            count = min(ROWS_PER_GROUP, rows - at)
            keys, urls = _urls(3 * np.arange(at, at + count, dtype=np.int64))
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
                    "warc_filename": warcs.take(pa.array(random.integers(0, len(warcs), count))),
                    "warc_record_offset": pa.array(random.integers(0, 10**9, count).astype(np.int32)),
                    "warc_record_length": pa.array(random.integers(500, 60_000, count).astype(np.int32)),
                }
            )
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table, row_group_size=ROWS_PER_GROUP)
        if writer:
            writer.close()


def write_links(folder: Path, links: int, rows: int) -> list[str]:
    """Links of pages all over the index's keys, IN_INDEX of which it holds."""
    random = np.random.default_rng(5)
    held = random.random(links) < IN_INDEX
    pages = 3 * random.integers(0, rows, links) + np.where(held, 0, random.integers(1, 3, links))
    _, urls = _urls(pages)
    keys = pc.replace_substring(urls, "http://www.", "https://")
    at = pa.array([datetime(2013, 6, 1, tzinfo=UTC)] * links, Link.SCHEMA.field("submitted_at").type)
    empty = pa.array([[]] * links, Link.SCHEMA.field("submissions").type)
    domains = pc.utf8_slice_codeunits(keys, 8, 24)
    columns = [urls, keys, domains, pa.array(np.full(links, 5)), at, empty]
    table = pa.Table.from_arrays(columns, schema=Link.SCHEMA)
    paths = []
    for number, first in enumerate(range(0, links, LINKS_PER_SHARD)):
        paths.append(str(folder / f"links-{number:05d}.parquet"))
        files.publish_table(paths[-1], table.slice(first, LINKS_PER_SHARD), kept=False)
    return paths


def measure(folder: Path, links: int, rows: int) -> str:
    """Join, and give the row of the table."""
    index = folder / f"index-{rows}"
    if not (index / "done").exists():
        subprocess.run([sys.executable, __file__, "--index", str(index), str(rows)], check=True)
        (index / "done").touch()
    made = subprocess.run(
        [sys.executable, __file__, "--links", str(folder), str(links), str(rows)], check=True, text=True, capture_output=True
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
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    files.remove_folder(str(work))
    return (
        f"| {links:,} | {rows:,} | {looked - started:.1f} ({looked_cpu - cpu:.1f}) | {ended - looked:.1f} ({ended_cpu - looked_cpu:.1f}) |"
        f" {read / 1e6:,.0f} of {held / 1e6:,.0f} | {memory:,.0f} |"
    )


def main() -> None:
    """Run each case in a process of its own, so that its peak of memory is its own."""
    if sys.argv[1] == "--links":
        print("\n".join(write_links(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))))
    elif sys.argv[1] == "--index":
        write_index(Path(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1] == "--case":
        print(measure(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
    else:
        print("| links | index rows | keys, s (CPU) | join, s (CPU) | MB read | peak MB |\n|--:|--:|--:|--:|--:|--:|", flush=True)
        for case in sys.argv[2:]:
            links, _, rows = case.partition("x")
            subprocess.run([sys.executable, __file__, "--case", sys.argv[1], links, rows], check=True)


if __name__ == "__main__":
    main()
