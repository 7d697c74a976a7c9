"""Airflow's commands in one process, and parameters for a run of the DAG on a small month."""

import json
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from small_web import write_month

PAGES = 14
SUBMISSIONS = PAGES + PAGES // 4
COMMANDS = Path(__file__).parent / "dags" / "airflow_commands.py"
END = "-- end of command:"


class DagRun(NamedTuple):
    """The final state of a run, and all that Airflow and the programs printed."""

    state: str
    log: str


class Airflow:
    """A process that runs commands of `airflow`, one after another; it ends with the block."""

    def __init__(self, python: str, environment: dict[str, str]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        command = [python, str(COMMANDS), END]
        self.process = subprocess.Popen(command, env=environment, text=True, encoding="utf-8", errors="replace", **pipes)

    def __enter__(self) -> "Airflow":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def ask(self, *words: str) -> tuple[int, str]:
        """The exit code of a command and its output."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        lines: list[str] = []
        for line in self.process.stdout:
            if line.startswith(END):
                return int(line.removeprefix(END)), "".join(lines)
            lines.append(line)
        raise AssertionError(f"airflow ended in {words}: {''.join(lines)[-3000:]}")

    def call(self, *words: str) -> None:
        """Run a command that has to succeed."""
        code, output = self.ask(*words)
        assert code == 0, output[-3000:]

    def test_dag(self, dag: str, month: str, conf: dict[str, Any]) -> DagRun:
        """Run a DAG for a month to its end, with these parameters."""
        _, log = self.ask("dags", "test", dag, f"{month}-01", "-c", json.dumps(conf))
        states = re.findall(r"DagRun Finished.*?state=(\w+)", log, re.DOTALL)
        assert states, log[-3000:]
        return DagRun(states[-1], log)


def parameters(folder: Path) -> dict[str, Any]:
    """Parameters of a run for 2017-12. Writes dump and pages to `folder`; the corpus goes there too."""
    month = write_month(folder, PAGES)
    return {
        "dump": month.dump.replace("2017-12", "{month}"),
        "output": str(folder / "out"),
        "python": sys.executable,
        "flags": ["--workers", "1"],
        "pages_flags": ["--fetch-from", month.warc],
        "vocabulary_flags": ["--vocab-size", "400"],
        "tokens_flags": ["--validation-share", "0.3"],
        "preset": "tiny",
        "launcher": "python",
        "train_flags": ["--steps", "2", "--vocabulary", "400", "--context", "64", "--batch-tokens", "256", "--device", "cpu"],
    }
