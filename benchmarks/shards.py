"""Token shards against numpy's memmap (as nanoGPT reads it), datatrove's loader, litdata and mosaicml-streaming.

    python benchmarks/shards.py --megatokens 64 --rounds 3

Writing: tokens at hand to one file or folder, CPU seconds. Reading: random windows of 1,025 tokens to int64, page cache warm, CPU
microseconds a window; ours and memmap take any start, datatrove and the others windows of a grid. The others give a window a call; so does
ours, and many a call, which is how our trainer reads. Rounds are interleaved, a peer's each in
a process of its own; ratios as least, median, most. Documents have WebText's number of tokens: 1,100 on average, and for the size 500 too.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import peers, scores
from tokenizer.shards import Header, Shard, ShardWriter, TokenBatch
from tokenizer.stream import Stream

EOT = 50_256
WINDOW = 1_025
DOCUMENT_TOKENS = 1_100
"""WebText's: 40 GB in 8 million documents."""
SHORT_DOCUMENT_TOKENS = 500
PEERS = {
    "datatrove": ("datatrove-torch", "datatrove[processing,io]", "torch"),
    "litdata": ("litdata", "litdata"),
    "mosaicml-streaming": ("streaming", "mosaicml-streaming"),
}
OURS, MANY, NANOGPT = "ours", "ours, 32 windows a call", "numpy memmap, as nanoGPT"
LIMIT = "one stretch, widened"
WINDOWS_A_CALL = 32
RECORD_BATCH_TOKENS = 1 << 21
"""Smaller than the pipeline's, so that windows lie in many of them, as in a corpus of size."""


def made(tokens: int, document_tokens: int) -> TokenBatch:
    """Random documents."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 2 * document_tokens, tokens // document_tokens)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = generator.integers(0, EOT, offsets[-1], np.uint16)
    flat[offsets[1:] - 1] = EOT
    return TokenBatch(flat, offsets, generator.integers(0, 256, (len(lengths), 16), np.uint8))


def write(path: Path, everything: TokenBatch) -> None:
    documents = RECORD_BATCH_TOKENS * len(everything) // len(everything.tokens)
    with path.open("wb") as file:
        writer = ShardWriter(file, Header("train", 0, 1, len(everything), len(everything.tokens), "0" * 64, EOT + 1, EOT))
        for first in range(0, len(everything), documents):
            offsets = everything.offsets[first : first + documents + 1]
            tokens = everything.tokens[offsets[0] : offsets[-1]]
            writer.write(TokenBatch(tokens, offsets - offsets[0], everything.document_ids[first : first + documents]))
        writer.close()


def clocked(read: Callable[[int], object], starts: list[int]) -> float:
    """CPU microseconds a window."""
    began = time.process_time()
    for start in starts:
        read(start)
    return (time.process_time() - began) / len(starts) * 1e6


def clocked_many(stream: Stream, starts: list[int]) -> float:
    """The same where one call reads many."""
    calls = np.array(starts[: len(starts) // WINDOWS_A_CALL * WINDOWS_A_CALL]).reshape(-1, WINDOWS_A_CALL)
    began = time.process_time()
    for call in calls:
        stream.windows(call, WINDOW)
    return (time.process_time() - began) / calls.size * 1e6


def clocked_stretch(tokens: npt.NDArray[np.uint16], windows: int) -> float:
    """CPU microseconds a window where as many tokens lie one after the other."""
    size = WINDOW * WINDOWS_A_CALL
    began = time.process_time()
    for call in range(windows // WINDOWS_A_CALL):
        start = call * size % (len(tokens) - size)
        tokens[start : start + size].astype(np.int64)
    return (time.process_time() - began) / (windows // WINDOWS_A_CALL * WINDOWS_A_CALL) * 1e6


def peer(name: str, raw: Path, folder: Path, windows: int) -> dict[str, float]:
    command = [str(peers.python(*PEERS[name])), str(Path(__file__).with_name("shards_peer.py")), name]
    done = subprocess.run([*command, str(raw), str(folder), str(windows)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise peers.PeerError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.splitlines()[-1])  # type: ignore[no-any-return]


def seconds_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def compare(arguments: argparse.Namespace, folder: Path, versions: dict[str, str]) -> list[scores.Row]:
    everything = made(arguments.megatokens * 1_000_000, DOCUMENT_TOKENS)
    tokens = len(everything.tokens)
    write(folder / "ours.arrow", everything)  # Arrow's writer takes a quarter of a second the first time
    writing = {OURS: seconds_of(lambda: write(folder / "ours.arrow", everything))}
    writing["a bare file"] = seconds_of(lambda: everything.tokens.tofile(folder / "raw.bin"))
    write(folder / "short.arrow", made(arguments.megatokens * 1_000_000, SHORT_DOCUMENT_TOKENS))
    for name, mean in (("ours.arrow", DOCUMENT_TOKENS), ("short.arrow", SHORT_DOCUMENT_TOKENS)):
        shard = Shard(folder / name)
        print(f"size: {Path(shard.path).stat().st_size / (2 * shard.header.tokens):.4f} x raw at {mean} tokens a document")
    stream = Stream([Shard(folder / "ours.arrow")])
    memmap = np.memmap(folder / "raw.bin", np.uint16, "r")
    out = np.empty(WINDOW, np.int64)
    reads: dict[str, Callable[[int], object]] = {
        OURS: lambda start: stream.read(start, out),
        "ours, a new array each": lambda start: stream.read(start, np.empty(WINDOW, np.int64)),
        NANOGPT: lambda start: memmap[start : start + WINDOW].astype(np.int64),
    }
    starts = np.random.default_rng(1).integers(0, tokens - WINDOW, arguments.windows).tolist()
    for start in starts:  # the page cache warms up, and both must agree
        stream.read(start, out)
        if not np.array_equal(out, memmap[start : start + WINDOW]):
            raise SystemExit(f"windows differ at {start}")
    reading: dict[str, list[float]] = {}
    absent: dict[str, scores.Absent] = {}
    for _ in range(arguments.rounds):
        for name, read in reads.items():
            reading.setdefault(name, []).append(clocked(read, starts))
        reading.setdefault(MANY, []).append(clocked_many(stream, starts))
        reading.setdefault(LIMIT, []).append(clocked_stretch(everything.tokens, len(starts)))
        for name in [name for name in PEERS if name not in absent]:
            try:
                figures = peer(name, folder / "raw.bin", folder / name, arguments.windows)
            except peers.PeerError as error:
                print(error)
                absent[name] = scores.Absent("shards", name, str(error))
                continue
            reading.setdefault(name, []).append(figures["microseconds"])
            if figures["write_seconds"]:
                writing[name] = figures["write_seconds"]
    whole = {name: values for name, values in reading.items() if name not in absent}
    show(whole, writing, tokens)
    return [*rows(whole, writing, versions), *absent.values()]


def rows(reading: dict[str, list[float]], writing: dict[str, float], versions: dict[str, str]) -> list[scores.Row]:
    """Reading by window and by call of 32 beside every reader, writing beside every writer, both beside memory's own speed."""
    unit, found = "CPU us a window", []
    peers_ = {NANOGPT: f"numpy {np.__version__} memmap, as nanoGPT"} | {name: f"{name} {versions[name]}" for name in versions}
    for name, peer in peers_.items():
        for own, work in ((OURS, "a window a call"), (MANY, f"{WINDOWS_A_CALL} windows a call, theirs a window a call")):
            if name in reading:
                work = f"random windows of {WINDOW:,} tokens to int64, {work}"
                found.append(scores.Race("shards, reading", work, peer, unit, tuple(reading[own]), tuple(reading[name])))
        if name in writing:
            found.append(
                scores.Race("shards, writing", "tokens at hand to disk", peer, "CPU s", (writing[OURS],), (writing[name],))
            )
    limit = scores.Limit(
        "shards, reading", "as many tokens in one stretch, widened", unit, tuple(reading[MANY]), tuple(reading[LIMIT])
    )
    bare = scores.Limit(
        "shards, writing", "a bare file, no check, no checksum", "CPU s", (writing[OURS],), (writing["a bare file"],)
    )
    return [*found, limit, bare]


def show(reading: dict[str, list[float]], writing: dict[str, float], tokens: int) -> None:
    print("                                  us a window; times ours, times ours 32 a call: least, median, most")
    for name, values in reading.items():
        over = [sorted(value / own for value, own in zip(values, reading[ours], strict=True)) for ours in (OURS, MANY)]
        shown = "   ".join(f"{ratios[0]:6.2f} {statistics.median(ratios):6.2f} {ratios[-1]:6.2f}" for ratios in over)
        print(f"read   {name:<26} {statistics.median(values):8.2f}   {shown}")
    for name, seconds in writing.items():
        print(f"write  {name:<26} {tokens / seconds / 1e6:8.0f} M tokens/CPU s  {seconds / writing[OURS]:.2f} x ours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megatokens", type=int, default=64)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    versions = {}
    for name in PEERS:
        try:
            versions |= peers.versions(peers.python(*PEERS[name]), name)
            print(versions)
        except peers.PeerError as error:
            print(error)
    with tempfile.TemporaryDirectory() as folder:
        scores.hand_over(arguments.scores, compare(arguments, Path(folder), versions))


if __name__ == "__main__":
    main()
