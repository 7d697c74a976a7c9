"""Is the time left that `webtext-train compare` says right? It records the line of progress of a comparison of 60 runs.

    python benchmarks/comparison_progress.py CORPUS CORPUS CORPUS --held-out TEXTS --work DIR

CORPUS are folders of token shards with a vocabulary of 1,024, as `comparison.py harmed` leaves them in its DIR, with TEXTS in
held-out.jsonl. Each corpus has 20 runs of the preset `tiny`, two at a time. The command runs on a terminal of its own, where it shows
its line after every run. A JSON line per tenth of the runs tells what was said and what it really took.
"""

import argparse
import json
import os
import pty
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

LINE = re.compile(rb"compare: (\d+) of (\d+) runs.*?(?:  ((?:\d+:)?\d+:\d\d) left)")
CLEARED = b"\x1b[2K"
FLAGS = ("--preset=tiny", "--vocabulary=1024", "--context=128", "--batch-tokens=1024", "--held-out-documents=40", "--device=cpu")


def seconds_of(duration: str) -> int:
    """Seconds of a duration as the command writes it.

    >>> seconds_of("1:02:05")
    3725
    """
    total = 0
    for part in duration.split(":"):
        total = 60 * total + int(part)
    return total


def recorded(words: Sequence[str]) -> Iterator[tuple[float, bytes]]:
    """What a command writes to its terminal, with the time of each piece. Raises CalledProcessError if it fails."""
    master, slave = pty.openpty()
    with subprocess.Popen(words, stdout=slave, stderr=slave) as process:
        os.close(slave)
        while True:
            try:
                piece = os.read(master, 65_536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            yield time.monotonic(), piece
    os.close(master)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, words)


def said(pieces: Iterator[tuple[float, bytes]]) -> Iterator[tuple[float, int, int, int]]:
    """When, how many runs had ended, of how many, and the seconds left, for each line that tells them."""
    rest = b""
    for at, piece in pieces:
        *lines, rest = (rest + piece).split(CLEARED)
        for line in (*lines, rest):
            if (match := LINE.search(line)) is not None:
                yield at, int(match[1]), int(match[2]), seconds_of(match[3].decode())


def main() -> int:
    """Run the comparison and print the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", nargs="+", metavar="CORPUS")
    parser.add_argument("--held-out", required=True, metavar="TEXTS")
    parser.add_argument("--work", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=16_384)
    arguments = parser.parse_args()
    words = [
        *(sys.executable, "-m", "trainer", "compare", *arguments.corpora, "--held-out", arguments.held_out),
        *("--out", str(arguments.work), f"--seeds={arguments.seeds}", f"--tokens={arguments.tokens}", "--jobs=2", *FLAGS),
    ]
    began, lines = time.monotonic(), {}
    for at, ended, total, left in said(recorded(words)):
        lines.setdefault(ended, (at, total, left))
    last = max(lines)
    end, total, _ = lines[last]
    if last != total:
        raise SystemExit(f"{last} of {total} runs ended")
    for tenth in range(1, 10):
        ended = min(lines, key=lambda count: abs(count - tenth * total / 10))
        at, _, left = lines[ended]
        row = {"ended": ended, "of": total, "after": round(at - began, 1), "left": left, "took": round(end - at, 1)}
        print(json.dumps(row | {"ratio": round(left / (end - at), 2)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
