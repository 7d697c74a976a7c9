"""Training a vocabulary from a file of lines: ours against gigabpe, the only other trainer known to give tokenizers' merges.

    python benchmarks/vocabulary_lines.py --text FOLDER … --megabytes 100 --rounds 3

gigabpe reads only files, line by line, so each line is a text for both. It has no initial alphabet: bytes that do not occur get no entry,
and its list of merges is longer by their number. Each trainer runs in a process of its own with one thread, in interleaved rounds: CPU
seconds from the file to the merges, after imports and compilation, and peak memory. Exits with 1 if the merges differ.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers, scores

PEER = ("gigabpe", "gigabpe==0.1.0")
BATCH_BYTES = 1 << 22


def ours(text: str, vocab_size: int) -> tuple[list[list[str]], float]:
    """Count and learn as our command does. Returns the merges and the CPU seconds."""
    import pyarrow as pa

    from tokenizer.bpe import train
    from tokenizer.counting import PreTokenCounter
    from tokenizer.formats import spellings

    PreTokenCounter().add(pa.array(["compile"]))
    train({"compile": 1}, 260)
    began = time.process_time()
    counter = PreTokenCounter()
    with Path(text).open("rb") as file:
        while lines := file.readlines(BATCH_BYTES):
            counter.add(pa.array(lines, pa.binary()).cast(pa.string()))
    counts = counter.table()
    del counter
    pairs = train(counts, vocab_size).pairs
    seconds = time.process_time() - began
    spelt = spellings(pairs)
    return [[spelt[left], spelt[right]] for left, right in pairs], seconds


def gigabpe(text: str, vocab_size: int) -> tuple[list[list[str]], float]:
    """Train with gigabpe. Returns the merges and the CPU seconds."""
    import gigabpe

    began = time.process_time()
    _, merges = gigabpe.train_bpe([text], vocab_size - 1, special_tokens=[], pretokenizer="bytelevel", threads=1)
    return [list(merge) for merge in merges], time.process_time() - began


TRAINERS = {"ours": ours, "gigabpe": gigabpe}


def one(name: str, text: str, vocab_size: int, merges: str) -> None:
    """Write a trainer's merges to a file and print its figures as a line of JSON."""
    trained, seconds = TRAINERS[name](text, vocab_size)
    Path(merges).write_text(json.dumps(trained))
    print(json.dumps({"seconds": seconds, "peak_mb": scores.peak_mb()}))


def run_alone(python: Path | str, *words: object) -> dict[str, Any]:
    """Run a trainer in a process of its own and return its figures."""
    done = subprocess.run([str(python), __file__, "--one", *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{words[0]}: {done.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def compare(arguments: argparse.Namespace, folder: Path) -> None:
    from benchmarks import real_text

    text = folder / "text.txt"
    with text.open("w", encoding="utf-8", newline="") as file:
        for document in real_text.documents(arguments.text, arguments.megabytes):
            file.write(document.replace("\r", "") + "\n")
    pythons: dict[str, Path | str] = {"ours": sys.executable, "gigabpe": peers.python(*PEER)}
    rounds = [
        {name: run_alone(python, name, text, arguments.vocab_size, folder / name) for name, python in pythons.items()}
        for _ in range(arguments.rounds)
    ]
    seconds = {name: tuple(r[name]["seconds"] for r in rounds) for name in pythons}
    peak = {name: max(r[name]["peak_mb"] for r in rounds) for name in pythons}
    work = f"{text.stat().st_size / 1e6:,.0f} MB, each line is a text, file to merges"
    race = scores.Race(
        "vocabulary", work, PEER[1].replace("==", " "), "CPU s", seconds["ours"], seconds["gigabpe"], *peak.values()
    )
    for name in pythons:
        print(f"{name:<10} {statistics.median(seconds[name]):7.1f} CPU s  peak {peak[name]:6.0f} MB")
    print(f"times as fast: {' '.join(f'{ratio:.2f}' for ratio in race.ratios)}")
    scores.append_rows(arguments.scores, [race])
    mine, theirs = (json.loads((folder / name).read_text()) for name in pythons)
    same = mine == theirs[: len(mine)]
    print(f"merges: {len(mine):,} of ours, {'equal' if same else 'DIFFERENT'}")
    if not same:
        raise SystemExit(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", default=["/usr/lib", "/usr/share"])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--vocab-size", type=int, default=50_257)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.one:
        name, text, vocab_size, merges = arguments.one
        one(name, text, int(vocab_size), merges)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(arguments, Path(folder))


if __name__ == "__main__":
    main()
