"""Training a vocabulary from Parquet: ours (count, then learn from the counts) against the tokenizers library's BpeTrainer.

    python benchmarks/vocabulary.py --text FOLDER … --megabytes 100 --rounds 3
    python benchmarks/vocabulary.py --text FOLDER … --megabytes 400 --times 5 --rounds 1 --no-library      # memory of 2 GB

Every figure comes from a process of its own: CPU seconds after imports and compilation, wall seconds, and peak memory with interpreter
and libraries. The library's training is timed in two phases. Its counting ends when it asks for more text after the last document (by
then, all but the last 256 documents are counted); the rest is its merge phase. It runs once with one thread and once with its default, all
cores. `command` is `webtext tokenizer train` without its reading, in one process; `stage` is the whole `pipeline vocabulary` with one
worker. Rounds are interleaved; ratios are minimum, median and maximum. Exits with 1 if the merges differ. For the text, see
benchmarks/real_text.py.
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
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from benchmarks import scores

Figures = dict[str, float]
BATCH_DOCUMENTS = 1024
LIBRARY_DOCUMENTS = 256
"""The library takes this many documents from an iterator at a time, whatever the batch size."""


def texts(corpus: str, documents: int) -> Iterator[Any]:
    """Yield columns of texts, read without Beam so that the library's process need not import it."""
    import pyarrow.parquet as pq

    for path in sorted(Path(corpus).glob("*.parquet")):
        for batch in pq.ParquetFile(path).iter_batches(documents, columns=["text"], use_threads=False):
            yield batch.column("text")


def count(corpus: str, table: str) -> Figures:
    """Count pre-tokens and write the table of counts."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tokenizer.counting import PreTokenCounter

    PreTokenCounter().add(pa.array(["compile"]))
    counter = PreTokenCounter()
    start = clocks()
    for batch in texts(corpus, BATCH_DOCUMENTS):
        counter.add(batch)
    pq.write_table(counter.table(), table)
    return since(start) | {"distinct": len(counter)}


def crc(corpus: str) -> Figures:
    """Read the text and look at each byte once."""
    import zlib

    import pyarrow.parquet  # noqa: F401  # import before the clock starts

    start = clocks()
    for batch in texts(corpus, BATCH_DOCUMENTS):
        zlib.crc32(batch.buffers()[2])
    return since(start)


def command(vocab_size: int, corpus: str, folder: str) -> Figures:
    """Count, learn and save in one process, as `webtext tokenizer train` does."""
    import pyarrow as pa

    from tokenizer.bpe import train
    from tokenizer.counting import PreTokenCounter

    PreTokenCounter().add(pa.array(["compile"]))
    train({"compile": 1}, 260)
    start = clocks()
    counter = PreTokenCounter()
    for batch in texts(corpus, BATCH_DOCUMENTS):
        counter.add(batch)
    counts = counter.table()
    del counter
    train(counts, vocab_size).save(folder)
    return since(start)


def learn(vocab_size: int, table: str, merges: str) -> Figures:
    """Learn merges from a table of counts."""
    import pyarrow.parquet as pq

    from tokenizer.bpe import train

    train({"compile": 1}, 260)
    start = clocks()
    tokenizer = train(pq.read_table(table), vocab_size)
    figures = since(start)
    tokenizer.save(merges)
    return figures


def stage(vocab_size: int, corpus: str, folder: str) -> Figures:
    """Run the whole stage with one worker."""
    from pipeline.engine.allocator import choose_allocators

    choose_allocators()  # as the command line does
    import pyarrow as pa

    from pipeline.engine.runner import Engine
    from pipeline.engine.stage import Call
    from pipeline.vocabulary.settings import VocabularySettings
    from pipeline.vocabulary.stage import STAGE
    from tokenizer.bpe import train
    from tokenizer.counting import PreTokenCounter

    PreTokenCounter().add(pa.array(["compile"]))
    train({"compile": 1}, 260)
    start = clocks()
    STAGE.run(Call({"dedup": corpus}, folder, VocabularySettings(vocab_size=vocab_size), Engine()))
    return since(start)


def library(corpus: str, vocab_size: int, merges: str) -> Figures:
    """Train with the library; the figures `merging …` are those of its merge phase."""
    import tokenizers

    counting_end: list[tuple[float, float]] = []

    def batches() -> Iterator[list[str]]:
        for batch in texts(corpus, LIBRARY_DOCUMENTS):
            yield batch.to_pylist()
        counting_end.append(clocks())

    tokenizer = tokenizers.Tokenizer(tokenizers.models.BPE())
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=vocab_size - 1, special_tokens=[], initial_alphabet=alphabet, show_progress=False
    )
    start = clocks()
    tokenizer.train_from_iterator(batches(), trainer)
    figures = since(start)
    figures |= {f"merging {name}": value for name, value in since(counting_end[0]).items()}
    lines = [f"{left} {right}\n" for left, right in json.loads(tokenizer.to_str())["model"]["merges"]]
    Path(merges).write_text("#version: 0.2\n" + "".join(lines))
    return figures


def clocks() -> tuple[float, float]:
    """Return CPU seconds and wall seconds of this process."""
    return time.process_time(), time.perf_counter()


def since(start: tuple[float, float]) -> Figures:
    """Return the CPU seconds and wall seconds since `start`."""
    return {name: now - then for name, now, then in zip(("seconds", "wall"), clocks(), start, strict=True)}


STEPS: dict[str, Callable[..., Figures]] = {
    "count": count,
    "crc": crc,
    "learn": learn,
    "command": command,
    "stage": stage,
    "library": library,
}


def run_alone(step: str, *arguments: object, threads: str = "false") -> Figures:
    """Run a step in a process of its own. `peak_mb` is the kernel's high-water mark, which a fork does not inherit."""
    environment = os.environ | {"TOKENIZERS_PARALLELISM": threads}
    command = [sys.executable, __file__, "--step", step, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    print(step, done.stdout.strip(), file=sys.stderr)
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", nargs="+", default=["/usr/lib", "/usr/share"])
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument(
        "--times", type=int, default=1, help="multiply the text by this factor: the same lines in other documents"
    )
    parser.add_argument("--vocab-size", type=int, default=50_257)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--no-library", action="store_true", help="measure only ours")
    parser.add_argument("--one-thread", action="store_true", help="run the library with one thread only")
    parser.add_argument("--corpus", type=Path, help="folder of the documents; they are written if it does not exist")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    scores.add_flag(parser)
    arguments = parser.parse_args()
    if arguments.step:
        figures = STEPS[arguments.step[0]](*json.loads(arguments.step[1]))
        print(json.dumps(figures | {"peak_mb": scores.peak_mb()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        from benchmarks import real_text

        documents = real_text.regroup(real_text.documents(arguments.text, arguments.megabytes), arguments.times)
        corpus = arguments.corpus or Path(folder, "corpus")
        if not corpus.exists():
            real_text.write_corpus(corpus, documents)
        compare(arguments, Path(folder), corpus)


def compare(arguments: argparse.Namespace, folder: Path, documents: Path) -> None:
    corpus, table, size = str(documents), str(folder / "counts.parquet"), arguments.vocab_size
    rounds: list[dict[str, Figures]] = []
    for number in range(arguments.rounds):
        figures = {
            "counting": run_alone("count", corpus, table),
            "learning": run_alone("learn", size, table, str(folder / "ours")),
        }
        figures["reading"] = run_alone("crc", corpus)
        figures["command"] = run_alone("command", size, corpus, str(folder / "command"))
        figures["stage"] = run_alone("stage", size, corpus, str(folder / f"stage-{number}"))
        if not arguments.no_library:
            figures["library"] = run_alone("library", corpus, size, str(folder / "library.txt"))
        if not arguments.no_library and not arguments.one_thread:
            figures["library, threads"] = run_alone("library", corpus, size, str(folder / "threads.txt"), threads="true")
        rounds.append(figures)
    megabytes = json.loads((documents / "manifest.json").read_bytes())["counters"]["text_bytes"] / 1e6
    distinct = int(rounds[0]["counting"]["distinct"])
    print(f"{megabytes:,.0f} MB, {distinct:,} distinct words, {len(rounds)} rounds; medians (tokenizers {version('tokenizers')})")
    for name in rounds[0]:
        seconds, wall, peak = (statistics.median(r[name][key] for r in rounds) for key in ("seconds", "wall", "peak_mb"))
        print(f"{name:<20} {seconds:7.1f} CPU s {wall:7.1f} s wall {megabytes / seconds:7.1f} MB/CPU s  peak {peak:6.0f} MB")
    scores.append_rows(arguments.scores, rows(rounds, f"{megabytes:,.0f} MB, {distinct:,} distinct words"))
    if not arguments.no_library:
        compare_with_library(rounds, folder)


def rows(rounds: list[dict[str, Figures]], text: str) -> list[scores.Row]:
    """Return races of counting, learning and the whole stage with the library (one thread, default threads), and reading as limit."""

    def rounds_of(name: str, figure: str = "seconds") -> tuple[float, ...]:
        return tuple(r[name][figure] for r in rounds)

    table: list[scores.Row] = [
        scores.Limit(
            "vocabulary, counting",
            "reading Parquet and one CRC-32 over the texts",
            "CPU s",
            rounds_of("counting"),
            rounds_of("reading"),
        )
    ]
    for theirs in [name for name in rounds[0] if name.startswith("library")]:
        peer = f"tokenizers {version('tokenizers')}, " + ("default threads" if "threads" in theirs else "one thread")
        counting = tuple(
            whole - merging for whole, merging in zip(rounds_of(theirs), rounds_of(theirs, "merging seconds"), strict=True)
        )
        works = {
            "counting": ("counting", counting),
            "merge phase": ("learning", rounds_of(theirs, "merging seconds")),
            "the whole stage": ("stage", rounds_of(theirs)),
        }
        for work, (own, other) in works.items():
            peaks = [max(rounds_of(name, "peak_mb")) for name in (own, theirs)]
            table.append(scores.Race("vocabulary", f"{work}, {text}", peer, "CPU s", rounds_of(own), other, *peaks))
    return table


def compare_with_library(rounds: list[dict[str, Figures]], folder: Path) -> None:
    """Print the ratios to the library. Exits with 1 if the merges differ."""

    def show(name: str, ratio: Callable[[dict[str, Figures]], float]) -> None:
        values = sorted(map(ratio, rounds))
        print(f"{name}: {values[0]:.2f} {statistics.median(values):.2f} {values[-1]:.2f}")

    print("minimum, median, maximum; CPU seconds unless wall is stated:")
    for theirs in [name for name in rounds[0] if name.startswith("library")]:
        merging = [r[theirs]["merging seconds"] for r in rounds], [r[theirs]["merging wall"] for r in rounds]
        print(f"{theirs}: merge phase {', '.join(f'{cpu:.1f} s ({wall:.1f} wall)' for cpu, wall in zip(*merging, strict=True))}")
        show(
            "  counting, times as fast",
            lambda r, t=theirs: (r[t]["seconds"] - r[t]["merging seconds"]) / r["counting"]["seconds"],
        )
        show("  merge phase, times as fast", lambda r, t=theirs: r[t]["merging seconds"] / r["learning"]["seconds"])
        show("  merge phase, wall", lambda r, t=theirs: r[t]["merging wall"] / r["learning"]["wall"])
        show("  whole stage, times as fast", lambda r, t=theirs: r[t]["seconds"] / r["stage"]["seconds"])
        for ours in ("command", "stage"):
            show(f"  peak memory of the {ours} / library", lambda r, t=theirs, o=ours: r[o]["peak_mb"] / r[t]["peak_mb"])
    paths = {name: f"{name}/merges.txt" for name in ("ours", "command", "stage-0")} | {"library": "library.txt"}
    merges = {name: hashlib.sha256((folder / path).read_bytes()).hexdigest()[:16] for name, path in paths.items()}
    print(f"merges: {merges}: {'equal' if len(set(merges.values())) == 1 else 'DIFFERENT'}")
    if len(set(merges.values())) != 1:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
