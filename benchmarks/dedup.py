"""De-duplication, ours against its peers, on one set of real documents with planted edits; CPU seconds from Parquet files to a keep list.

    python -m benchmarks.dedup make --output SET                 (a documents folder; --copies 8 for a larger one)
    python -m benchmarks.dedup run --set SET --record FILE       (three rounds of all, interleaved; the table is of all in FILE)
    python -m benchmarks.dedup run --set SET --record FILE --contenders ours_default ours_default_of_2 ours_default_apart
    python -m benchmarks.dedup quality --set SET --record FILE   (what each removed, against the exact similarity of all pairs)
    python -m benchmarks.dedup growth --set SET --shards 7 14 28 --record FILE   (ours_default on the first shards of a large set)

The same words, 5-word shingles, 14 bands of 8 rows; ours_default has our own 18 and writes the index of later months besides. Every
contender is a process of its own in an environment of its own, ours with what pyproject.toml asks for and no more; ours_default_apart are
two with half of the shards each, begun at one moment: what two processors come to here where nothing is in common. CPU is of all processes,
from the first file to the list of what is removed, after a warming-up on one small text; "whole" counts the start, the imports and the
warming-up too, which is the start of the workers of ours_of_2 as well: two processes beside the first. Memory is the highest VmHWM of a
process, libraries' code included. A copy of a set is every letter rotated by so many places: other words, the same structure.
"""

import argparse
import json
import os
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT))

from benchmarks import dedup_peers, peers, scores  # noqa: E402  # a peer's Python does not know where we are
from benchmarks.dedup_peers import BANDS, ROWS, THRESHOLD  # noqa: E402

REQUIREMENTS = {
    "datasketch": ("datasketch==2.0.0", "xxhash==3.8.0", "pyarrow"),
    "rensa": ("rensa==0.5.0", "pyarrow"),
    "gaoya": ("gaoya==0.2.2", "pyarrow"),
    "datatrove": ("datatrove[processing,io]==0.10.1", "spacy", "lxml_html_clean", "xxhash", "pyarrow"),
    "text_dedup": ("text-dedup==0.4.1", "pyarrow"),
}
LEAST_PYTHON = {"text_dedup": (3, 12)}
CONTENDERS = ("ours", "ours_default", "ours_reading", "gaoya", "rensa", "datasketch", "datatrove", "text_dedup")
DOCUMENTS_A_SHARD = 4096
WORDS_A_DOCUMENT = 600


def edited(words: list[str], target: float, kind: int, donor: list[str], draw: random.Random) -> list[str]:
    """Words replaced, the end cut off, or other text appended, to be about `target` like the original."""
    if kind == 0:
        changed = list(words)
        for at in draw.sample(range(len(words)), round(len(words) * (1 - target) / (1 + target) / 5 * 1.1)):
            changed[at] = f"edit{draw.randrange(10**9)}"
        return changed
    if kind == 1:
        return words[: round(len(words) * target)]
    return words + donor[: round(len(words) * (1 / target - 1))]


def plant(texts: list[str], share: float, seed: int = 1234) -> list[str]:
    """The texts and edits of some of them at similarities from 0.5 to 1, in a seeded order."""
    draw = random.Random(seed)
    long = [text for text in texts if len(text.split()) > 100]
    found = list(texts)
    for i in range(round(share * len(texts))):
        words, donor = draw.choice(long).split(), draw.choice(long).split()
        found.append(" ".join(edited(words, 0.5 + 0.05 * (i % 10) + 0.0499 * draw.random(), i // 10 % 3, donor, draw)))
    draw.shuffle(found)
    return found


def rotated(text: str, copy: int) -> str:
    """Every letter number n of the alphabet made number (multiplier * n + copy) mod 26: 312 copies share words only by chance."""
    multiplier = (1, 3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 25)[copy // 26]
    letters = "abcdefghijklmnopqrstuvwxyz"
    moved = "".join(letters[(multiplier * n + copy) % 26] for n in range(26))
    return text.translate(str.maketrans(letters + letters.upper(), moved + moved.upper()))


def pieces(texts: Iterator[str]) -> Iterator[str]:
    """The texts cut every WORDS_A_DOCUMENT words, without pieces of 50 words and fewer."""
    for text in texts:
        words = re.findall(r"\S+\s*", text)
        for start in range(0, len(words), WORDS_A_DOCUMENT):
            if len(words) - start > 50:
                yield "".join(words[start : start + WORDS_A_DOCUMENT])


def make(arguments: argparse.Namespace) -> None:
    import hashlib
    from datetime import UTC, datetime, timedelta

    from benchmarks import real_text
    from pipeline.records import Document

    base = plant(list(pieces(real_text.documents(arguments.folders, arguments.megabytes))), 0.15)
    epoch = datetime(2017, 1, 1, tzinfo=UTC)
    count = 0

    def shards() -> Iterator[Any]:
        nonlocal count
        for copy in range(arguments.copies):
            for start in range(0, len(base), DOCUMENTS_A_SHARD):
                rows = []
                for text in (rotated(t, copy) for t in base[start : start + DOCUMENTS_A_SHARD]):
                    identity = hashlib.blake2b(text.encode(), digest_size=16).digest()
                    url, when = f"http://example.org/{count}", epoch + timedelta(seconds=count)
                    rows.append(Document(identity, url, url, "example.org", None, "en", 0.9, 3, when, None, text))
                    count += 1
                yield Document.table(rows)

    megabytes = write(arguments.output, shards()) / 1e6
    print(f"{count:,} documents, {megabytes:.0f} MB")


def write(folder: str, tables: Iterator[Any]) -> int:
    """A documents folder of a shard a table; returns the bytes of its texts."""
    import pyarrow.compute as pc

    from pipeline.storage import files
    from pipeline.storage.manifest import Books, FileEntry, StageManifest

    entries, total = [], 0
    for i, table in enumerate(tables):
        name = f"documents-{i:05d}.parquet"
        digest = files.publish_table(str(Path(folder, name)), table)
        entries.append(FileEntry(name, "documents", table.num_rows, digest.bytes, digest.sha256))
        total += pc.sum(pc.binary_length(table.column("text"))).as_py()
    count = sum(entry.rows for entry in entries)
    StageManifest("documents", {}, {}, tuple(entries), Books(count, count), {"text_bytes": total}).save(folder)
    return total


def run(arguments: argparse.Namespace) -> None:
    """Rounds of every contender once."""
    absent: dict[str, scores.Absent] = {}
    for _ in range(arguments.rounds):
        round_ = {}
        for name in [name for name in arguments.contenders if name not in absent]:
            try:
                round_[name] = measure(name, arguments.set)
            except peers.PeerError as error:
                print(error)
                absent[name] = scores.Absent("dedup", name, str(error))
        with Path(arguments.record).open("a") as file:
            file.write(json.dumps(round_) + "\n")
    tell(arguments)
    rounds = [json.loads(line) for line in Path(arguments.record).read_text().splitlines()]
    scores.hand_over(arguments.scores, [*rows(rounds), *absent.values()])


def measure(name: str, folder: str) -> dict[str, Any]:
    """What a contender's own process says of its run; PeerError with its last line where a peer's fails."""
    if name == "ours_default_apart":
        return apart(folder)
    tool, _, workers = name.partition("_of_")
    command = [str(interpreter(tool)), __file__, "one", "--name", tool, "--set", folder, "--workers", workers or "1"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode and tool in REQUIREMENTS:
        raise peers.PeerError(f"{name}: {(answer.stderr.strip().splitlines() or ['no message'])[-1]}")
    if answer.returncode:
        raise SystemExit(f"{name}: {answer.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(name, {key: value for key, value in found.items() if key != "gone"}, flush=True)
    return found


def apart(folder: str) -> dict[str, Any]:
    """Two processes, each of half of the shards; both are ready before they begin."""
    half = len(list(Path(folder).glob("documents-*.parquet"))) // 2
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as scratch, ExitStack() as stack:
        running = []
        for name, shards in (("first", slice(half)), ("second", slice(half, None))):
            some = some_shards(folder, str(Path(scratch, name)), shards)
            command = [str(interpreter("ours")), __file__, "one", "--name", "ours_default", "--set", some, "--told"]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            running.append(stack.enter_context(process))
        for process in running:
            process.stdout.readline()
        for process in running:
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    found = {key: sum(answer[key] for answer in answers) for key in ("cpu", "whole", "documents", "removed")}
    found |= {key: max(answer[key] for answer in answers) for key in ("wall", "peak")}
    print("ours_default_apart", found, flush=True)
    return found


def some_shards(folder: str, out: str, shards: slice) -> str:
    """A documents folder of some of the shards of another, hard links to them."""
    from pipeline.storage.manifest import Books, StageManifest

    entries = StageManifest.load(folder).files[shards]
    Path(out).mkdir(exist_ok=True)
    for entry in entries:
        Path(out, entry.name).hardlink_to(Path(folder, entry.name))
    rows = sum(entry.rows for entry in entries)
    StageManifest("documents", {}, {}, entries, Books(rows, rows), {}).save(out)
    return out


def growth(arguments: argparse.Namespace) -> None:
    """The first shards of a set, so many after so many, each in every round: documents, CPU seconds, exponent, memory; medians."""
    found = []
    for shards in arguments.shards * arguments.rounds:
        with tempfile.TemporaryDirectory(dir=Path(arguments.set).parent) as folder:
            found.append(measure("ours_default", some_shards(arguments.set, folder, slice(shards))) | {"gone": []})
        with Path(arguments.record).open("a") as file:
            file.write(json.dumps(found[-1]) + "\n")
    of_size = [found[i :: len(arguments.shards)] for i in range(len(arguments.shards))]
    documents, seconds, peaks = (
        tuple(statistics.median(r[key] for r in f) for f in of_size) for key in ("documents", "cpu", "peak")
    )
    grown = scores.Growth("dedup", "documents", documents, seconds, tuple(peak * 1.048576 for peak in peaks))
    print(f"exponent {grown.fitted}")
    scores.hand_over(arguments.scores, [grown])


def interpreter(name: str) -> Path:
    """The Python of a contender's own environment; ours has the dependencies of pyproject.toml as pinned in constraints.txt."""
    if not name.startswith("ours"):
        tool = next(tool for tool in sorted(REQUIREMENTS, key=len, reverse=True) if name.startswith(tool))
        return peers.python(tool, *REQUIREMENTS[tool], least=LEAST_PYTHON.get(tool, (3, 0)))
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in asked]
    return peers.python("webtext", *(f"{name}=={pins[name]}" if name in pins else name for name in names))


def tell(arguments: argparse.Namespace) -> None:
    rounds = [json.loads(line) for line in Path(arguments.record).read_text().splitlines()]
    print("| tool | CPU s, rounds | whole | wall | documents / CPU s | x ours: min, median, max | peak MiB | removed |")
    print("|---|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(name for r in rounds for name in r):
        mine = [r[name] for r in rounds if name in r]
        best = min(mine, key=lambda r: r["cpu"])
        ratios = sorted(r[name]["cpu"] / r["ours"]["cpu"] for r in rounds if name in r and "ours" in r)
        shown = f"{ratios[0]:.1f} {statistics.median(ratios):.1f} {ratios[-1]:.1f}" if ratios else "-"
        cpu, peak = " ".join(f"{r['cpu']:.2f}" for r in mine), max(r["peak"] for r in mine)
        rate = f"{best['documents'] / best['cpu']:,.0f}"
        print(
            f"| {name} | {cpu} | {best['whole']:.2f} | {best['wall']:.1f} | {rate} | {shown} | {peak:.0f} | {best['removed']:,} |"
        )


def rows(rounds: list[dict[str, Any]]) -> Iterator[scores.Row]:
    """Ours beside each peer, and beside what reading the texts alone costs."""
    work = f"{BANDS} bands of {ROWS} rows over 5-word shingles, Parquet to keep list"
    for name in dict.fromkeys(name for r in rounds for name in r if not name.startswith("ours")):
        pairs = [(r["ours"], r[name]) for r in rounds if "ours" in r and name in r]
        mine, theirs = (tuple(r["cpu"] for r in side) for side in zip(*pairs, strict=True))
        peaks = [statistics.median(r["peak"] for r in side) * 1.048576 for side in zip(*pairs, strict=True)]  # the first compiles
        peer = re.sub(r"\[.*\]", "", REQUIREMENTS[name][0]).replace("==", " ")
        yield scores.Race("dedup", work, peer, "CPU s", mine, theirs, *peaks)
    pairs = [(r["ours_default_of_2"], r["ours_default"]) for r in rounds if "ours_default_of_2" in r and "ours_default" in r]
    if pairs:
        two, one = (tuple(r["wall"] for r in side) for side in zip(*pairs, strict=True))
        peaks = [statistics.median(r["peak"] for r in side) * 1.048576 for side in zip(*pairs, strict=True)]
        work = f"{pairs[0][0]['documents']:,} documents, two workers"
        yield scores.Race("dedup", work, "itself, one worker", "s of wall", two, one, *peaks)
    pairs = [(r["ours_default_of_2"]["wall"], r["ours_default_apart"]["wall"]) for r in rounds if "ours_default_apart" in r]
    if pairs:
        yield scores.Limit(
            "dedup", "two workers: two runs of half the documents each, at once", "s of wall", *zip(*pairs, strict=True)
        )
    pairs = [(r["ours"]["cpu"], r["ours_reading"]["cpu"]) for r in rounds if "ours" in r and "ours_reading" in r]
    if pairs:
        yield scores.Limit("dedup", "reading Parquet and one CRC-32 over the texts", "CPU s", *zip(*pairs, strict=True))


def quality(arguments: argparse.Namespace) -> None:
    from benchmarks import dedup_quality

    texts = texts_of(arguments.set)
    pairs = dedup_quality.exact_pairs(texts)
    print(f"{len(texts):,} documents, {len(pairs):,} pairs at least {THRESHOLD} alike")
    rounds = [json.loads(line) for line in Path(arguments.record).read_text().splitlines()]
    for name, answer in {name: answer for r in rounds for name, answer in r.items() if name != "ours_reading"}.items():
        judged = dedup_quality.judge(answer["gone"], pairs, len(texts))
        print(name, {key: round(value, 4) for key, value in judged.items()})


def one(arguments: argparse.Namespace) -> None:
    """In the contender's own process: its answer as a line of JSON."""
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
    """Of this process, of its children that have ended, and of those that run, children of children too."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    running = (stat.rpartition(")")[2].split()[11:15] for stat in told("stat", below("self")))
    ticks = sum(int(field) for fields in running for field in fields)
    return sum(usage.ru_utime + usage.ru_stime for usage in used) + ticks / os.sysconf("SC_CLK_TCK")


def watch(peak: list[float], done: threading.Event) -> None:
    """The most memory (MiB) that this process has held, and the most that one below it has."""
    while not done.wait(1.0):
        for place, processes in enumerate((["self"], below("self"))):
            for status in told("status", processes):
                held = re.search(r"VmHWM:\s+(\d+)", status)
                peak[place] = max(peak[place], int(held[1]) / 1024 if held else 0.0)


def below(process: str) -> list[str]:
    """The processes that it started, and that those started."""
    children = [child for thread in Path("/proc", process, "task").glob("*/children") for child in read(thread).split()]
    return children + [one for child in children for one in below(child)]


def told(name: str, processes: list[str]) -> Iterator[str]:
    """A file of /proc of each process that has not gone."""
    yield from filter(None, (read(Path("/proc", process, name)) for process in processes))


def read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def ours(arguments: argparse.Namespace) -> dict[str, Any]:
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
        write(f"{folder}/few", iter([pa.concat_tables([one, other.cast(one.schema)])]))
        STAGE.run(Call({"documents": f"{folder}/few"}, f"{folder}/warm", settings, Engine()))
        workers = arguments.workers
        engine = stack.enter_context(persistent_workers(Engine(workers=workers), workers, signing.__name__))
        engine.run(lambda pipeline: pipeline | beam.Create(range(workers), reshuffle=False) | beam.Map(str), workers)
        if arguments.told:
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
    """What anything that looks at each byte once has to do."""
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
    remove = dedup_peers.REMOVERS[arguments.name]
    remove(["warm up the imports and the first call of it"])
    started, wall = processor_seconds(), time.monotonic()
    texts = texts_of(arguments.set)
    gone = remove(texts)
    return {"cpu": processor_seconds() - started, "wall": time.monotonic() - wall, "documents": len(texts), "gone": gone}


def texts_of(folder: str) -> list[str]:
    import pyarrow.parquet as pq

    paths = sorted(Path(folder).glob("documents-*.parquet"))
    return [text for path in paths for text in pq.read_table(path, columns=["text"]).column("text").to_pylist()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("--folders", nargs="*", default=["/usr/share/doc", sys.prefix])
    making.add_argument("--megabytes", type=int, default=108)
    making.add_argument("--copies", type=int, default=1)
    making.add_argument("--output", required=True)
    making.set_defaults(work=make)
    running = commands.add_parser("run")
    running.add_argument("--contenders", nargs="*", default=CONTENDERS, help="a tool, or ours_of_2: with so many workers")
    running.add_argument("--rounds", type=int, default=3)
    running.set_defaults(work=run)
    growing = commands.add_parser("growth")
    growing.add_argument("--shards", type=int, nargs="+", required=True)
    growing.add_argument("--rounds", type=int, default=3)
    growing.set_defaults(work=growth)
    judging = commands.add_parser("quality")
    judging.set_defaults(work=quality)
    for parser_ in (running, judging, growing):
        parser_.add_argument("--set", required=True)
        parser_.add_argument("--record", required=True)
        scores.add_flag(parser_)
    single = commands.add_parser("one")
    single.add_argument("--name", required=True)
    single.add_argument("--set", required=True)
    single.add_argument("--workers", type=int, default=1)
    single.add_argument("--told", action="store_true", help="say when it is ready, begin when told")
    single.set_defaults(work=one)
    arguments = parser.parse_args()
    arguments.work(arguments)


if __name__ == "__main__":
    main()
