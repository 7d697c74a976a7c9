"""What the store's functions do on a server of Google Cloud Storage's protocol, and every stage's files on it: lines of JSON.

    STORAGE_EMULATOR_HOST=http://127.0.0.1:PORT PYTHON tests/gcs_runs.py FOLDER

PYTHON needs the `gcp` extra. Each line has the name of a run and what it gave; tests/pipeline/storage/test_gcs.py says what must hold.
"""

import hashlib
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

from google.cloud import storage
from small_web import every_stage, write_month

from pipeline.engine.execute import compute_part, publish_part
from pipeline.engine.parts import Part, PhaseFolder, Receipt
from pipeline.engine.runner import Engine
from pipeline.engine.writer import PartWriter
from pipeline.records import Drop
from pipeline.storage import files, gcs

BUCKET = "corpora"
ROOT = f"gs://{BUCKET}"
SIZES = (0, 1, 1000, 9 << 20)
"""Bytes of objects: none, few, and more than is put together in memory."""


def body(size: int) -> bytes:
    return Random(size).randbytes(size)


def put(path: str, data: bytes) -> str:
    with gcs.creating(path) as file:
        file.write(data)
    return path


def raised(call: Callable[[], object]) -> str:
    try:
        call()
    except (OSError, ValueError) as error:
        return type(error).__name__
    return "nothing"


def whole_objects() -> dict[str, Any]:
    paths = {size: put(f"{ROOT}/whole/{size} ü?#", body(size)) for size in SIZES}
    return {
        "read": [gcs.read(path) == body(size) for size, path in paths.items()],
        "read in bounds": [gcs.read(path, size) == body(size) for size, path in paths.items()],
        "read beyond bounds": [raised(lambda p=path, s=size: gcs.read(p, s - 1)) for size, path in paths.items() if size],  # type: ignore[misc]
        "sizes": [gcs.size(path) for path in paths.values()],
        "listed": sorted(size for _, size in gcs.sizes_below(f"{ROOT}/whole")),
        "missing": [
            raised(lambda c=call: c(f"{ROOT}/whole/none")) for call in (gcs.read, gcs.size, lambda p: gcs.open_reader(p).read())
        ],  # type: ignore[misc]
        "no bucket": raised(lambda: gcs.read("gs://none/a")),
    }


def failed_writer() -> dict[str, Any]:
    """A block that fails after a part of its bytes, for a new object and for one that is there."""

    def fail(path: str) -> None:
        with gcs.creating(path) as file:
            file.write(b"half")
            raise OSError("the disk is full")

    put(f"{ROOT}/failed/old", b"whole")
    errors = [raised(lambda n=name: fail(f"{ROOT}/failed/{n}")) for name in ("old", "new")]  # type: ignore[misc]
    return {"errors": errors, "old": gcs.read(f"{ROOT}/failed/old").decode(), "new": gcs.exists(f"{ROOT}/failed/new")}


def exact_names() -> dict[str, Any]:
    """Deletion and listing of a name that reads as a pattern, beside names that the pattern stands for."""
    folders = ("c[1]", "c1", "c*", "c?", "c11")
    for folder in folders:
        put(f"{ROOT}/names/{folder}/a", b"a")
    listed = [name for name, _ in gcs.sizes_below(f"{ROOT}/names/c[1]")]
    files.remove_all([f"{ROOT}/names/c[1]/a", f"{ROOT}/names/c*/a", f"{ROOT}/names/c*/none"])
    return {"listed": listed, "left": sorted(name for name, _ in gcs.sizes_below(f"{ROOT}/names"))}


def new_objects() -> dict[str, Any]:
    """Eight writers at once, for each of ten names: what they were told, and whose bytes are there."""
    winners = []
    with ThreadPoolExecutor(8) as pool:
        for name in range(10):
            path = f"{ROOT}/new/{name}"
            told = list(pool.map(lambda who, p=path: gcs.create_new(p, f"{who}".encode()), range(8)))  # type: ignore[misc]
            winners.append([who for who, won in enumerate(told) if won] == [int(gcs.read(path))])
    return {"one winner": winners}


def ranges() -> dict[str, Any]:
    """Random reads by a reader, and the requests of reading an object's end and a short record."""
    data = body(SIZES[-1])
    path = put(f"{ROOT}/ranges", data)
    random, reader = Random(1), gcs.open_reader(path)
    right = []
    for _ in range(100):
        at, count = random.randrange(len(data)), random.choice((1, 100, 70_000))
        reader.seek(at)
        right.append(reader.read(count) == data[at : at + count])
    asked: list[str] = []
    session, get = gcs.client()._http, gcs.client()._http.get

    def counted(url: str, **settings: Any) -> Any:
        asked.append(settings["headers"]["Range"])
        return get(url, **settings)

    session.get = counted
    tail = gcs.open_reader(path)
    tail.seek(-1000, 2)
    right.append(tail.read() == data[-1000:])
    record = gcs.open_reader(path)
    record.seek(5000)
    right.append(record.read(37_000) == data[5000:42_000])
    session.get = get
    return {"right": all(right), "asked": asked}


def attempts() -> dict[str, Any]:
    """Two attempts at one part, of which either is late: both receipts, and whether the receipt's files are whole."""

    class Web:
        times = 0

        def __call__(self, part: Part[int], writer: PartWriter) -> None:
            writer.fence()
            Web.times += 1
            answer = f"answer {Web.times}".encode() * Web.times
            writer.publish("warc", 1, lambda file: file.write(answer), writer.name("pages", ".warc.gz"))
            writer.drop(Drop("pages", f"http://site.example/{Web.times}", "time_out"))
            writer.items_in, writer.items_out = 2, 1

    found = []
    for first in (0, 1):
        phase = PhaseFolder.first("pages", f"{ROOT}/attempts-{first}", {}, {})
        part = Part("00000-of-00001", 0)
        writers = [compute_part(phase, Web(), part), compute_part(phase, Web(), part)]
        winner, loser = publish_part(writers[first]), publish_part(writers[1 - first])
        contents = {entry.sha256: files.read_bytes(files.join(phase.folder, entry.name)) for entry in winner.files}
        whole = all(hashlib.sha256(content).hexdigest() == sha256 for sha256, content in contents.items())
        found.append([winner == loser == Receipt.load(phase, part.key), whole])
    return {"one receipt, whole files": found}


def every_stage_of(folder: Path) -> dict[str, Any]:
    """Every stage's files but run.json, which holds times, on a disk and in the bucket."""
    month = write_month(folder / "month")
    every_stage(str(folder / "corpus"), month, Engine())
    every_stage(f"{ROOT}/corpus", month, Engine())
    here = [path for path in (folder / "corpus").rglob("*") if path.is_file() and path.name != "run.json"]
    there = [name for name, _ in gcs.sizes_below(f"{ROOT}/corpus") if not name.endswith("/run.json")]
    return {
        "disk": {str(path.relative_to(folder / "corpus")): hashlib.sha256(path.read_bytes()).hexdigest() for path in here},
        "bucket": {name: hashlib.sha256(gcs.read(f"{ROOT}/corpus/{name}")).hexdigest() for name in there},
    }


def main(folder: Path) -> None:
    """Make the bucket, and each run."""
    storage.Client(project="nobody").create_bucket(BUCKET)
    runs = (whole_objects, failed_writer, exact_names, new_objects, ranges, attempts, lambda: every_stage_of(folder))
    for run in runs:
        name = run.__name__ if run.__name__ != "<lambda>" else "every_stage"
        sys.stdout.write(json.dumps({"run": name, "gave": run()}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
