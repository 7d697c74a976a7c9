"""Every benchmark, one after the other, into docs/benchmarks.md: `python -m benchmarks --data ../shared/data` (`make bench`), an hour.

The page is written after each, from docs/benchmarks.json, which holds what they handed over. A benchmark that ends badly or takes more
than its time is named and the others go on; `--only` measures some again and leaves the rest of the page. Peers install themselves at
first use.
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

from benchmarks.page import Machine, Record, Section, render
from benchmarks.scores import Absent, collected

HERE = Path(__file__).parent
MOST_SECONDS = 1500.0
SCRATCH = Path("build", "bench")
"""Below the repository's root, so that the commands of a page can be typed again; emptied before and after."""


def commands(data: Path, text: list[str], nanogpt: Path | None, scratch: Path) -> Iterator[tuple[str, list[str]]]:
    """What is measured, in the order of the data, and the arguments after `python`."""
    reddit = sorted(map(str, (data / "reddit").glob("top2013*"))) + sorted(map(str, (data / "reddit").glob("api*.xz")))
    pages, vocabulary, evaluations = str(data / "html"), str(data / "bpe"), str(data / "evals")
    yield "Intake", [script("intake"), *reddit]
    yield "Fetching", [script("fetch"), "--pages", "512"]
    for what in ("quality", "strings", "pace"):
        yield f"Extraction: {what}", [script("extraction"), what, pages]
    yield "Documents: two workers", [script("documents"), "scaling", pages, "--pages", "1000", "--rounds", "2"]
    chosen, record = str(scratch / "set"), str(scratch / "dedup.jsonl")
    yield "De-duplication: documents", ["-m", "benchmarks.dedup", "make", "--output", chosen]
    yield "De-duplication", ["-m", "benchmarks.dedup", "run", "--set", chosen, "--record", record]
    yield "De-duplication: quality", ["-m", "benchmarks.dedup", "quality", "--set", chosen, "--record", record]
    grown, growth = str(scratch / "grown"), str(scratch / "growth.jsonl")
    yield "De-duplication: more documents", ["-m", "benchmarks.dedup", "make", "--output", grown, "--copies", "31"]
    contenders = ["ours_default", "ours_default_of_2", "ours_default_apart"]
    rounds = ["--rounds", "7"]  # two runs alike differ by a fifth here
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
    compared = ["--data", evaluations, "--passages", "60", "--lines", "60"]
    yield "Evaluation: parity", [script("evaluation"), "parity", *compared]
    yield "Evaluation: speed", [script("evaluation"), "speed", *compared, "--preset", "tiny"]
    yield "Growth", [script("growth"), "--pages", pages]
    yield "End to end", [script("end_to_end"), "--pages", pages, "--tokenizer", vocabulary]


SCORED = ("make", "quality", "strings", "parity")
"""Of a benchmark's words, those after which it has no row for the scoreboard."""


def script(name: str) -> str:
    """As typed from the repository's root."""
    return str((HERE / f"{name}.py").relative_to(HERE.parent))


def section(title: str, arguments: list[str], scores: Path, most_seconds: float) -> Section:
    """Run one benchmark, with everything that it starts ended where its time is over."""
    print(f"{title} …", flush=True)
    load, started = os.getloadavg()[0], time.monotonic()
    command = [sys.executable, *arguments, *([] if set(SCORED) & set(arguments) else ["--scores", str(scores)])]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, cwd=HERE.parent, stdout=pipe, stderr=pipe, text=True, start_new_session=True)
    failure = ""
    try:
        told, errors = process.communicate(timeout=most_seconds)
        if process.returncode:
            failure = f"exit code {process.returncode}: {(errors.strip().splitlines() or ['no message'])[-1]}"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        told, _ = process.communicate()
        failure = f"not done in {most_seconds:,.0f} s"
    except KeyboardInterrupt:  # a session of its own does not hear Ctrl-C
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    seconds, date = time.monotonic() - started, f"{datetime.now(UTC):%Y-%m-%d}"
    typed = f"python {shlex.join(arguments)}"
    rows = tuple(replace(row, reason=anywhere(row.reason)) if isinstance(row, Absent) else row for row in collected(scores))
    return Section(title, typed, date, round(seconds, 1), round(load, 2), machine(), anywhere(told), anywhere(failure), rows)


def anywhere(told: str) -> str:
    """What was told, without where on this machine we stand."""
    return told.replace(str(HERE.parent), ".").replace(str(Path.home()), "~")


def machine() -> Machine:
    """This one."""
    names = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    processor = f"{names[0] if names else platform.processor() or 'a processor'} ({platform.machine()})"
    return Machine(processor, len(os.sched_getaffinity(0)), round(memory / 2**30), platform.python_version(), commit())


def _lines(path: str) -> Sequence[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else ()


def commit() -> str:
    """The short hash of what is measured, and whether it was changed since; the page itself does not count."""
    git = ["git", "-C", str(HERE.parent)]
    found = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    if found.returncode:
        return "unknown"
    excepted = [":!docs/benchmarks.md", ":!docs/benchmarks.json"]
    changed = subprocess.run([*git, "status", "--porcelain", "--", ".", *excepted], capture_output=True, text=True, check=False)
    return found.stdout.strip() + (" and changes" if changed.stdout.strip() else "")


def write_aside(path: Path, text: str) -> None:
    """The whole file, or what stood there."""
    aside = path.with_name(f".{path.name}.aside")
    aside.write_text(text)
    aside.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dumps, pages with gold text, vocabulary and evaluation files")
    parser.add_argument(
        "--text", nargs="+", default=["/usr/lib", "/usr/share", ".venv"], help="folders of real text for vocabulary and tokens"
    )
    parser.add_argument("--nanogpt", type=Path, help="nanoGPT's source folder; without it that peer is left out")
    parser.add_argument("--only", nargs="+", default=[""], help="benchmarks whose title begins so; the others' figures stay")
    parser.add_argument(
        "--output", type=Path, default=HERE.parent / "docs" / "benchmarks.md", help="the page (default: %(default)s)"
    )
    parser.add_argument("--most_seconds", type=float, default=MOST_SECONDS, help="for one benchmark (default: %(default)s)")
    arguments = parser.parse_args()
    kept = arguments.output.with_suffix(".json")
    record = Record.of_json(kept.read_text()) if kept.exists() else Record()
    every = dict(commands(arguments.data, arguments.text, arguments.nanogpt, SCRATCH))
    chosen = [title for title in every if title.startswith(tuple(arguments.only))]
    shutil.rmtree(HERE.parent / SCRATCH, ignore_errors=True)
    (HERE.parent / SCRATCH).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        for number, title in enumerate(chosen):
            done = section(title, every[title], Path(folder, f"{number}.jsonl"), arguments.most_seconds)
            record = record.with_section(done, list(every))
            write_aside(kept, record.to_json())
            write_aside(arguments.output, render(record, list(every)))
    shutil.rmtree(HERE.parent / SCRATCH)
    failed = [done.title for done in record.sections if done.title in chosen and done.failure]
    print(f"{arguments.output}: {len(chosen)} benchmarks" + (f"; ended badly: {', '.join(failed)}" if failed else ""))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
