"""De-duplication, ours against its peers, on one set of real documents with planted edits; CPU seconds from Parquet files to a keep list.

    python -m benchmarks.dedup make --folders /usr/share/doc --output /tmp/set        (a documents folder; --copies 8 for a larger one)
    python -m benchmarks.dedup run --set FOLDER --rounds 3 --peers_python VENV/bin/python

Peers (datasketch, rensa, gaoya) run in a Python of their own, with the same words, 5-word shingles, 14 bands of 8 rows. Every contender is
a process of its own; the rounds are interleaved. Time is the process' CPU from the first file to the list of what is removed, and in
brackets with start and imports. A copy of a set is every letter rotated by so many places: other words, the same structure.
"""

import argparse
import json
import random
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

CONTENDERS = ("ours", "datasketch_xxhash", "datasketch_sha1", "rensa", "rensa_inline", "gaoya")
BANDS, ROWS, THRESHOLD = 14, 8, 0.7
DOCUMENTS_A_SHARD = 4096


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


def rotated(text: str, places: int) -> str:
    """Every letter a to z moved by so many places."""
    letters = "abcdefghijklmnopqrstuvwxyz"
    moved = letters[places:] + letters[:places]
    return text.translate(str.maketrans(letters + letters.upper(), moved + moved.upper()))


def make(arguments: argparse.Namespace) -> None:
    import hashlib
    from datetime import UTC, datetime, timedelta

    import pyarrow.parquet as pq

    from benchmarks import real_text
    from pipeline import files
    from pipeline.manifest import Books, FileEntry, Manifest
    from pipeline.records import Document

    if arguments.texts:
        texts = pq.read_table(arguments.texts, columns=["text"]).column("text").to_pylist()
    else:
        texts = [t for t in real_text.documents(arguments.folders, arguments.megabytes, 1 << 15) if len(t.split()) > 50]
    base = plant(texts, 0.15)
    entries, total, count = [], 0, 0
    shards = arguments.copies * -(-len(base) // DOCUMENTS_A_SHARD)
    epoch = datetime(2017, 1, 1, tzinfo=UTC)
    for copy in range(arguments.copies):
        for start in range(0, len(base), DOCUMENTS_A_SHARD):
            rows = []
            for text in (rotated(t, copy) for t in base[start : start + DOCUMENTS_A_SHARD]):
                identity = hashlib.blake2b(text.encode(), digest_size=16).digest()
                url, when = f"http://example.org/{count}", epoch + timedelta(seconds=count)
                rows.append(Document(identity, url, url, "example.org", None, "en", 0.9, 3, when, None, text))
                total += len(text.encode())
                count += 1
            name = f"documents-{len(entries):05d}-of-{shards:05d}.parquet"
            digest = files.publish_table(str(Path(arguments.output, name)), Document.table(rows))
            entries.append(FileEntry(name, "documents", len(rows), digest.bytes, digest.sha256))
    Manifest("documents", {}, {}, tuple(entries), Books(count, count), {"text_bytes": total}).save(arguments.output)
    print(f"{count:,} documents, {total / 1e6:.0f} MB")


def run(arguments: argparse.Namespace) -> None:
    found: dict[str, list[dict[str, float]]] = {name: [] for name in arguments.contenders}
    for _ in range(arguments.rounds):
        for name in arguments.contenders:
            python = sys.executable if name == "ours" else arguments.peers_python
            command = [python, __file__, "one", "--name", name, "--set", arguments.set, "--workers", str(arguments.workers)]
            answer = subprocess.run(command, capture_output=True, text=True, check=True)
            found[name].append(json.loads(answer.stdout.splitlines()[-1]))
    print("| tool | CPU s (rounds) | with start and imports | documents / CPU s | peak MB | removed |\n|---|---|---|---|---|---|")
    for name, rounds in found.items():
        best = min(r["cpu"] for r in rounds)
        shown = " ".join(f"{r['cpu']:.2f}" for r in rounds)
        whole = min(r["whole"] for r in rounds)
        rate = rounds[0]["documents"] / best
        print(f"| {name} | {shown} | {whole:.1f} | {rate:,.0f} | {rounds[0]['peak']:.0f} | {rounds[0]['removed']:,.0f} |")


def one(arguments: argparse.Namespace) -> None:
    contender = ours if arguments.name == "ours" else peer
    print(json.dumps(contender(arguments)))


def ours(arguments: argparse.Namespace) -> dict[str, float]:
    import shutil
    import tempfile

    sys.path.insert(0, str(Path(__file__).parents[1]))
    from pipeline.dedup import DedupSettings
    from pipeline.engine import Engine
    from pipeline.jobs.dedup import STAGE
    from pipeline.stage import Call

    output = tempfile.mkdtemp()
    settings = DedupSettings(threshold=THRESHOLD, bands=BANDS, rows=ROWS, index=False)
    started, wall = time.process_time(), time.time()
    manifest = STAGE.run(Call({"documents": arguments.set}, output, settings, Engine(workers=arguments.workers)))
    cpu = time.process_time() - started
    shutil.rmtree(output)
    return measured(cpu, manifest.books.items_in, sum(manifest.books.dropped.values())) | {"wall": time.time() - wall}


def measured(cpu: float, documents: int, removed: int) -> dict[str, float]:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    below = children.ru_utime + children.ru_stime
    whole = own.ru_utime + own.ru_stime + below
    peak = max(own.ru_maxrss, children.ru_maxrss) / 1e3
    return {"cpu": cpu + below, "whole": whole, "peak": peak, "documents": documents, "removed": removed}


def texts_of(folder: str) -> list[str]:
    import pyarrow.parquet as pq

    paths = sorted(Path(folder).glob("documents-*.parquet"))
    return [text for path in paths for text in pq.read_table(path, columns=["text"]).column("text").to_pylist()]


def string_shingles(text: str) -> set[str]:
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[i : i + 5]) for i in range(len(words) - 4)}


def peer(arguments: argparse.Namespace) -> dict[str, float]:
    name = arguments.name
    removers = {"rensa": rensa_removed, "rensa_inline": rensa_inline_removed, "gaoya": gaoya_removed}
    remover = removers.get(name) or (lambda texts: datasketch_removed(texts, sha1=name.endswith("sha1")))
    remover(["warm up the imports and the first call of it"])
    started = time.process_time()
    texts = texts_of(arguments.set)
    removed = remover(texts)
    return measured(time.process_time() - started, len(texts), removed)


def datasketch_removed(texts: list[str], *, sha1: bool) -> int:
    import datasketch
    import xxhash

    options = {} if sha1 else {"hashfunc": xxhash.xxh32_intdigest}
    index = datasketch.MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    removed = 0
    for number, text in enumerate(texts):
        sketch = datasketch.MinHash(BANDS * ROWS, **options)
        shingles = string_shingles(text)
        sketch.update_batch([s.encode() for s in shingles])
        if shingles and index.query(sketch):
            removed += 1
        else:
            index.insert(number, sketch)
    return removed


def rensa_removed(texts: list[str]) -> int:
    import rensa

    index = rensa.RMinHashLSH(threshold=THRESHOLD, num_perm=BANDS * ROWS, num_bands=BANDS)
    removed = 0
    for number, text in enumerate(texts):
        sketch = rensa.RMinHash(num_perm=BANDS * ROWS, seed=1)
        sketch.update(list(string_shingles(text)))
        if index.query(sketch):
            removed += 1
        else:
            index.insert(number, sketch)
    return removed


def rensa_inline_removed(texts: list[str]) -> int:
    import rensa

    options = {"num_perm": BANDS * ROWS, "use_lsh": True, "num_bands": BANDS, "seed": 1}
    keeper = rensa.RMinHashDeduplicator(threshold=THRESHOLD, **options)
    pairs = ((str(number), sorted(string_shingles(text))) for number, text in enumerate(texts))
    sketches = []
    for key, shingles in pairs:
        sketch = rensa.RMinHash(num_perm=BANDS * ROWS, seed=1)
        sketch.update(shingles)
        sketches.append((key, sketch))
    return sum(not keeper.add(key, sketch) for key, sketch in sketches)


def gaoya_removed(texts: list[str]) -> int:
    from gaoya.minhash import MinHashStringIndex

    index = MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=THRESHOLD,
        num_bands=BANDS,
        band_size=ROWS,
        analyzer="word",
        lowercase=True,
        ngram_range=(5, 5),
    )
    removed = 0
    for number, text in enumerate(texts):
        if index.query(text):
            removed += 1
        else:
            index.insert_document(number, text)
    return removed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("--folders", nargs="*", default=["/usr/share/doc", sys.prefix])
    making.add_argument("--texts", help="a Parquet file with a column 'text', instead")
    making.add_argument("--megabytes", type=int, default=100)
    making.add_argument("--copies", type=int, default=1)
    making.add_argument("--output", required=True)
    making.set_defaults(work=make)
    running = commands.add_parser("run")
    running.add_argument("--set", required=True)
    running.add_argument("--rounds", type=int, default=3)
    running.add_argument("--workers", type=int, default=1)
    running.add_argument("--contenders", nargs="*", default=CONTENDERS, choices=CONTENDERS)
    running.add_argument("--peers_python", default=sys.executable)
    running.set_defaults(work=run)
    single = commands.add_parser("one")
    single.add_argument("--name", choices=CONTENDERS, required=True)
    single.add_argument("--set", required=True)
    single.add_argument("--workers", type=int, default=1)
    single.set_defaults(work=one)
    arguments = parser.parse_args()
    arguments.work(arguments)


if __name__ == "__main__":
    main()
