"""Token shards against numpy's memmap (as nanoGPT reads it), datatrove's loader, litdata and mosaicml-streaming.

    python benchmarks/shards.py --megatokens 64 --rounds 3

Writing: tokens at hand to one file or folder, CPU seconds. Reading: random windows of 1,025 tokens to int64, page cache warm, CPU
microseconds a window; ours and memmap take any start, datatrove and the others windows of a grid. The others give a window a call; so does
ours, and many a call, which is how our trainer reads. Rounds are interleaved, a peer's each in a process of its own; ratios as least,
median, most. Peak memory is of a process that does nothing else, mapped pages of the file counted. Documents have WebText's number of
tokens: 1,100 on average, and for the size 500 too.
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
"""WebText's: 40 GB in 8 million documents."""
SHORT_DOCUMENT_TOKENS = 500
PEERS = {
    "datatrove": ("datatrove-torch", "datatrove[processing,io]", "torch"),
    "litdata": ("litdata", "litdata"),
    "mosaicml-streaming": ("streaming", "mosaicml-streaming"),
}
OURS, MANY, NANOGPT = "ours", "ours, 32 windows a call", "numpy memmap, as nanoGPT"
OURS_READ, NEW, BARE = "ours, reading", "ours, a new array each", "a bare file"
WRITING_PEERS = ("litdata", "mosaicml-streaming")
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


def peer(name: str, what: str, raw: Path, folder: Path, windows: int) -> "Cost":
    """What writing or reading costs a peer; PeerError where it cannot be had or fails."""
    python = peers.python(*PEERS[name]) if name in PEERS else sys.executable
    command = [str(python), str(Path(__file__).with_name("shards_peer.py")), name]
    done = subprocess.run([*command, what, str(raw), str(folder), str(windows)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise peers.PeerError(f"{name}: {done.stderr.strip().splitlines()[-1]}")
    return Cost(**json.loads(done.stdout.splitlines()[-1]))


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU seconds of writing, or microseconds a window; the peak memory of the process, mapped pages of the file counted."""

    cost: float
    peak_mb: float


def seconds_of(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def alone(name: str, folder: Path, arguments: argparse.Namespace) -> Cost:
    """What one of ours, numpy's memmap or a bare file costs in a process of its own."""
    sizes = ["--megatokens", str(arguments.megatokens), "--windows", str(arguments.windows)]
    command = [sys.executable, __file__, "--alone", name, str(folder), *sizes]
    return Cost(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))


def cost(name: str, folder: Path, tokens: int, windows: int) -> Cost:
    """In that process: a writer that has the tokens at hand, a reader that only opens the file."""
    if name in WRITERS:
        everything = made(tokens, DOCUMENT_TOKENS)
        write(folder / "warm.arrow", everything)  # Arrow's writer takes a quarter of a second the first time
        scores.forget_peak()
        return Cost(seconds_of(lambda: WRITERS[name](folder, everything)), scores.peak_mb())
    starts = np.random.default_rng(1).integers(0, (folder / "raw.bin").stat().st_size // 2 - WINDOW, windows).tolist()
    stream = Stream([Shard(folder / "ours.arrow")])
    out = np.empty(WINDOW, np.int64)
    spent = clocked(lambda start: stream.read(start, out), starts) if name == OURS_READ else clocked_many(stream, starts)
    return Cost(spent, scores.peak_mb())


WRITERS: dict[str, Callable[[Path, TokenBatch], object]] = {
    OURS: lambda folder, everything: write(folder / "ours.arrow", everything),
    BARE: lambda folder, everything: everything.tokens.tofile(folder / "raw.bin"),
}


def as_nanogpt(folder: Path) -> Callable[[int], object]:
    """As its get_batch reads a window, but for torch's part."""
    memmap = np.memmap(folder / "raw.bin", np.uint16, "r")
    return lambda start: memmap[start : start + WINDOW].astype(np.int64)


@dataclass
class Measured:
    """Rounds by name: CPU seconds of writing, CPU microseconds a window of reading; peaks in MB; who could not be measured."""

    writing: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    reading: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    peaks: dict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    absent: dict[str, scores.Absent] = field(default_factory=dict)

    def add(self, what: str, name: str, found: Cost) -> None:
        """A round of one that ran in a process of its own."""
        {"write": self.writing, "read": self.reading}[what][name].append(found.cost)
        self.peaks[what, name] = max(self.peaks[what, name], found.peak_mb)


def compare(arguments: argparse.Namespace, folder: Path, versions: dict[str, str]) -> list[scores.Row]:
    everything = made(arguments.megatokens * 1_000_000, DOCUMENT_TOKENS)
    tokens = len(everything.tokens)
    for writer in WRITERS.values():
        writer(folder, everything)
    sizes(folder, arguments.megatokens * 1_000_000)
    stream, nanogpt, out = Stream([Shard(folder / "ours.arrow")]), as_nanogpt(folder), np.empty(WINDOW, np.int64)
    starts = np.random.default_rng(1).integers(0, tokens - WINDOW, arguments.windows).tolist()
    for start in starts:  # the page cache warms up, and both must agree
        stream.read(start, out)
        if not np.array_equal(out, nanogpt(start)):
            raise SystemExit(f"windows differ at {start}")
    stream.windows(np.array(starts[:WINDOWS_A_CALL]), WINDOW)  # compiled, or taken from where it is kept
    clocks: dict[str, Callable[[], float]] = {
        OURS: lambda: clocked(lambda start: stream.read(start, out), starts),
        NEW: lambda: clocked(lambda start: stream.read(start, np.empty(WINDOW, np.int64)), starts),
        NANOGPT: lambda: clocked(nanogpt, starts),
        MANY: lambda: clocked_many(stream, starts),
        LIMIT: lambda: clocked_stretch(everything.tokens, len(starts)),
    }
    measured = Measured()
    measured.peaks["read", OURS] = alone(OURS_READ, folder, arguments).peak_mb
    measured.peaks["read", MANY] = alone(MANY, folder, arguments).peak_mb
    measured.peaks["read", NANOGPT] = peer("numpy", "read", folder / "raw.bin", folder, arguments.windows).peak_mb
    for _ in range(arguments.rounds):
        for name in WRITERS:
            measured.add("write", name, alone(name, folder, arguments))
        for name, clock in clocks.items():
            measured.reading[name].append(sorted(clock() for _ in range(scores.DISTURBED))[1])
        for name in [name for name in PEERS if name not in measured.absent]:
            add_peer(measured, name, folder, arguments.windows)
    for name in measured.absent:
        measured.reading.pop(name, None)
        measured.writing.pop(name, None)
    show(measured, tokens)
    return [*rows(measured, versions), *measured.absent.values()]


def add_peer(measured: Measured, name: str, folder: Path, windows: int) -> None:
    """A round of a peer's; from then on it is absent where it fails."""
    raw, place = folder / "raw.bin", folder / name
    try:
        if name in WRITING_PEERS:
            shutil.rmtree(place, ignore_errors=True)
            measured.add("write", name, peer(name, "write", raw, place, windows))
        measured.add("read", name, peer(name, "read", raw, place, windows))
    except peers.PeerError as error:
        print(error)
        measured.absent[name] = scores.Absent("shards", name, str(error))


def sizes(folder: Path, tokens: int) -> None:
    """Print how large a shard is beside its tokens, at two lengths of documents."""
    write(folder / "short.arrow", made(tokens, SHORT_DOCUMENT_TOKENS))
    for name, mean in (("ours.arrow", DOCUMENT_TOKENS), ("short.arrow", SHORT_DOCUMENT_TOKENS)):
        shard = Shard(folder / name)
        print(f"size: {Path(shard.path).stat().st_size / (2 * shard.header.tokens):.4f} x raw at {mean} tokens a document")


def rows(measured: Measured, versions: dict[str, str]) -> list[scores.Row]:
    """Reading by window and by call of 32 beside every reader, writing beside every writer, both beside memory's own speed."""
    unit, peaks = "CPU us a window", measured.peaks
    reading = {name: tuple(spent) for name, spent in measured.reading.items()}
    writing = {name: tuple(spent) for name, spent in measured.writing.items()}
    found: list[scores.Row] = []
    peers_ = {NANOGPT: f"numpy {np.__version__} memmap, as nanoGPT"} | {name: f"{name} {versions[name]}" for name in versions}
    for name, peer in peers_.items():
        for own, work in ((OURS, "a window a call"), (MANY, f"{WINDOWS_A_CALL} windows a call, theirs a window a call")):
            if name in reading:
                work = f"random windows of {WINDOW:,} tokens to int64, {work}"
                held = peaks["read", own], peaks["read", name]
                found.append(scores.Race("shards, reading", work, peer, unit, reading[own], reading[name], *held))
        if name in writing:
            held = peaks["write", OURS], peaks["write", name]
            work = "tokens at hand to disk"
            found.append(scores.Race("shards, writing", work, peer, "CPU s", writing[OURS], writing[name], *held))
    stretch = "as many tokens in one stretch, widened"
    limit = scores.Limit("shards, reading", stretch, unit, reading[MANY], reading[LIMIT])
    bare = scores.Limit("shards, writing", "a bare file, no check, no checksum", "CPU s", writing[OURS], writing[BARE])
    return [*found, limit, bare]


def show(measured: Measured, tokens: int) -> None:
    print("                                  us a window; times ours, times ours 32 a call: least, median, most; peak memory")
    reading, writing = measured.reading, measured.writing
    for name, values in reading.items():
        over = [sorted(value / own for value, own in zip(values, reading[ours], strict=True)) for ours in (OURS, MANY)]
        shown = "   ".join(f"{ratios[0]:6.2f} {statistics.median(ratios):6.2f} {ratios[-1]:6.2f}" for ratios in over)
        print(f"read   {name:<26} {statistics.median(values):8.2f}   {shown}{held(measured.peaks.get(('read', name)))}")
    for name, values in writing.items():
        over_ours = statistics.median(value / own for value, own in zip(values, writing[OURS], strict=True))
        speed = tokens / statistics.median(values) / 1e6
        peak = held(measured.peaks.get(("write", name)))
        print(f"write  {name:<26} {speed:8.0f} M tokens/CPU s  {over_ours:.2f} x ours{peak}")


def held(peak_mb: float | None) -> str:
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
        name, place = arguments.alone
        print(json.dumps(asdict(cost(name, Path(place), arguments.megatokens * 1_000_000, arguments.windows))))
        return
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
