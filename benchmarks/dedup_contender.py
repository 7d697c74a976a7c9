"""One contender of the de-duplication benchmark, in a process and environment of its own.

    PYTHON dedup_contender.py --name NAME --set FOLDER [--workers N] [--wait]

Prints its figures and the numbers of the removed documents as a line of JSON. Imports of ours are inside functions, because a peer's
Python does not have them.
"""

import argparse
import json
import os
import re
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[1]))
from benchmarks import dedup_peers, dedup_set
from benchmarks.dedup_peers import BANDS, ROWS, THRESHOLD


def one(arguments: argparse.Namespace) -> None:
    """Run the contender under a memory watcher and print its figures."""
    work = reading if arguments.name == "ours_reading" else ours if arguments.name.startswith("ours") else peer
    peak, done = [0.0, 0.0], threading.Event()
    watcher = threading.Thread(target=watch, args=(peak, done), daemon=True)
    watcher.start()
    answer = work(arguments)
    done.set()
    watcher.join()
    print(
        json.dumps(
            answer | {"whole": processor_seconds(), "peak": max(peak), "workers_peak": peak[1], "removed": len(answer["gone"])}
        )
    )


def processor_seconds() -> float:
    """Return the CPU seconds of this process, of its ended children, and of all running descendants."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    running = (stat.rpartition(")")[2].split()[11:15] for stat in proc_files("stat", descendants("self")))
    ticks = sum(int(field) for fields in running for field in fields)
    return sum(usage.ru_utime + usage.ru_stime for usage in used) + ticks / os.sysconf("SC_CLK_TCK")


def watch(peak: list[float], done: threading.Event) -> None:
    """Record the peak memory (MiB) of this process in `peak[0]`, and of its largest descendant in `peak[1]`."""
    while not done.wait(1.0):
        for place, processes in enumerate((["self"], descendants("self"))):
            for status in proc_files("status", processes):
                mark = re.search(r"VmHWM:\s+(\d+)", status)
                peak[place] = max(peak[place], int(mark[1]) / 1024 if mark else 0.0)


def descendants(process: str) -> list[str]:
    """Return the ids of a process's running children, their children and so on."""
    children = [child for thread in Path("/proc", process, "task").glob("*/children") for child in read(thread).split()]
    return children + [process for child in children for process in descendants(child)]


def proc_files(name: str, processes: list[str]) -> Iterator[str]:
    """Yield the content of a file of /proc for each process that still runs."""
    yield from filter(None, (read(Path("/proc", process, name)) for process in processes))


def read(path: Path) -> str:
    """Read a file of /proc; an empty string if its process has ended."""
    try:
        return path.read_text()
    except OSError:
        return ""


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run our stage with warm imports, compiled code and started workers."""
    from pipeline.engine.allocator import choose_allocators

    choose_allocators()  # as the command line does
    import apache_beam as beam
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from pipeline.dedup import signing
    from pipeline.dedup.settings import DedupSettings
    from pipeline.dedup.stage import STAGE
    from pipeline.engine.runner import Engine
    from pipeline.engine.stage import Call
    from pipeline.engine.worker_pool import persistent_workers
    from pipeline.storage import files
    from pipeline.storage.document_shards import document_shards

    settings = DedupSettings(threshold=THRESHOLD)
    if arguments.name == "ours":
        settings = replace(settings, bands=BANDS, rows=ROWS, index=False)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        one = pa.Table.from_batches([next(files.record_batches(document_shards(arguments.set)[0].path, rows=1))])
        other = one.drop_columns(["text"]).append_column("text", [[f"{one.column('text')[0]} and more"]])
        dedup_set.write(f"{folder}/few", iter([pa.concat_tables([one, other.cast(one.schema)])]))
        STAGE.run(Call({"documents": f"{folder}/few"}, f"{folder}/warm", settings, Engine()))
        workers = arguments.workers
        engine = stack.enter_context(persistent_workers(Engine(workers=workers), workers, signing.__name__))
        engine.run(lambda pipeline: pipeline | beam.Create(range(workers), reshuffle=False) | beam.Map(str), workers)
        if arguments.wait:
            print("ready", flush=True)
            sys.stdin.readline()
        started, wall = processor_seconds(), time.monotonic()
        manifest = STAGE.run(Call({"documents": arguments.set}, f"{folder}/out", settings, engine))
        cpu, wall = processor_seconds() - started, time.monotonic() - wall
        gone, start = [], 0
        for shard, kept in zip(document_shards(arguments.set), document_shards(f"{folder}/out"), strict=True):
            rows = pq.read_table(str(kept.keep), columns=["row"]).column("row").to_numpy()
            gone += (start + np.setdiff1d(np.arange(shard.rows), rows)).tolist()
            start += shard.rows
    return {"cpu": cpu, "wall": wall, "documents": manifest.books.items_in, "gone": gone}


def reading(arguments: argparse.Namespace) -> dict[str, Any]:
    """Read Parquet and look at each byte once: the least that any contender must do."""
    import zlib

    import pyarrow.parquet as pq

    started, wall = processor_seconds(), time.monotonic()
    documents = 0
    for path in sorted(Path(arguments.set).glob("documents-*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(128, columns=["text"], use_threads=False):
            zlib.crc32(batch.column("text").buffers()[2])
            documents += batch.num_rows
    return {"cpu": processor_seconds() - started, "wall": time.monotonic() - wall, "documents": documents, "gone": []}


def peer(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a peer with warm imports on all texts in memory."""
    remove = dedup_peers.REMOVERS[arguments.name]
    remove(["warm up the imports and the first call"])
    started, wall = processor_seconds(), time.monotonic()
    texts = dedup_set.texts_of(arguments.set)
    gone = remove(texts)
    return {"cpu": processor_seconds() - started, "wall": time.monotonic() - wall, "documents": len(texts), "gone": gone}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", required=True)
    parser.add_argument("--set", required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument(
        "--wait", action="store_true", help="print 'ready' before the measured work, and start it at a line on stdin"
    )
    one(parser.parse_args())


if __name__ == "__main__":
    main()
