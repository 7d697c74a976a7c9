"""De-duplication: ours against its peers on one set of real documents with planted edits, from Parquet files to a keep list.

    python -m benchmarks.dedup make --output SET                 (write a documents folder; --copies 8 for a larger one)
    python -m benchmarks.dedup run --set SET --record FILE       (three interleaved rounds; the table is of all rounds in FILE)
    python -m benchmarks.dedup run --set SET --record FILE --contenders ours_default ours_default_of_2 ours_default_apart
    python -m benchmarks.dedup quality --set SET --record FILE   (what each removed, against the exact similarity of all pairs)
    python -m benchmarks.dedup growth --set SET --shards 7 14 28 --record FILE   (ours_default on the first shards of a large set)

All contenders use the same words, 5-word shingles and 14 bands of 8 rows, except ours_default: it has the default's 18 bands and also
writes the index for later months. A contender named ..._of_2 has two workers. ours_default_apart is two processes that start at the same
moment, each with half of the shards: what two processors reach here without any coordination.

Each contender runs in a process and an environment of its own; ours has exactly the dependencies of pyproject.toml. CPU seconds count all
processes, from the first file to the list of removed documents, after a warm-up on one small text. "whole" also counts start-up, imports
and warm-up, and for ours_of_2 the start of two worker processes. Memory is the highest VmHWM of a process, with the code of libraries.
A copy of the set rotates every letter of the alphabet, which gives other words with the same structure.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import dedup_contender, dedup_set, peers, scores
from benchmarks.dedup_peers import BANDS, ROWS, THRESHOLD

ROOT = Path(__file__).parents[1]
REQUIREMENTS = {
    "datasketch": ("datasketch==2.0.0", "xxhash==3.8.0", "pyarrow"),
    "rensa": ("rensa==0.5.0", "pyarrow"),
    "gaoya": ("gaoya==0.2.2", "pyarrow"),
    "datatrove": ("datatrove[processing,io]==0.10.1", "spacy", "lxml_html_clean", "xxhash", "pyarrow"),
    "text_dedup": ("text-dedup==0.4.1", "pyarrow"),
}
LEAST_PYTHON = {"text_dedup": (3, 12)}
CONTENDERS = ("ours", "ours_default", "ours_reading", "gaoya", "rensa", "datasketch", "datatrove", "text_dedup")
MB_PER_MIB = 1.048576


def run(arguments: argparse.Namespace) -> None:
    """Run the rounds, each contender once per round, and append every round to the record."""
    absent: dict[str, scores.Absent] = {}
    for _ in range(arguments.rounds):
        figures = {}
        for name in [name for name in arguments.contenders if name not in absent]:
            try:
                figures[name] = measure(name, arguments.set)
            except peers.PeerError as error:
                print(error)
                absent[name] = scores.Absent("dedup", name, str(error))
        with Path(arguments.record).open("a") as file:
            file.write(json.dumps(figures) + "\n")
    print_table(arguments.record)
    rounds = [json.loads(line) for line in Path(arguments.record).read_text().splitlines()]
    scores.append_rows(arguments.scores, [*rows(rounds), *absent.values()])


def measure(name: str, folder: str) -> dict[str, Any]:
    """Run a contender and return its figures. Raises PeerError with the last error line if a peer fails."""
    if name == "ours_default_apart":
        return measure_apart(folder)
    tool, _, workers = name.partition("_of_")
    command = [str(interpreter(tool)), dedup_contender.__file__, "--name", tool, "--set", folder, "--workers", workers or "1"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode and tool in REQUIREMENTS:
        raise peers.PeerError(f"{name}: {(answer.stderr.strip().splitlines() or ['no message'])[-1]}")
    if answer.returncode:
        raise SystemExit(f"{name}: {answer.stderr[-2000:]}")
    figures: dict[str, Any] = json.loads(answer.stdout.splitlines()[-1])
    print(name, {key: value for key, value in figures.items() if key != "gone"}, flush=True)
    return figures


def measure_apart(folder: str) -> dict[str, Any]:
    """Run two processes, each on half of the shards. Both are ready before either starts to work."""
    half = len(list(Path(folder).glob("documents-*.parquet"))) // 2
    with tempfile.TemporaryDirectory(dir=Path(folder).parent) as scratch, ExitStack() as stack:
        running = []
        for name, shards in (("first", slice(half)), ("second", slice(half, None))):
            some = dedup_set.link_shards(folder, str(Path(scratch, name)), shards)
            command = [str(interpreter("ours")), dedup_contender.__file__, "--name", "ours_default", "--set", some, "--wait"]
            process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
            running.append(stack.enter_context(process))
        for process in running:
            process.stdout.readline()
        for process in running:
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [json.loads(process.communicate()[0].splitlines()[-1]) for process in running]
    figures = {key: sum(answer[key] for answer in answers) for key in ("cpu", "whole", "documents", "removed")}
    figures |= {key: max(answer[key] for answer in answers) for key in ("wall", "peak")}
    print("ours_default_apart", figures, flush=True)
    return figures


def growth(arguments: argparse.Namespace) -> None:
    """Measure ours_default on the first shards of the set, for each number of shards in every round, and fit the exponent to medians."""
    runs = []
    for shards in arguments.shards * arguments.rounds:
        with tempfile.TemporaryDirectory(dir=Path(arguments.set).parent) as folder:
            runs.append(measure("ours_default", dedup_set.link_shards(arguments.set, folder, slice(shards))) | {"gone": []})
        with Path(arguments.record).open("a") as file:
            file.write(json.dumps(runs[-1]) + "\n")
    by_size = [runs[i :: len(arguments.shards)] for i in range(len(arguments.shards))]
    documents, seconds, peaks = (
        tuple(statistics.median(r[key] for r in f) for f in by_size) for key in ("documents", "cpu", "peak")
    )
    row = scores.Growth("dedup", "documents", documents, seconds, tuple(peak * MB_PER_MIB for peak in peaks))
    print(f"exponent {row.fitted}")
    scores.append_rows(arguments.scores, [row])


def interpreter(name: str) -> Path:
    """Return the Python of a contender's environment. Ours has the dependencies of pyproject.toml, pinned as in constraints.txt."""
    if not name.startswith("ours"):
        tool = next(tool for tool in sorted(REQUIREMENTS, key=len, reverse=True) if name.startswith(tool))
        return peers.python(tool, *REQUIREMENTS[tool], least=LEAST_PYTHON.get(tool, (3, 0)))
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    names = [re.split(r"[^\w.-]", requirement)[0] for requirement in required]
    return peers.python("webtext", *(f"{name}=={pins[name]}" if name in pins else name for name in names))


def print_table(record: str) -> None:
    rounds = [json.loads(line) for line in Path(record).read_text().splitlines()]
    print("| tool | CPU s, rounds | whole | wall | documents / CPU s | x ours: min, median, max | peak MiB | removed |")
    print("|---|---|---|---|---|---|---|---|")
    for name in dict.fromkeys(name for r in rounds for name in r):
        mine = [r[name] for r in rounds if name in r]
        best = min(mine, key=lambda r: r["cpu"])
        ratios = sorted(r[name]["cpu"] / r["ours"]["cpu"] for r in rounds if name in r and "ours" in r)
        shown = f"{ratios[0]:.1f} {statistics.median(ratios):.1f} {ratios[-1]:.1f}" if ratios else "-"
        cpu, peak = " ".join(f"{r['cpu']:.2f}" for r in mine), max(r["peak"] for r in mine)
        rate = f"{best['documents'] / best['cpu']:,.0f}"
        print(
            f"| {name} | {cpu} | {best['whole']:.2f} | {best['wall']:.1f} | {rate} | {shown} | {peak:.0f} | {best['removed']:,} |"
        )


def rows(rounds: list[dict[str, Any]]) -> Iterator[scores.Row]:
    """Yield a race of ours with each peer, of two workers with one, and the limits that apply."""
    work = f"{BANDS} bands of {ROWS} rows over 5-word shingles, Parquet to keep list"
    for name in dict.fromkeys(name for r in rounds for name in r if not name.startswith("ours")):
        pairs = [(r["ours"], r[name]) for r in rounds if "ours" in r and name in r]
        mine, theirs = (tuple(r["cpu"] for r in side) for side in zip(*pairs, strict=True))
        peaks = [statistics.median(r["peak"] for r in side) * MB_PER_MIB for side in zip(*pairs, strict=True)]
        # peaks are medians, because the first round compiles
        peer = re.sub(r"\[.*\]", "", REQUIREMENTS[name][0]).replace("==", " ")
        yield scores.Race("dedup", work, peer, "CPU s", mine, theirs, *peaks)
    pairs = [(r["ours_default_of_2"], r["ours_default"]) for r in rounds if "ours_default_of_2" in r and "ours_default" in r]
    if pairs:
        two, one = (tuple(r["wall"] for r in side) for side in zip(*pairs, strict=True))
        peaks = [statistics.median(r["peak"] for r in side) * MB_PER_MIB for side in zip(*pairs, strict=True)]
        work = f"{pairs[0][0]['documents']:,} documents, two workers"
        yield scores.Race("dedup", work, "ours, one worker", "wall s", two, one, *peaks)
    pairs = [(r["ours_default_of_2"]["wall"], r["ours_default_apart"]["wall"]) for r in rounds if "ours_default_apart" in r]
    if pairs:
        yield scores.Limit(
            "dedup", "two workers: two simultaneous runs on half the documents each", "wall s", *zip(*pairs, strict=True)
        )
    pairs = [(r["ours"]["cpu"], r["ours_reading"]["cpu"]) for r in rounds if "ours" in r and "ours_reading" in r]
    if pairs:
        yield scores.Limit("dedup", "reading Parquet and one CRC-32 over the texts", "CPU s", *zip(*pairs, strict=True))


def quality(arguments: argparse.Namespace) -> None:
    """Print what each contender of the record removed, judged by the exact similarity of all pairs."""
    from benchmarks import dedup_quality

    texts = dedup_set.texts_of(arguments.set)
    pairs = dedup_quality.exact_pairs(texts)
    print(f"{len(texts):,} documents, {len(pairs):,} pairs at least {THRESHOLD} alike")
    rounds = [json.loads(line) for line in Path(arguments.record).read_text().splitlines()]
    for name, answer in {name: answer for r in rounds for name, answer in r.items() if name != "ours_reading"}.items():
        judged = dedup_quality.judge(answer["gone"], pairs, len(texts))
        print(name, {key: round(value, 4) for key, value in judged.items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    making = commands.add_parser("make")
    making.add_argument("--folders", nargs="*", default=["/usr/share/doc", sys.prefix])
    making.add_argument("--megabytes", type=int, default=108)
    making.add_argument("--copies", type=int, default=1)
    making.add_argument("--output", required=True)
    making.set_defaults(work=dedup_set.make)
    running = commands.add_parser("run")
    running.add_argument("--contenders", nargs="*", default=CONTENDERS, help="tools; ours_of_2 is ours with two workers")
    running.add_argument("--rounds", type=int, default=3)
    running.set_defaults(work=run)
    growing = commands.add_parser("growth")
    growing.add_argument("--shards", type=int, nargs="+", required=True)
    growing.add_argument("--rounds", type=int, default=3)
    growing.set_defaults(work=growth)
    judging = commands.add_parser("quality")
    judging.set_defaults(work=quality)
    for parser_ in (running, judging, growing):
        parser_.add_argument("--set", required=True)
        parser_.add_argument("--record", required=True)
        scores.add_flag(parser_)
    arguments = parser.parse_args()
    arguments.work(arguments)


if __name__ == "__main__":
    main()
