"""Token shards against numpy's memmap (as nanoGPT reads it), datatrove's loader, litdata and mosaicml-streaming.

    python benchmarks/shards.py --megatokens 64 --rounds 3

Writing: CPU seconds from tokens in memory to one file or folder. Reading: CPU microseconds per random window of 1,025 tokens, converted
to int64, with a warm page cache. Ours and memmap read windows at any position; datatrove and the others only at multiples of the window.
The peers read one window per call. Ours is measured with one window per call, and with 32, which is how our trainer reads. Rounds are
interleaved, each peer's in a process of its own; ratios are minimum, median and maximum. Peak memory is that of a process that does
nothing else, with mapped pages of the file. Documents have WebText's average length of 1,100 tokens; the size is also measured at 500.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
"""WebText's average: 40 GB in 8 million documents."""
SHORT_DOCUMENT_TOKENS = 500
PEERS = {
    "datatrove": ("datatrove-torch", "datatrove[processing,io]", "torch"),
    "litdata": ("litdata", "litdata"),
    "mosaicml-streaming": ("streaming", "mosaicml-streaming"),
}
OURS, MANY, NANOGPT = "ours", "ours, 32 windows per call", "numpy memmap, as nanoGPT"
OURS_READ, NEW, PLAIN_FILE = "ours, reading", "ours, a new array each", "a plain file"
WRITING_PEERS = ("litdata", "mosaicml-streaming")
LIMIT = "consecutive tokens to int64"
WINDOWS_PER_CALL = 32
RECORD_BATCH_TOKENS = 1 << 21
"""Smaller than the pipeline's, so that the windows come from many record batches, as in a large corpus."""


def make_documents(tokens: int, document_tokens: int) -> TokenBatch:
    """Return random documents of about `tokens` tokens in total."""
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 2 * document_tokens, tokens // document_tokens)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = generator.integers(0, EOT, offsets[-1], np.uint16)
    flat[offsets[1:] - 1] = EOT
    return TokenBatch(flat, offsets, generator.integers(0, 256, (len(lengths), 16), np.uint8))


def write(path: Path, everything: TokenBatch) -> None:
    """Write all documents as one shard."""
    documents = RECORD_BATCH_TOKENS * len(everything) // len(everything.tokens)
    with path.open("wb") as file:
        writer = ShardWriter(file, Header("train", 0, 1, len(everything), len(everything.tokens), "0" * 64, EOT + 1, EOT))
        for first in range(0, len(everything), documents):
            offsets = everything.offsets[first : first + documents + 1]
            tokens = everything.tokens[offsets[0] : offsets[-1]]
            writer.write(TokenBatch(tokens, offsets - offsets[0], everything.document_ids[first : first + documents]))
        writer.close()


def window_us(read: Callable[[int], object], starts: list[int]) -> float:
    """Return the CPU microseconds per window, read one per call."""
    began = time.process_time()
    for start in starts:
        read(start)
    return (time.process_time() - began) / len(starts) * 1e6


def many_windows_us(stream: Stream, starts: list[int]) -> float:
    """Return the CPU microseconds per window, read WINDOWS_PER_CALL per call."""
    calls = np.array(starts[: len(starts) // WINDOWS_PER_CALL * WINDOWS_PER_CALL]).reshape(-1, WINDOWS_PER_CALL)
    began = time.process_time()
    for call in calls:
        stream.windows(call, WINDOW)
    return (time.process_time() - began) / calls.size * 1e6


def consecutive_us(tokens: npt.NDArray[np.uint16], windows: int) -> float:
    """Return the CPU microseconds per window when the tokens of a call are consecutive."""
    size = WINDOW * WINDOWS_PER_CALL
    began = time.process_time()
    for call in range(windows // WINDOWS_PER_CALL):
        start = call * size % (len(tokens) - size)
        tokens[start : start + size].astype(np.int64)
    return (time.process_time() - began) / (windows // WINDOWS_PER_CALL * WINDOWS_PER_CALL) * 1e6


def peer(name: str, what: str, raw: Path, folder: Path, windows: int) -> "ShardCost":
    """Measure a peer's writing or reading. Raises PeerError if it cannot be installed or fails."""
    python = peers.python(*PEERS[name]) if name in PEERS else sys.executable
    command = [str(python), str(Path(__file__).with_name("shards_peer.py")), name]
    done = subprocess.run([*command, what, str(raw), str(folder), str(windows)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise peers.PeerError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return ShardCost(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True, slots=True)
class ShardCost:
    """CPU seconds of writing or CPU microseconds per window, and the process's peak memory with mapped pages of the file."""

    cost: float
    peak_mb: float


def seconds_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def run_alone(name: str, folder: Path, arguments: argparse.Namespace) -> ShardCost:
    """Measure one of ours, numpy's memmap or a plain file in a process of its own."""
    sizes = ["--megatokens", str(arguments.megatokens), "--windows", str(arguments.windows)]
    command = [sys.executable, __file__, "--alone", name, str(folder), *sizes]
    return ShardCost(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def cost(name: str, folder: Path, tokens: int, windows: int) -> ShardCost:
    """Return the figures that `run_alone` reads: of a writer with the tokens in memory, or of a reader that opens the file."""
    if name in WRITERS:
        everything = make_documents(tokens, DOCUMENT_TOKENS)
        write(folder / "warm.arrow", everything)  # the first use of Arrow's writer takes a quarter of a second
        scores.reset_peak()
        return ShardCost(seconds_of(lambda: WRITERS[name](folder, everything)), scores.peak_mb())
    starts = np.random.default_rng(1).integers(0, (folder / "raw.bin").stat().st_size // 2 - WINDOW, windows).tolist()
    stream = Stream([Shard(folder / "ours.arrow")])
    out = np.empty(WINDOW, np.int64)
    spent = window_us(lambda start: stream.read(start, out), starts) if name == OURS_READ else many_windows_us(stream, starts)
    return ShardCost(spent, scores.peak_mb())


WRITERS: dict[str, Callable[[Path, TokenBatch], object]] = {
    OURS: lambda folder, everything: write(folder / "ours.arrow", everything),
    PLAIN_FILE: lambda folder, everything: everything.tokens.tofile(folder / "raw.bin"),
}


def as_nanogpt(folder: Path) -> Callable[[int], object]:
    """Return a function that reads a window as nanoGPT's get_batch does, without torch's part."""
    memmap = np.memmap(folder / "raw.bin", np.uint16, "r")
    return lambda start: memmap[start : start + WINDOW].astype(np.int64)


@dataclass
class ShardRounds:
    """Rounds by name: CPU seconds of writing, CPU microseconds per window of reading, peak memory in MB, and absent peers."""

    writing: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    reading: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peaks: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    absent: dict[str, scores.Absent] = field(default_factory=dict)

    def add(self, what: str, name: str, result: ShardCost) -> None:
        """Add a round that ran in a process of its own."""
        {"write": self.writing, "read": self.reading}[what][name].append(result.cost)
        self.peaks[what, name] = max(self.peaks[what, name], result.peak_mb)


def compare(arguments: argparse.Namespace, folder: Path, versions: dict[str, str]) -> list[scores.Row]:
    everything = make_documents(arguments.megatokens * 1_000_000, DOCUMENT_TOKENS)
    tokens = len(everything.tokens)
    for writer in WRITERS.values():
        writer(folder, everything)
    sizes(folder, arguments.megatokens * 1_000_000)
    stream, nanogpt, out = Stream([Shard(folder / "ours.arrow")]), as_nanogpt(folder), np.empty(WINDOW, np.int64)
    starts = np.random.default_rng(1).integers(0, tokens - WINDOW, arguments.windows).tolist()
    for start in starts:  # warms up the page cache; both readers must agree
        stream.read(start, out)
        if not np.array_equal(out, nanogpt(start)):
            raise SystemExit(f"windows differ at {start}")
    stream.windows(np.array(starts[:WINDOWS_PER_CALL]), WINDOW)  # compiles, or loads the compiled code from the cache
    timings: dict[str, Callable[[], float]] = {
        OURS: lambda: window_us(lambda start: stream.read(start, out), starts),
        NEW: lambda: window_us(lambda start: stream.read(start, np.empty(WINDOW, np.int64)), starts),
        NANOGPT: lambda: window_us(nanogpt, starts),
        MANY: lambda: many_windows_us(stream, starts),
        LIMIT: lambda: consecutive_us(everything.tokens, len(starts)),
    }
    rounds = ShardRounds()
    rounds.peaks["read", OURS] = run_alone(OURS_READ, folder, arguments).peak_mb
    rounds.peaks["read", MANY] = run_alone(MANY, folder, arguments).peak_mb
    rounds.peaks["read", NANOGPT] = peer("numpy", "read", folder / "raw.bin", folder, arguments.windows).peak_mb
    for _ in range(arguments.rounds):
        for name in WRITERS:
            rounds.add("write", name, run_alone(name, folder, arguments))
        for name, timing in timings.items():
            rounds.reading[name].append(sorted(timing() for _ in range(scores.TIMINGS_PER_ROUND))[1])
        for name in [name for name in PEERS if name not in rounds.absent]:
            add_peer(rounds, name, folder, arguments.windows)
    for name in rounds.absent:
        rounds.reading.pop(name, None)
        rounds.writing.pop(name, None)
    print_table(rounds, tokens)
    return [*rows(rounds, versions), *rounds.absent.values()]


def add_peer(rounds: ShardRounds, name: str, folder: Path, windows: int) -> None:
    """Add a peer's round. If the peer fails, it is absent from now on."""
    raw, out = folder / "raw.bin", folder / name
    try:
        if name in WRITING_PEERS:
            shutil.rmtree(out, ignore_errors=True)
            rounds.add("write", name, peer(name, "write", raw, out, windows))
        rounds.add("read", name, peer(name, "read", raw, out, windows))
    except peers.PeerError as error:
        print(error)
        rounds.absent[name] = scores.Absent("shards", name, str(error))


def sizes(folder: Path, tokens: int) -> None:
    """Print the size of a shard relative to its tokens, for two lengths of documents."""
    write(folder / "short.arrow", make_documents(tokens, SHORT_DOCUMENT_TOKENS))
    for name, mean in (("ours.arrow", DOCUMENT_TOKENS), ("short.arrow", SHORT_DOCUMENT_TOKENS)):
        shard = Shard(folder / name)
        print(f"size: {Path(shard.path).stat().st_size / (2 * shard.header.tokens):.4f} x raw at {mean} tokens per document")


def rows(rounds: ShardRounds, versions: dict[str, str]) -> list[scores.Row]:
    """Return races of reading (one and 32 windows per call) and of writing with every peer, and a limit of each."""
    unit, peaks = "CPU us per window", rounds.peaks
    reading = {name: tuple(spent) for name, spent in rounds.reading.items()}
    writing = {name: tuple(spent) for name, spent in rounds.writing.items()}
    races: list[scores.Row] = []
    peers_ = {NANOGPT: f"numpy {np.__version__} memmap, as nanoGPT"} | {name: f"{name} {versions[name]}" for name in versions}
    for name, peer in peers_.items():
        for own, work in (
            (OURS, "one window per call"),
            (MANY, f"{WINDOWS_PER_CALL} windows per call, peer one window per call"),
        ):
            if name in reading:
                work = f"random windows of {WINDOW:,} tokens to int64, {work}"
                memory = peaks["read", own], peaks["read", name]
                races.append(scores.Race("shards, reading", work, peer, unit, reading[own], reading[name], *memory))
        if name in writing:
            memory = peaks["write", OURS], peaks["write", name]
            work = "tokens in memory to disk"
            races.append(scores.Race("shards, writing", work, peer, "CPU s", writing[OURS], writing[name], *memory))
    limit = scores.Limit("shards, reading", "as many consecutive tokens to int64", unit, reading[MANY], reading[LIMIT])
    plain = scores.Limit(
        "shards, writing", "a plain file, without checks and checksums", "CPU s", writing[OURS], writing[PLAIN_FILE]
    )
    return [*races, limit, plain]


def print_table(rounds: ShardRounds, tokens: int) -> None:
    print("                                  us per window; x ours, x ours with 32 per call: min, median, max; peak memory")
    reading, writing = rounds.reading, rounds.writing
    for name, values in reading.items():
        over = [sorted(value / own for value, own in zip(values, reading[ours], strict=True)) for ours in (OURS, MANY)]
        shown = "   ".join(f"{ratios[0]:6.2f} {statistics.median(ratios):6.2f} {ratios[-1]:6.2f}" for ratios in over)
        print(f"read   {name:<26} {statistics.median(values):8.2f}   {shown}{memory_cell(rounds.peaks.get(('read', name)))}")
    for name, values in writing.items():
        over_ours = statistics.median(value / own for value, own in zip(values, writing[OURS], strict=True))
        speed = tokens / statistics.median(values) / 1e6
        peak = memory_cell(rounds.peaks.get(("write", name)))
        print(f"write  {name:<26} {speed:8.0f} M tokens/CPU s  {over_ours:.2f} x ours{peak}")


def memory_cell(peak_mb: float | None) -> str:
    return "" if peak_mb is None else f"   {peak_mb:,.0f} MB"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megatokens", type=int, default=64)
    parser.add_argument("--windows", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", nargs=2, help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.alone:
        name, folder = arguments.alone
        print(json.dumps(asdict(cost(name, Path(folder), arguments.megatokens * 1_000_000, arguments.windows))))
        return
    versions = {}
    for name in PEERS:
        try:
            versions |= peers.versions(peers.python(*PEERS[name]), name)
            print(versions)
        except peers.PeerError as error:
            print(error)
    with tempfile.TemporaryDirectory() as folder:
        scores.append_rows(arguments.scores, compare(arguments, Path(folder), versions))


if __name__ == "__main__":
    main()
