"""What the driver alone does, and how it grows: `python benchmarks/driver.py`, a minute of one core.

Workers do the work of parts; one process hashes the inputs, compares a folder with its manifest, reads receipts, writes manifests,
and takes the census of dedup. Everything here is called as the stages call it, on made files: random keys, as hashes are. CPU
seconds, so that a loaded machine gives nearly the figures of an idle one.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import scores

from pipeline.dedup.census import take_census
from pipeline.dedup.index import INDEX_ROWS, ShardIndex
from pipeline.engine.parts import Part, PhaseFolder, Receipt, load_receipts
from pipeline.storage import files
from pipeline.storage.manifest import Books, FileEntry, StageManifest
from pipeline.storage.verification import check

SHARD_DOCUMENTS = 20_000
HASHED_BYTES = 256 << 20
REPEATED = 20
"""One document in this many has the address, and another one the words, of the document before it."""


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of a call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def index_shard(folder: Path, number: int) -> ShardIndex:
    """An index of a shard as dedup's workers leave it."""
    random = np.random.default_rng(number)
    count = SHARD_DOCUMENTS

    def keys() -> np.ndarray:
        return random.integers(0, 1 << 63, (count, 2), np.uint64)

    address, words = keys(), keys()
    address[REPEATED::REPEATED] = address[REPEATED - 1 : count - 1 : REPEATED]
    words[REPEATED + 1 :: REPEATED] = words[REPEATED : count - 1 : REPEATED]
    made = {
        "document_id": keys(), "address": address, "words": words,
        "url": [f"http://site{n}.example/page" for n in range(count)],
        "karma": random.integers(3, 500, count), "shingles": random.integers(1, 2000, count),
        "submitted_at": random.integers(1_200_000_000_000_000, 1_512_000_000_000_000, count),
        "text_bytes": random.integers(200, 20_000, count),
    }  # fmt: skip
    columns = []
    for field in INDEX_ROWS:
        values = made.get(field.name, np.zeros(count, np.int64))
        if pa.types.is_fixed_size_binary(field.type):
            columns.append(pa.Array.from_buffers(field.type, count, [None, pa.py_buffer(np.ascontiguousarray(values))]))
        else:
            columns.append(pa.array(values).cast(field.type))
    path = folder / f"rows-{number:05d}.parquet"
    pq.write_table(pa.table(columns, schema=INDEX_ROWS), path)
    return ShardIndex(count, str(path), "")


def receipts_of(phase: PhaseFolder, parts: int) -> list[Receipt]:
    """Receipts as a stage with two files and drops per part writes them."""
    digest = "0" * 64
    made = []
    for number in range(parts):
        key = f"{number:05d}-of-{parts:05d}"
        names = (f"documents-{key}.parquet", f"drops/drops-{key}.parquet")
        entries = tuple(FileEntry(name, "documents", 4000, 10_000_000, digest) for name in names)
        made.append(Receipt(key, 4000, entries, Books(4000, 3000, {"too_short": 1000}), {"text_bytes": 9_000_000}))
    return made


def measure_files(folder: Path) -> None:
    """Print what hashing costs."""
    path = folder / "dump"
    path.write_bytes(np.random.default_rng(1).bytes(HASHED_BYTES))
    cost = seconds(lambda: files.fingerprint(str(path)))
    print(f"hash a file: {HASHED_BYTES / cost / 1e6:,.0f} MB per CPU second")


def measure_parts(folder: Path, parts: int) -> None:
    """Print what receipts, a manifest and the comparison of sizes cost."""
    phase = PhaseFolder.first("documents", str(folder / f"parts{parts}"), {}, {})
    made = receipts_of(phase, parts)
    files.make_folder(phase.work_folder)
    for receipt in made:
        Path(phase.receipt_path(receipt.key)).write_text(json.dumps({
            "key": receipt.key, "items": receipt.items, "counters": receipt.counters, "timings": {},
            "books": {"items_in": 4000, "items_out": 3000, "dropped": receipt.books.dropped},
            "files": [{"name": e.name, "kind": e.kind, "rows": e.rows, "bytes": e.bytes, "sha256": e.sha256} for e in receipt.files],
        }))  # fmt: skip
    keys = [Part(receipt.key, 0).key for receipt in made]
    read = seconds(lambda: load_receipts(phase, keys))
    entries = tuple(entry for receipt in made for entry in receipt.files)
    books = Books.total(receipt.books for receipt in made)
    manifest = StageManifest("documents", {}, {}, entries, books)
    write = seconds(lambda: manifest.save(phase.folder))
    size = files.size(files.join(phase.folder, "manifest.json"))
    load = seconds(lambda: StageManifest.load(phase.folder))
    print(f"{parts:,} parts: receipts {read:.2f} s, manifest written {write:.2f} s, read {load:.2f} s, {size / 1e6:.1f} MB")


def measure_census(folder: Path, shards: int) -> None:
    """Print what a census costs."""
    made = [index_shard(folder, number) for number in range(shards)]
    take_census(made[:1])  # compiles
    cost = seconds(lambda: take_census(made))
    documents = shards * SHARD_DOCUMENTS
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"census of {documents:,} documents: {cost:.2f} s, {cost / documents * 1e6:.2f} us per document; peak {peak:,.0f} MB")


def measure_verification(folder: Path, count: int, size: int) -> None:
    """Print what the comparison of a folder with its manifest costs."""
    place = folder / f"verified{count}"
    place.mkdir()
    entries = []
    for number in range(count):
        data = np.random.default_rng(number).bytes(size)
        path = place / f"tokens-{number:05d}.arrow"
        path.write_bytes(data)
        entries.append(FileEntry(path.name, "tokens", 1, size, files.fingerprint(str(path))))
    StageManifest("tokens", {}, {}, tuple(entries), Books(count, count, {})).save(str(place))
    sizes = seconds(lambda: check(str(place), hashes=False))
    hashes = seconds(lambda: check(str(place), threads=1))
    print(
        f"compare {count:,} files with their manifest: sizes {sizes / count * 1e6:.0f} us per file, "
        f"hashes {count * size / hashes / 1e6:,.0f} MB/s"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, nargs="+", default=[5, 10, 20, 40], help=f"shards of {SHARD_DOCUMENTS:,} documents")
    parser.add_argument("--parts", type=int, nargs="+", default=[900, 9000, 60000])
    scores.add_flag(parser)
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        measure_files(folder)
        measure_verification(folder, 500, 100_000)
        for parts in arguments.parts:
            measure_parts(folder, parts)
        for shards in arguments.shards:
            measure_census(folder, shards)
    return 0


if __name__ == "__main__":
    sys.exit(main())
