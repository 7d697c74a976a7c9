"""Commands that read Parquet files end under load: `exits.py CORPUS NEW FORKED`. Prints JSON: exit codes by command.

CORPUS is copied for each of the two that run at a time, because a removal locks its corpus.

A thread of Arrow that outlives the interpreter can abort the process after the command has finished (see `files.row_groups`), and
more often on a busy machine. Two commands run at a time beside a process that only computes. NEW runs are processes of their own. FORKED
runs are forks of one process that has imported the commands; each then ends as any Python program does, by finalization.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path

AT_ONCE = 2
URL = "http://www.site1.example/1"
REMOVE = ["remove", "--urls", URL, "--output", "{new}"]
INSPECT = ["inspect", "--url", URL]
COMMANDS = [
    REMOVE,
    INSPECT,
    ["status"],
    [*REMOVE[:1], "--sites", "site2.example", "--output", "{new}"],
    ["inspect"],
    ["verify"],
    REMOVE,
    [*INSPECT, "--show"],
    ["report", "--replace", "--output", "{new}", "--workers", "1"],
    REMOVE,
    ["inspect", "--start", "0", "--tokens", "100"],
    ["export", "--format", "jsonl.zst", "--output", "{new}"],
    [*REMOVE, "--keep-pages"],
    ["inspect", "--text", "Python"],
    ["export", "--format", "nanogpt", "--output", "{new}"],
    ["card", "--contact", "a@b.example"],
]
"""A round of commands: mostly those that aborted."""
FORKER = """
import importlib, os, pkgutil, sys
import pipeline.corpus, pipeline.report
from pipeline.__main__ import main
for package in (pipeline.corpus, pipeline.report):
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
for line in sys.stdin:
    log, *words = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if not child:
        break
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), flush=True)
else:
    sys.exit()
for number in (1, 2):
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
sys.exit(main(words))
"""
"""Reads lines of a log file and a command's words, and prints exit codes. A child leaves the loop and ends by `sys.exit`."""


@contextmanager
def busy_loop() -> Iterator[None]:
    """A process that only computes, while the block runs."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


class Runs:
    """Exit codes of commands, and the ends of what the wrong ones printed."""

    def __init__(self, corpus: Path, work: Path) -> None:
        self.work = work
        for lane, kind in itertools.product(range(AT_ONCE), ("corpus", "card")):
            shutil.copytree(corpus, work / f"{kind}-{lane}")
        self.codes: Counter[tuple[str, int]] = Counter()
        self.wrong: list[str] = []

    def words(self, number: int, command: list[str]) -> list[str]:
        """The words of a command on its lane's copy: the card writes to one of its own, all others to a new folder."""
        folder = self.work / f"{'card' if command[0] == 'card' else 'corpus'}-{number % AT_ONCE}"
        return [command[0], "--corpus", str(folder), *(word.format(new=self.work / f"new-{number}") for word in command[1:])]

    def count(self, command: list[str], code: int, printed: str) -> None:
        """Add a run."""
        self.codes[command[0], code] += 1
        if code or "terminate called" in printed or "core dumped" in printed:
            self.wrong.append(f"{' '.join(command)}: {code}: {printed[-500:]}")

    def start(self, share: list[tuple[int, list[str]]]) -> None:
        """Run commands as processes of their own, one after the other."""
        for number, command in share:
            line = [sys.executable, "-m", "pipeline", *self.words(number, command)]
            done = subprocess.run(line, capture_output=True, text=True, check=False)
            self.count(command, done.returncode, done.stdout + done.stderr)

    def fork(self, share: list[tuple[int, list[str]]]) -> None:
        """Run commands as forks of one process, one after the other."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        with subprocess.Popen([sys.executable, "-c", FORKER], text=True, **pipes) as forker:
            assert forker.stdin is not None
            assert forker.stdout is not None
            for number, command in share:
                log = self.work / f"log-{number}"
                forker.stdin.write("\t".join([str(log), *self.words(number, command)]) + "\n")
                forker.stdin.flush()
                self.count(command, int(forker.stdout.readline()), log.read_text())
            forker.stdin.close()


def lanes(runs: list[tuple[int, list[str]]]) -> list[list[tuple[int, list[str]]]]:
    """The runs that may not run at a time with each other: those of one copy of the corpus."""
    return [[run for run in runs if run[0] % AT_ONCE == lane] for lane in range(AT_ONCE)]


def main(corpus: Path, new: int, forked: int) -> None:
    """Run the commands and print the counts."""
    runs = list(enumerate(islice(cycle(COMMANDS), new + forked)))
    with tempfile.TemporaryDirectory() as work, busy_loop(), ThreadPoolExecutor(AT_ONCE) as pool:
        results = Runs(corpus, Path(work))
        list(pool.map(results.start, lanes(runs[:new])))
        list(pool.map(results.fork, lanes(runs[new:])))
    codes = {f"{name} {code}": count for (name, code), count in sorted(results.codes.items())}
    print(json.dumps({"codes": codes, "wrong": results.wrong}))


if __name__ == "__main__":
    os.environ["PYTHONFAULTHANDLER"] = "1"
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
