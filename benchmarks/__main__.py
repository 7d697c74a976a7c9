"""Every benchmark, one after the other, into one page: `python -m benchmarks --data ../shared/data` (`make bench`), an hour or more.

The page holds each command as it can be typed again, what it printed, how long it took; a benchmark that ends badly is named with its last
line and the others go on. docs/benchmarks.md is the reading of such a page. Peers install themselves at first use.
"""

import argparse
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent


def commands(data: Path, text: list[str], nanogpt: Path | None, scratch: Path) -> Iterator[tuple[str, list[str]]]:
    """What is measured, in the order of the data, and the arguments after `python`."""
    reddit = sorted(map(str, (data / "reddit").glob("top2013*"))) + sorted(map(str, (data / "reddit").glob("*.xz")))
    pages, vocabulary, evaluations = str(data / "html"), str(data / "bpe"), str(data / "evals")
    yield "Intake", [script("intake"), *reddit]
    yield "Fetching", [script("fetch")]
    for what in ("quality", "strings", "pace"):
        yield f"Extraction: {what}", [script("extraction"), what, pages]
    for what in ("scaling", "growth"):
        yield f"Documents: {what}", [script("documents"), what, pages]
    chosen, record = str(scratch / "set"), str(scratch / "dedup.jsonl")
    yield "De-duplication: documents", ["-m", "benchmarks.dedup", "make", "--output", chosen]
    for _ in range(3):
        yield "De-duplication: a round", ["-m", "benchmarks.dedup", "run", "--set", chosen, "--record", record]
    yield "De-duplication: quality", ["-m", "benchmarks.dedup", "quality", "--set", chosen, "--record", record]
    yield "Vocabulary", [script("vocabulary"), "--text", *text]
    yield "Tokens", [script("tokens"), "--tokenizer", vocabulary, "--text", *text]
    yield "Shards", [script("shards")]
    if nanogpt:
        yield "Training", [script("training"), "--nanogpt", str(nanogpt)]
    yield "Training: memory", [script("training"), "--memory"]
    for what in ("parity", "speed"):
        yield f"Evaluation: {what}", [script("evaluation"), what, "--data", evaluations]
    yield "Growth", [script("growth"), "--pages", pages]
    yield "End to end", [script("end_to_end"), "--pages", pages, "--tokenizer", vocabulary]


def script(name: str) -> str:
    """As typed from the repository's root."""
    return str((HERE / f"{name}.py").relative_to(HERE.parent))


def section(title: str, arguments: list[str]) -> tuple[str, bool]:
    """Run one benchmark; its part of the page, and whether it ended well."""
    print(f"{title} …", flush=True)
    started = time.monotonic()
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    took = f"{time.monotonic() - started:,.0f} s"
    told = done.stdout.strip()
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        told += f"\n[ended with {done.returncode}: {last}]"
    return f"## {title}\n\n`python {shlex.join(arguments)}`, {took}\n\n```\n{told.strip()}\n```\n", not done.returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="dumps, pages with gold text, vocabulary and evaluation files")
    parser.add_argument(
        "--text", nargs="+", default=["/usr/lib", "/usr/share"], help="folders of real text for vocabulary and tokens"
    )
    parser.add_argument("--nanogpt", type=Path, help="nanoGPT's source folder; without it that peer is left out")
    parser.add_argument("--only", nargs="+", default=[""], help="benchmarks whose title begins so")
    parser.add_argument("--output", type=Path, default=Path("benchmarks.md"), help="the page (default: %(default)s)")
    arguments = parser.parse_args()
    cpus = len(os.sched_getaffinity(0))
    head = f"# Measured {datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}, {platform.machine()}, {cpus} cores\n"
    parts, failed = [head], []
    with tempfile.TemporaryDirectory() as scratch:
        for title, command in commands(arguments.data, arguments.text, arguments.nanogpt, Path(scratch)):
            if title.startswith(tuple(arguments.only)):
                part, well = section(title, command)
                parts.append(part)
                failed += [] if well else [title]
                arguments.output.write_text("\n".join(parts))
    print(f"{arguments.output}: {len(parts) - 1} benchmarks" + (f"; ended badly: {', '.join(failed)}" if failed else ""))
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
