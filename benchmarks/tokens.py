"""Documents in Parquet to token shards: our whole stage against bare encoding loops and datatrove's tokenizer step.

    python benchmarks/tokens.py --tokenizer GPT2_BPE --megabytes 240 --rounds 3 --text FOLDER …
    python benchmarks/tokens.py --tokenizer GPT2_BPE --megabytes 500 --rounds 1 --text FOLDER … --stage-only     # memory

Each runs in a process of its own with one thread: CPU seconds after imports and compilation, wall seconds, peak memory with interpreter
and libraries. The stage reads Parquet, encodes, checks a sample against the oracle, splits, orders, hashes and syncs. A bare loop's clock
counts only encoding, or also the reading of Parquet ("with reading"). Slow contenders get the first shard of the documents, fast ones all
shards; the ids of the first shard are compared. Rounds are interleaved; ratios of megabytes per CPU second are minimum, median, maximum.
"""

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers, real_text, scores

SHARD_MEGABYTES = 16
BY_TIKTOKEN = "the stage by tiktoken"
WITH_READING = "loop with reading"
LOOPS = {"compiled": None, "tiktoken": None, "tokenizers": 1}
"""Encoders with bare loops, and the number of document shards that each encodes (None: all)."""
PEER = ("datatrove", "datatrove[processing,io]", "numba", "tokenizers")
ENCODERS = ("encoders", "gigatoken", "fastokens", "kitoken", "pyarrow")
FOREIGN_LOOP = """
import hashlib, json, sys, time
from importlib import import_module
from pathlib import Path
import numpy as np
import pyarrow.parquet as pq
name, corpus, tokenizer = sys.argv[1:]
if name == "gigatoken":
    encode = import_module(name).Tokenizer(tokenizer).encode_batch
elif name == "fastokens":
    encode = import_module(name).Tokenizer.from_file(tokenizer).encode_batch
else:
    one = import_module(name).Kitoken.from_file(tokenizer)
    encode = lambda texts: [one.encode(text, False) for text in texts]
encode(["warm"])
digest, spent, read, wall = hashlib.sha256(), 0.0, 0, time.perf_counter()
for batch in pq.ParquetFile(min(Path(corpus).glob("*.parquet"))).iter_batches(512, columns=["text"]):
    texts = batch.column("text").to_pylist()
    began = time.process_time()
    encoded = encode(texts)
    spent += time.process_time() - began
    for ids in encoded:
        digest.update(np.append(np.asarray(getattr(ids, "ids", ids)), 50_256).astype("<u2").data)
    read += sum(len(text.encode()) for text in texts)
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
figures = {"seconds": spent, "wall": time.perf_counter() - wall, "megabytes": read / 1e6, "ids": digest.hexdigest()}
print(json.dumps(figures | {"peak_mb": int(line.split()[1]) * 1024 / 1e6}))
"""
DATATROVE = """
import json, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from datatrove.data import Document
from datatrove.pipeline.tokens import DocumentTokenizer
corpus, tokenizer, out = sys.argv[1:]
step = DocumentTokenizer(out, tokenizer_name_or_path=tokenizer, eos_token="<|endoftext|>", shuffle_documents=False, save_filename="x")
step.tokenizer.encode_batch(["warm"])
read = 0
def documents():
    global read
    path = min(Path(corpus).glob("*.parquet"))
    for batch in pq.ParquetFile(path).iter_batches(512, columns=["text"]):
        for number, text in enumerate(batch.column("text").to_pylist()):
            read += len(text.encode())
            yield Document(text, str(number))
started, wall = time.process_time(), time.perf_counter()
step.run(documents(), 0, 1)
figures = {"seconds": time.process_time() - started, "wall": time.perf_counter() - wall, "megabytes": read / 1e6}
(line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps(figures | {"peak_mb": int(line.split()[1]) * 1024 / 1e6}))
"""


def loop(encoder: str, shards: int | None, corpus: str, tokenizer: str) -> dict[str, Any]:
    """Read and encode, without the rest of the stage."""
    import pyarrow as pa

    from pipeline.storage.document_shards import document_shards, utf8_bytes
    from tokenizer.codec import Tokenizer

    loaded = Tokenizer.load(tokenizer)
    loaded.encode_arrow(pa.array(["compile"]), encoder=encoder)
    digest, first, spent, read = hashlib.sha256(), "", 0.0, 0
    wall, cpu = time.perf_counter(), time.process_time()
    for shard in document_shards(corpus)[:shards]:
        for batch in shard.batches(["text"], 512):
            began = time.process_time()
            ids, _ = loaded.encode_arrow(batch.column("text"), encoder=encoder)
            spent += time.process_time() - began
            read += utf8_bytes(batch.column("text"))
            if not first:
                digest.update(ids.data)
        first = first or digest.hexdigest()
    figures = {"seconds": spent, "with_reading": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return figures | {"megabytes": read / 1e6, "ids": first}


def stage(corpus: str, tokenizer: str, folder: str, encoder: str) -> dict[str, Any]:
    """Run the stage as `webtext tokens` does, with one worker and a given vocabulary."""
    from pipeline.engine.allocator import choose_allocators

    choose_allocators()  # as the command line does
    import pyarrow as pa

    from pipeline.engine.runner import Engine
    from pipeline.engine.stage import Call
    from pipeline.storage.document_shards import text_bytes
    from pipeline.storage.manifest import StageManifest
    from pipeline.tokens import stage as tokens
    from pipeline.vocabulary import stage as vocabulary
    from tokenizer.codec import Tokenizer

    settings = vocabulary.VocabularySettings(tokenizer="given", tokenizer_path=tokenizer)
    vocabulary.STAGE.run(Call({"dedup": corpus}, f"{folder}/vocabulary", settings, Engine()))
    Tokenizer.load(tokenizer).encode_arrow(pa.array(["compile"]))
    inputs = {"dedup": corpus, "vocabulary": f"{folder}/vocabulary"}
    call = Call(inputs, f"{folder}/tokens-{encoder}", tokens.TokensSettings(encoder=encoder), Engine())
    started, wall = time.process_time(), time.perf_counter()
    tokens.STAGE.run(call)
    figures = {"seconds": time.process_time() - started, "wall": time.perf_counter() - wall}
    return figures | {"megabytes": text_bytes(StageManifest.load(corpus)) / 1e6}


STEPS: dict[str, Callable[..., dict[str, Any]]] = {"loop": loop, "stage": stage}


def run_alone(command: list[str]) -> dict[str, Any]:
    """Run a command with one thread and return the figures that it prints."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(figures, file=sys.stderr)
    return figures


def step(name: str, *arguments: object) -> dict[str, Any]:
    return run_alone([sys.executable, __file__, "--step", name, json.dumps(arguments)])


def one_round(
    corpus: str, tokenizer: str, folder: Path, pythons: dict[str, Path], *, stage_only: bool
) -> dict[str, dict[str, Any]]:
    figures = {"pipeline tokens, whole": step("stage", corpus, tokenizer, str(folder), "compiled")}
    if stage_only:
        return figures
    figures[BY_TIKTOKEN] = step("stage", corpus, tokenizer, str(folder), "tiktoken")
    for encoder, shards in LOOPS.items():
        figures[f"bare loop, {encoder}"] = step("loop", encoder, shards, corpus, tokenizer)
    bare = figures["bare loop, compiled"]
    figures[WITH_READING] = bare | {"seconds": bare["with_reading"]}
    vocabulary = str(folder / "vocabulary" / "tokenizer.json")
    for name in [name for name in ENCODERS[1:4] if ENCODERS[0] in pythons]:
        figures[f"bare loop, {name}"] = run_alone([str(pythons[ENCODERS[0]]), "-c", FOREIGN_LOOP, name, corpus, vocabulary])
    if PEER[0] in pythons:
        out = folder / "datatrove"
        figures["datatrove's step"] = run_alone([str(pythons[PEER[0]]), "-c", DATATROVE, corpus, vocabulary, str(out)])
        ids = b"".join(path.read_bytes() for path in sorted(out.glob("*.ds")))
        figures["datatrove's step"]["ids"] = hashlib.sha256(ids).hexdigest()
    return figures


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    corpus = arguments.corpus or folder / "corpus"
    if not corpus.exists():
        real_text.write_corpus(corpus, real_text.documents(arguments.text, arguments.megabytes), SHARD_MEGABYTES)
    versions = {"tiktoken": version("tiktoken"), "tokenizers": version("tokenizers")}
    pythons: dict[str, Path] = {}
    absent = []
    for peer, packages in () if arguments.stage_only else ((PEER, PEER[:1]), (ENCODERS, ENCODERS[1:4])):
        try:
            pythons[peer[0]] = peers.python(*peer)
            versions |= peers.versions(pythons[peer[0]], *packages)
        except peers.PeerError as error:
            print(error)
            absent.append(scores.Absent("tokens", ", ".join(packages), str(error)))
    print(versions)
    rounds = [
        one_round(str(corpus), arguments.tokenizer, folder / str(n), pythons, stage_only=arguments.stage_only)
        for n in range(arguments.rounds)
    ]
    speeds = {name: [r[name]["megabytes"] / r[name]["seconds"] for r in rounds] for name in rounds[0]}
    print("                          MB/CPU s  MB/s wall  peak MB  the stage is x times as fast: min, median, max")
    for name, values in speeds.items():
        ratios = sorted(ours / other for ours, other in zip(speeds["pipeline tokens, whole"], values, strict=True))
        wall = statistics.median(r[name]["megabytes"] / r[name]["wall"] for r in rounds)
        peak = statistics.median(r[name]["peak_mb"] for r in rounds)
        shown = f"{ratios[0]:.2f} {statistics.median(ratios):.2f} {ratios[-1]:.2f}"
        print(f"{name:<25} {statistics.median(values):8.1f} {wall:10.1f} {peak:8.0f}  {shown}")
    scores.append_rows(arguments.scores, [*scoreboard_rows(rounds, versions), *absent])
    expected = {r["bare loop, compiled"]["ids"] for r in rounds if not arguments.stage_only}
    differing = {name for r in rounds for name, figure in r.items() if figure.get("ids") not in {None, *expected}}
    print(f"ids of the first shard: {'equal' if not differing else 'DIFFERENT by ' + ', '.join(sorted(differing))}")
    if "bare loop, tokenizers" in differing:
        raise SystemExit(1)


def scoreboard_rows(rounds: list[dict[str, dict[str, Any]]], versions: dict[str, str]) -> list[scores.Row]:
    """Return races of the stage with every loop and datatrove's step, and its own encoder as limit, in CPU milliseconds per MB."""
    costs = {name: tuple(1e3 * r[name]["seconds"] / r[name]["megabytes"] for r in rounds) for name in rounds[0]}
    peak = {name: statistics.median(r[name]["peak_mb"] for r in rounds) for name in rounds[0]}
    whole, unit = "pipeline tokens, whole", "CPU ms per MB"
    work = f"{rounds[0][whole]['megabytes']:,.0f} MB: whole stage, Parquet to shards, against encoding alone"
    rows: list[scores.Row] = []
    for name in [name for name in costs if name not in (whole, BY_TIKTOKEN, "bare loop, compiled", WITH_READING)]:
        tool = name.removeprefix("bare loop, ").removesuffix("'s step")
        peer = f"{tool} {versions.get(tool, '')}, {'its tokenizer step' if tool == 'datatrove' else 'a bare loop'}"
        rows.append(scores.Race("tokens", work, peer, unit, costs[whole], costs[name], peak[whole], peak[name]))
    limits = {
        "bare loop, compiled": "its own encoder in a bare loop",
        WITH_READING: "its own encoder in a loop that reads Parquet",
    }
    rows += [scores.Limit("tokens", limit, unit, costs[whole], costs[name]) for name, limit in limits.items() if name in costs]
    if BY_TIKTOKEN in costs:
        limit = "the stage with --encoder tiktoken: tiktoken in a bare loop"
        rows.append(scores.Limit("tokens", limit, unit, costs[BY_TIKTOKEN], costs["bare loop, tiktoken"]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokenizer", help="folder or file of GPT-2's tokenizer")
    parser.add_argument("--text", nargs="+", default=["/usr/lib", "/usr/share"])
    parser.add_argument("--megabytes", type=int, default=240)
    parser.add_argument("--corpus", type=Path, help="folder of the documents; they are written if it does not exist")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--stage-only", action="store_true", help="measure the stage without peers and loops")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.step:
        figures = STEPS[arguments.step[0]](*json.loads(arguments.step[1]))
        print(json.dumps(figures | {"peak_mb": scores.peak_mb()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder))


if __name__ == "__main__":
    main()
