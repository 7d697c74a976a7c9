"""Token shards against numpy's memmap (nanoGPT) and datatrove's loader, litdata, mosaicml-streaming where an interpreter has them.

    python benchmarks/shards.py --megatokens 64 [--peers VENV/bin/python]

Writing: tokens at hand to a file. Reading: random windows of 1,025 tokens to int64, page cache warm. CPU time, interleaved rounds, medians.
"""

import argparse
import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tokenizer.shards import Header, Shard, ShardWriter, Stream, TokenBatch

EOT = 50_256
WINDOW = 1_025
ROUNDS = 5
DOCUMENT_TOKENS = 1_100
"""As WebText: 40 GB in 8 million documents."""
BATCH_DOCUMENTS = 1 << 16
PEER = """
import json, sys, time
import numpy as np
raw, folder, windows = sys.argv[1], sys.argv[2], int(sys.argv[3])
figures = {}
def clock(name, read, size):
    generator = np.random.default_rng(1)
    starts = generator.integers(0, size, windows)
    seconds = []
    for _ in range(5):
        began = time.process_time()
        for start in starts:
            np.asarray(read(int(start))).astype(np.int64)
        seconds.append(time.process_time() - began)
    figures[name] = sorted(seconds)[2] / windows * 1e6
tokens = np.fromfile(raw, "<u2")
count = len(tokens) // 1025
try:
    from datatrove.utils.dataset import DatatroveFileDataset
    set_ = DatatroveFileDataset(raw, seq_len=1024, token_size=2)
    clock("datatrove", lambda i: set_[i]["input_ids"], len(set_))
except ImportError:
    pass
try:
    from streaming import MDSWriter, StreamingDataset
    with MDSWriter(out=folder + "/mds", columns={"tokens": "ndarray:uint16:1025"}) as writer:
        for i in range(count):
            writer.write({"tokens": tokens[1025 * i : 1025 * (i + 1)]})
    mds = StreamingDataset(local=folder + "/mds", batch_size=1)
    clock("mosaicml-streaming", lambda i: mds[i]["tokens"], count)
except ImportError:
    pass
print(json.dumps(figures))
"""


def made(megatokens: int) -> TokenBatch:
    """Random documents of about DOCUMENT_TOKENS tokens."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 2 * DOCUMENT_TOKENS, megatokens * 1_000_000 // DOCUMENT_TOKENS)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    tokens = generator.integers(0, EOT, offsets[-1], np.uint16)
    tokens[offsets[1:] - 1] = EOT
    return TokenBatch(tokens, offsets, generator.integers(0, 256, (len(lengths), 16), np.uint8))


def write(path: Path, everything: TokenBatch) -> None:
    with path.open("wb") as file:
        writer = ShardWriter(file, Header("train", 0, 1, len(everything), len(everything.tokens), "0" * 64, EOT + 1, EOT))
        for first in range(0, len(everything), BATCH_DOCUMENTS):
            offsets = everything.offsets[first : first + BATCH_DOCUMENTS + 1]
            tokens = everything.tokens[offsets[0] : offsets[-1]]
            writer.write(TokenBatch(tokens, offsets - offsets[0], everything.document_ids[first : first + BATCH_DOCUMENTS]))
        writer.close()


def clocked(reads: dict[str, Callable[[int], object]], tokens: int, windows: int) -> dict[str, float]:
    """Median CPU microseconds a window of each reader."""
    starts = np.random.default_rng(1).integers(0, tokens - WINDOW, windows).tolist()
    seconds: dict[str, list[float]] = {name: [] for name in reads}
    for _ in range(ROUNDS):
        for name, read in reads.items():
            began = time.process_time()
            for start in starts:
                read(start)
            seconds[name].append(time.process_time() - began)
    return {name: statistics.median(values) / windows * 1e6 for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megatokens", type=int, default=64)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--peers", help="an interpreter that has datatrove, streaming")
    arguments = parser.parse_args()
    everything = made(arguments.megatokens)
    with tempfile.TemporaryDirectory() as name:
        compare(arguments, everything, Path(name))


def compare(arguments: argparse.Namespace, everything: TokenBatch, folder: Path) -> None:
    began = time.process_time()
    write(folder / "ours.arrow", everything)
    ours = time.process_time() - began
    began = time.process_time()
    everything.tokens.tofile(folder / "raw.bin")
    raw = time.process_time() - began
    tokens = len(everything.tokens)
    size = (folder / "ours.arrow").stat().st_size / (2 * tokens)
    print(f"written: {tokens / ours / 1e6:.0f} M tokens/s with checks and checksums, a bare file {tokens / raw / 1e6:.0f}")
    print(f"size: {size:.4f} x raw")
    stream = Stream([Shard(folder / "ours.arrow")])
    memmap = np.memmap(folder / "raw.bin", np.uint16, "r")
    out = np.empty(WINDOW, np.int64)
    stream.read(tokens // 2, out)
    if not np.array_equal(out, memmap[tokens // 2 : tokens // 2 + WINDOW]):
        raise SystemExit("windows differ")
    reads: dict[str, Callable[[int], object]] = {
        "ours": lambda start: stream.read(start, out),
        "ours, a new array each": lambda start: stream.read(start, np.empty(WINDOW, np.int64)),
        "numpy memmap, as nanoGPT": lambda start: memmap[start : start + WINDOW].astype(np.int64),
    }
    figures = clocked(reads, tokens, arguments.windows)
    if arguments.peers:
        command = [arguments.peers, "-c", PEER, str(folder / "raw.bin"), str(folder), str(arguments.windows)]
        figures |= json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])
    for name, microseconds in figures.items():
        print(f"{name:<26} {microseconds:7.2f} us a window  {microseconds / figures['ours']:6.2f} x ours")


if __name__ == "__main__":
    main()
