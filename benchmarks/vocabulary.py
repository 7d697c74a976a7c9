"""Training a vocabulary: ours (count, then learn from the counts) against tokenizers' BpeTrainer on the same text.

    python benchmarks/vocabulary.py --megabytes 100 --text /usr/lib /usr/share .venv

Every figure comes from a process of its own: its CPU seconds and peak memory. Counting of both is one core's; the library's counting is its
training of no merges. Exits with 1 where the merges differ.
"""

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from real_text import documents


def count(text: list[str], megabytes: int, table: str) -> dict[str, float]:
    from tokenizer.counting import PieceCounter

    warm = PieceCounter()
    warm.add(pa.array(["compile"]))
    counter, read = PieceCounter(), 0
    started = time.process_time()
    batch: list[str] = []
    for document in documents(text, megabytes):
        batch.append(document)
        read += len(document.encode())
        if len(batch) == 64:
            counter.add(pa.array(batch, pa.large_string()))
            batch = []
    counter.add(pa.array(batch, pa.large_string()))
    pq.write_table(counter.table(), table)
    return {"seconds": time.process_time() - started, "megabytes": read / 1e6, "distinct": len(counter)}


def learn(vocab_size: int, table: str, merges: str) -> dict[str, float]:
    from tokenizer.bpe import train

    train({"compile": 1}, 260)
    started = time.process_time()
    tokenizer = train(pq.read_table(table, memory_map=True), vocab_size)
    seconds = time.process_time() - started
    tokenizer.save(merges)
    return {"seconds": seconds}


def library(text: list[str], megabytes: int, vocab_size: int, merges: str) -> dict[str, float]:
    import tokenizers

    trained = tokenizers.Tokenizer(tokenizers.models.BPE())
    trained.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1, special_tokens=[], initial_alphabet=alphabet, show_progress=False
    )
    started = time.process_time()
    trained.train_from_iterator(documents(text, megabytes), trainer)
    seconds = time.process_time() - started
    lines = [f"{left} {right}\n" for left, right in json.loads(trained.to_str())["model"]["merges"]]
    Path(merges).write_text("#version: 0.2\n" + "".join(lines))
    return {"seconds": seconds}


STEPS: dict[str, Callable[..., dict[str, float]]] = {"count": count, "learn": learn, "library": library}


def alone(step: str, *arguments: object) -> dict[str, float]:
    """The step in a process of its own."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, __file__, "--step", step, json.dumps(arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", default=["/usr/lib", "/usr/share"])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--vocab_size", type=int, default=50_257)
    parser.add_argument("--no_library", action="store_true")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step:
        figures = STEPS[arguments.step[0]](*json.loads(arguments.step[1]))
        figures["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder))


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    text, megabytes, size = arguments.text, arguments.megabytes, arguments.vocab_size
    counted = alone("count", text, megabytes, str(folder / "counts.parquet"))
    learnt = alone("learn", size, str(folder / "counts.parquet"), str(folder / "ours"))
    read = counted["megabytes"]
    print(f"ours: counting {read / counted['seconds']:.1f} MB/s, peak {counted['peak_mb']:.0f} MB; {counted['distinct']:,} words")
    print(f"ours: learning {learnt['seconds']:.1f} s, peak {learnt['peak_mb']:.0f} MB")
    if arguments.no_library:
        return
    none = alone("library", text, megabytes, 257, str(folder / "none.txt"))
    whole = alone("library", text, megabytes, size, str(folder / "library.txt"))
    merging = whole["seconds"] - none["seconds"]
    print(f"tokenizers: counting {read / none['seconds']:.1f} MB/s; learning {merging:.1f} s, peak {whole['peak_mb']:.0f} MB")
    print(f"counting {none['seconds'] / counted['seconds']:.1f}x, learning {merging / learnt['seconds']:.1f}x")
    ours, theirs = (hashlib.sha256((folder / name).read_bytes()).hexdigest()[:16] for name in ("ours/merges.txt", "library.txt"))
    print(f"merges: {ours} and {theirs}: {'equal' if ours == theirs else 'DIFFERENT'}")
    if ours != theirs:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
