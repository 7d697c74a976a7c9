"""Intake of dumps: submissions per CPU second by step, beside the usual readers and by JSON library, and memory by the dump's size.

`python benchmarks/intake.py DUMP…` (without a dump, on generated lines). Figures are medians of CPU seconds over interleaved rounds.
JSON libraries that are not installed are left out. The readers imitate published ones, which are scripts and not packages:

  json.loads per line  zstandard's stream as text, json.loads, drops self posts and karma below 3, applies no other rule, writes nothing
  in chunks to SQLite  OpenWebText2's: decodes 16 MB at a time (loses a chunk that ends inside a character), json.loads, the same two
                       rules, inserts (id, url, score) into SQLite, 100,000 rows at a time
"""

import argparse
import io
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scores
from pipeline.engine.execute import run_part
from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.links.buckets import BucketRange
from pipeline.links.fold import FoldBuckets
from pipeline.links.intake import SpillSource
from pipeline.links.settings import STAGE_NAME, LinkSource, LinksSettings, SourceKind
from pipeline.reddit import parse_lines
from pipeline.storage.lines import decompressed_blocks, read_lines, zstd

ROUNDS = 3
SLOPE_COPIES = (1, 2, 4, 8, 16)
CHUNK_BYTES = 16 << 20
ROWS_PER_INSERT = 100_000
LONG = {zstd.CompressionParameter.window_log: 31, zstd.CompressionParameter.checksum_flag: 1}
FIELDS = ("id", "name", "subreddit", "score", "created_utc", "url", "url_overridden_by_dest", "is_self", "over_18", "quarantine")


READERS = {
    "json.loads per line": "json.loads per line, as pushshift's scripts",
    "in chunks to SQLite": "16 MB at a time to SQLite, as OpenWebText2",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dumps", nargs="*", help="real dumps; without any, 200,000 generated lines")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(*arguments.peak)
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = [as_zstd(dump, folder) for dump in arguments.dumps] or [generate_dump(folder)]
        for path in paths:
            scores.append_rows(arguments.scores, steps(path, folder))
        json_libraries(paths[0])
        scores.append_rows(arguments.scores, [slope(paths[0], folder)])


def as_zstd(dump: str, folder: str) -> str:
    """Recompress the dump as real ones are: zstd with a window of 2^31 bytes and checksums."""
    path = Path(folder, Path(dump).stem + ".zst")
    with zstd.open(path, "wb", options=LONG) as file:
        for block in decompressed_blocks(dump):
            file.write(block)
    return str(path)


def generate_dump(folder: str) -> str:
    """Write a dump of 200,000 lines in the format of 2016."""
    path = Path(folder, "made.zst")
    with zstd.open(path, "wb", options=LONG) as file:
        for n in range(200_000):
            url = f"http://www.host{n % 40_009}.com/{n}/a-story-of-{n}.html?ref={n % 7}"
            row = {"id": f"{n:x}", "score": n % 40, "created_utc": 1_450_000_000 + n, "subreddit": f"s{n % 900}", "url": url}
            text = {"is_self": n % 5 < 2, "title": f"A story of {n}", "selftext": "x" * 700}
            file.write(json.dumps(row | text).encode() + b"\n")
    return str(path)


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the CPU seconds of a call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def take_in(path: str, folder: str) -> tuple[PhaseFolder, Receipt]:
    """Take in one dump, as a worker does. Returns the phase folder and the receipt."""
    phase = PhaseFolder.first(STAGE_NAME, tempfile.mkdtemp(dir=folder), {}, {}).sibling("intake")
    return phase, run_part(
        phase, SpillSource(LinksSettings()), Part("intake-00000", LinkSource(SourceKind.DUMP, path, Path(path).name))
    )


def steps(path: str, folder: str) -> list[scores.Row]:
    """Time decompression, splitting, parsing, the whole intake (rules, spill and drops), the readers and the fold."""
    lines = sum(1 for _ in read_lines(path))
    phase, receipt = take_in(path, folder)
    everything = Part("fold-00000", BucketRange(0, 4, 4, 0, 256))
    works: dict[str, Callable[[], Any]] = {
        "decompress": lambda: sum(map(len, decompressed_blocks(path))),
        "and split": lambda: sum(1 for _ in read_lines(path)),
        "and parse": lambda: sum(1 for _ in parse_lines(path)),
        "whole intake": lambda: take_in(path, folder),
        "json.loads per line": lambda: read_by_line(path),
        "in chunks to SQLite": lambda: read_by_chunk(path, folder),
        "fold of its links": lambda: run_part(
            phase.sibling(f"fold{time.monotonic_ns()}"), FoldBuckets((receipt.path(phase, "spill"),), LinksSettings()), everything
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(ROUNDS):
        for name, work in works.items():
            seconds[name].append(cpu_seconds(work))
    size = Path(path).stat().st_size
    print(f"{Path(path).name}: {lines:,} lines, {size / 1e6:.1f} MB, {receipt.books.items_out / lines:.0%} accepted")
    for name, times in seconds.items():
        items = receipt.books.items_out if name.startswith("fold") else lines
        best, worst = items / min(times), items / max(times)
        print(f"  {name:<20} {items / statistics.median(times):>10,.0f} /s per core  [{worst:,.0f} to {best:,.0f}]")
    costs = {name: scores.per_unit(lines / 1e6, measured) for name, measured in seconds.items()}
    unit, whole = "CPU s per million lines", costs["whole intake"]
    work = f"{lines:,} lines of {Path(path).name}: whole intake (rules, keys, spill, drops) against reading alone"
    peaks = {name: run_alone(name, path, folder)[1] for name in ("whole intake", *READERS)}
    races = [
        scores.Race("links", work, peer, unit, whole, costs[name], peaks["whole intake"], peaks[name])
        for name, peer in READERS.items()
    ]
    return [*races, scores.Limit("links", f"zstd decompression alone, {Path(path).name}", unit, whole, costs["decompress"])]


def read_by_line(path: str) -> int:
    """Count the submissions that pass, with the usual loop over lines."""
    passed = 0
    with Path(path).open("rb") as file:
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(file)
        for line in io.TextIOWrapper(stream, encoding="utf-8", errors="replace"):
            row = json.loads(line)
            passed += not row.get("is_self") and (row.get("score") or 0) >= 3
    return passed


def read_by_chunk(path: str, folder: str) -> None:
    """Write the submissions that pass to a database, as OpenWebText2 does."""
    base = sqlite3.connect(Path(folder, f"{time.monotonic_ns()}.sqlite"))
    base.execute("create table link (id text primary key, url text, score integer)")
    rows: list[tuple[str, str, int]] = []
    rest = ""
    with Path(path).open("rb") as file:
        stream = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(file)
        while chunk := stream.read(CHUNK_BYTES):
            try:
                *lines, rest = (rest + chunk.decode()).split("\n")
            except UnicodeDecodeError:
                continue
            parsed = map(json.loads, lines)
            rows.extend((r["id"], r["url"], r["score"]) for r in parsed if not r.get("is_self") and (r.get("score") or 0) >= 3)
            if len(rows) >= ROWS_PER_INSERT:
                base.executemany("insert or ignore into link values (?, ?, ?)", rows)
                rows = []
    base.executemany("insert or ignore into link values (?, ?, ?)", rows)
    base.commit()
    base.close()


def json_libraries(path: str) -> None:
    """Print the time per line of each JSON library to parse the same lines and pick the fields of a submission."""
    lines = [line for line in islice(read_lines(path), 100_000) if isinstance(line, bytes)]
    seconds: dict[str, list[float]] = {name: [] for name, _ in parsers()}
    for _ in range(ROUNDS):
        for name, parse in parsers():
            seconds[name].append(cpu_seconds(lambda parse=parse: [parse(line) for line in lines]))  # type: ignore[misc]
    print(f"JSON of {len(lines):,} lines of {Path(path).name}, {sum(map(len, lines)) / len(lines):.0f} bytes per line")
    for name, times in sorted(seconds.items(), key=lambda item: statistics.median(item[1])):
        print(f"  {name:<18} {1e6 * statistics.median(times) / len(lines):>8.2f} us per line")


def parsers() -> Iterator[tuple[str, Callable[[bytes], Any]]]:
    """Yield each library's name and its function from a line's bytes to the fields of a submission."""
    yield "json", lambda line: pick_fields(json.loads(line))
    for name in ("orjson", "msgspec", "simdjson"):
        try:
            module = import_module(name)
        except ImportError:
            continue
        if name == "orjson":
            yield name, lambda line, loads=module.loads: pick_fields(loads(line))  # type: ignore[misc]
        elif name == "simdjson":
            parser = module.Parser()
            yield name, lambda line, parser=parser: pick_fields(parser.parse(line))  # type: ignore[misc]
        else:
            yield name, lambda line, decode=module.json.decode: pick_fields(decode(line))  # type: ignore[misc]
            row = module.defstruct("Row", [(field, Any, None) for field in FIELDS])
            yield "msgspec struct", module.json.Decoder(row).decode


def pick_fields(row: Any) -> tuple[Any, ...]:
    return tuple(row.get(field) for field in FIELDS)


def slope(path: str, folder: str) -> scores.Growth:
    """Measure CPU seconds and peak memory of a process that takes in 1 to 16 copies of the dump."""
    print("peak memory of the intake's process, by copies of the dump in one file")
    peaks, spent = [], []
    for copies in SLOPE_COPIES:
        file = Path(folder, f"copies-{copies}.zst")
        frame = Path(path).read_bytes()
        with file.open("wb") as out:
            for _ in range(copies):
                out.write(frame)
        seconds, peak = run_alone("whole intake", str(file), folder)
        print(f"  {copies:>3} x ({file.stat().st_size / 1e6:,.0f} MB): {peak:,.0f} MB, {seconds:.1f} CPU s", flush=True)
        peaks.append((file.stat().st_size / 1e6, peak))
        spent.append(seconds)
        file.unlink()
    sizes, peaks_mb = zip(*peaks, strict=True)
    print(f"  slope: {statistics.linear_regression(sizes, peaks_mb).slope:.4f} MB per MB of dump")
    return scores.Growth("links, of dumps", "MB of zstd", sizes, tuple(spent), peaks_mb)


def run_alone(what: str, path: str, folder: str) -> tuple[float, float]:
    """Run one reader, or our intake, in a process of its own. Returns its CPU seconds and peak memory in MB."""
    command = [sys.executable, __file__, "--peak", what, path, folder]
    seconds, peak = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-2:])
    return seconds, peak


def print_peak(what: str, path: str, folder: str) -> None:
    """Print the figures that `run_alone` reads."""
    works: dict[str, Callable[[], Any]] = {
        "whole intake": lambda: take_in(path, folder),
        "json.loads per line": lambda: read_by_line(path),
        "in chunks to SQLite": lambda: read_by_chunk(path, folder),
    }
    print(cpu_seconds(works[what]), scores.peak_mb())


if __name__ == "__main__":
    main()
