"""Run every benchmark and write docs/benchmarks.md: `python -m benchmarks --data ../shared/data` (`make bench`), an hour.

Each benchmark's rows and output go into docs/benchmarks.json, and the page is rendered from it after each. If a benchmark fails or
exceeds its time, the page names it and the others still run. `--only` measures some again and keeps the rest of the page. Peers are
installed at first use.
"""

import argparse
import os
import platform
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.headlines import chart, headlines
from benchmarks.page import CHART, BenchmarkRecord, HostMachine, Section, render
from benchmarks.scores import Absent, Race, read_rows

HERE = Path(__file__).parent
MAX_SECONDS = 1500.0
SCRATCH = Path("build", "bench")
"""Inside the repository, so that the page's commands can be run again as printed. Emptied before and after."""


def commands(data: Path, text: list[str], nanogpt: Path | None, scratch: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each benchmark's title and its arguments after `python`, in the order of the pipeline."""
    reddit = sorted(map(str, (data / "reddit").glob("top2013*"))) + sorted(map(str, (data / "reddit").glob("api*.xz")))
    pages, vocabulary, evaluations = str(data / "html"), str(data / "bpe"), str(data / "evals")
    yield "Intake", [script("intake"), *reddit]
    yield "Fetching", [script("fetch"), "--pages", "512"]
    for what in ("quality", "strings", "pace"):
        yield f"Extraction: {what}", [script("extraction"), what, pages]
    yield "Documents: two workers", [script("documents"), "scaling", pages, "--pages", "1000", "--rounds", "2"]
    documents, record = str(scratch / "set"), str(scratch / "dedup.jsonl")
    yield "De-duplication: documents", ["-m", "benchmarks.dedup", "make", "--output", documents]
    yield "De-duplication", ["-m", "benchmarks.dedup", "run", "--set", documents, "--record", record]
    yield "De-duplication: quality", ["-m", "benchmarks.dedup", "quality", "--set", documents, "--record", record]
    grown, growth = str(scratch / "grown"), str(scratch / "growth.jsonl")
    yield "De-duplication: more documents", ["-m", "benchmarks.dedup", "make", "--output", grown, "--copies", "31"]
    contenders = ["ours_default", "ours_default_of_2", "ours_default_apart"]
    rounds = ["--rounds", "7"]  # equal runs differ by up to a fifth here
    yield (
        "De-duplication: two workers",
        [
            "-m",
            "benchmarks.dedup",
            "run",
            "--set",
            grown,
            "--record",
            str(scratch / "two.jsonl"),
            *rounds,
            "--contenders",
            *contenders,
        ],
    )
    shards = ["--shards", "7", "14", "28", "56", "112", "217"]
    yield "De-duplication: growth", ["-m", "benchmarks.dedup", "growth", "--set", grown, "--record", growth, *shards]
    yield "Vocabulary", [script("vocabulary"), "--text", *text]
    yield "Vocabulary: lines of a file", [script("vocabulary_lines"), "--text", *text]
    yield "Tokens", [script("tokens"), "--tokenizer", vocabulary, "--text", *text]
    yield "Shards", [script("shards"), "--megatokens", "24", "--windows", "8000"]
    if nanogpt:
        yield "Training", [script("training"), "--nanogpt", str(nanogpt)]
    yield "Training: memory", [script("training"), "--memory"]
    texts = ["--data", evaluations, "--passages", "60", "--lines", "60"]
    yield "Evaluation: parity", [script("evaluation"), "parity", *texts]
    yield "Evaluation: speed", [script("evaluation"), "speed", *texts, "--preset", "tiny"]
    yield "Growth", [script("growth"), "--pages", pages]
    yield "Object store", [script("object_store"), "--parts", "1", "10", "100"]
    yield "Driver", [script("driver")]
    yield "End to end", [script("end_to_end"), "--pages", pages, "--tokenizer", vocabulary]


WITHOUT_ROWS = ("make", "quality", "strings", "parity")
"""Subcommands that give no rows for the scoreboard, and so do not take --scores."""


def script(name: str) -> str:
    """Return the path of a benchmark's script, relative to the repository's root."""
    return str((HERE / f"{name}.py").relative_to(HERE.parent))


def run_benchmark(title: str, arguments: list[str], scores: Path, max_seconds: float) -> Section:
    """Run one benchmark. If its time is over, end it and every process that it started."""
    print(f"{title} …", flush=True)
    load, started = os.getloadavg()[0], time.monotonic()
    command = [sys.executable, *arguments, *([] if set(WITHOUT_ROWS) & set(arguments) else ["--scores", str(scores)])]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=HERE.parent, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    failure = ""
    try:
        output, errors = process.communicate(timeout=max_seconds)
        if process.returncode:
            failure = f"exit code {process.returncode}: {(errors.strip().splitlines() or ['no message'])[-1]}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        failure = f"not finished after {max_seconds:,.0f} s"
    except KeyboardInterrupt:  # Ctrl-C does not reach a process in a session of its own
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    seconds, date = time.monotonic() - started, f"{datetime.now(UTC):%Y-%m-%d}"
    command_line = f"python {shlex.join(arguments)}"
    rows = tuple(replace(row, reason=without_paths(row.reason)) if isinstance(row, Absent) else row for row in read_rows(scores))
    output, failure = without_paths(output), without_paths(failure)
    return Section(title, command_line, date, round(seconds, 1), round(load, 2), machine(), output, failure, rows)


def without_paths(text: str) -> str:
    """Replace the paths of the repository and of the home directory by `.` and `~`."""
    return text.replace(str(HERE.parent), ".").replace(str(Path.home()), "~")


def machine() -> HostMachine:
    """Describe this machine."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    processor = f"{names[0] if names else platform.processor() or 'a processor'} ({platform.machine()})"
    return HostMachine(processor, len(os.sched_getaffinity(0)), round(memory / 2**30), platform.python_version(), commit())


def _lines(path: str) -> Sequence[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else ()


def commit() -> str:
    """Return the short hash of HEAD, and whether any file but the page itself has changed since."""
    git = ["git", "-C", str(HERE.parent)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if head.returncode:
        return "unknown"
    page = [":!docs/benchmarks.md", ":!docs/benchmarks.json"]
    changed = subprocess.run([*git, "status", "--porcelain", "--", ".", *page], capture_output=True, text=True, check=False)
    return head.stdout.strip() + (" and changes" if changed.stdout.strip() else "")


def write_atomically(path: Path, text: str) -> None:
    """Replace the file as a whole: an interrupted write leaves the old content."""
    aside = path.with_name(f".{path.name}.aside")
    aside.write_text(text)
    aside.replace(path)


def write_page(path: Path, record: BenchmarkRecord, order: Sequence[str]) -> None:
    """Write the page and the chart that it shows."""
    write_atomically(path, render(record, order))
    races = [row for section in record.sections for row in section.rows if isinstance(row, Race)]
    (path.parent / CHART).parent.mkdir(exist_ok=True)
    write_atomically(path.parent / CHART, chart(headlines(races)))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("../shared/data"),
        help="folder with dumps, pages with gold text, GPT-2's vocabulary and evaluation files",
    )
    parser.add_argument(
        "--text", nargs="+", default=["/usr/lib", "/usr/share", ".venv"], help="folders of real text for vocabulary and tokens"
    )
    parser.add_argument("--nanogpt", type=Path, help="nanoGPT's source folder; without it, this peer is left out")
    parser.add_argument(
        "--only",
        nargs="+",
        default=[""],
        help="run only benchmarks whose title starts with one of these; the figures of the others stay",
    )
    parser.add_argument("--page-only", action="store_true", help="measure nothing: write the page from its recorded figures")
    parser.add_argument(
        "--output", type=Path, default=HERE.parent / "docs" / "benchmarks.md", help="the page (default: %(default)s)"
    )
    parser.add_argument(
        "--max-seconds", type=float, default=MAX_SECONDS, help="time limit of one benchmark (default: %(default)s)"
    )
    arguments = parser.parse_args()
    kept = arguments.output.with_suffix(".json")
    record = BenchmarkRecord.from_json(kept.read_text()) if kept.exists() else BenchmarkRecord()
    every = dict(commands(arguments.data, arguments.text, arguments.nanogpt, SCRATCH))
    if arguments.page_only:
        write_page(arguments.output, record, list(every))
        return 0
    chosen = [title for title in every if title.startswith(tuple(arguments.only))]
    shutil.rmtree(HERE.parent / SCRATCH, ignore_errors=True)
    (HERE.parent / SCRATCH).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, title in enumerate(chosen):
            done = run_benchmark(title, every[title], Path(folder, f"{number}.jsonl"), arguments.max_seconds)
            record = record.with_section(done, list(every))
            write_atomically(kept, record.to_json())
            write_page(arguments.output, record, list(every))
    shutil.rmtree(HERE.parent / SCRATCH)
    failed = [done.title for done in record.sections if done.title in chosen and done.failure]
    print(f"{arguments.output}: {len(chosen)} benchmarks" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
