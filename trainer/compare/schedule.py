"""Runs of a comparison side by side: a worker process per device or per share of the cores, which takes one run after the other."""

import heapq
import json
import logging
import math
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tokenizer.labels import printable
from tokenizer.terminal import control
from trainer.compare.plan import OUTPUT, Plan, TrialRun
from trainer.compare.run import finished

log = logging.getLogger(__name__)

SMALL_PARAMETERS = 20_000_000
"""On CPUs, networks below this train fastest with one thread each, side by side."""
QUIET_SECONDS = 30.0
HALF_LIFE_RUNS = 8
"""A finished run counts half as much as the one that this many runs later ended: the load of a machine changes within an hour."""


def default_jobs(parameters: int, gpus: int, cores: int) -> int:
    """How many runs go side by side: one per GPU; without GPUs one per core for small networks, else one."""
    return gpus or (cores if parameters < SMALL_PARAMETERS else 1)


def default_threads(parameters: int, jobs: int, cores: int) -> int:
    """Threads of each run on a CPU: one for small networks, however few runs go side by side; else the cores' share."""
    return 1 if parameters < SMALL_PARAMETERS else max(1, cores // jobs)


@dataclass(slots=True)
class RunsProgress:
    """A line about the runs: how many have ended, and the time left, which is said once a run has finished.

    `seconds` are those of finished runs; `failed` counts runs that ended without a result, and tell nothing of the time.
    """

    total: int
    jobs: int
    stream: TextIO = field(default_factory=lambda: sys.stderr)
    seconds: list[float] = field(default_factory=list)
    failed: int = 0
    clock: Callable[[], float] = time.monotonic
    _begun: dict[TrialRun, float] = field(default_factory=dict)
    _shown: float = float("-inf")

    @property
    def ended(self) -> int:
        """How many runs have finished or failed."""
        return len(self.seconds) + self.failed

    def begin(self, run: TrialRun) -> None:
        """Note that a run has begun."""
        self._begun[run] = self.clock()

    def end(self, run: TrialRun, seconds: float | None) -> None:
        """Note that a run has finished, after `seconds` of work; None for one that failed."""
        self._begun.pop(run, None)
        if seconds is None:
            self.failed += 1
        else:
            self.seconds.append(seconds)

    def left_seconds(self) -> float | None:
        """Time until the last run ends, if each takes the recent mean of those that finished; None as long as none has.

        Runs under way have a part of it behind them; each waiting one takes the place that is free first.
        """
        if not self.seconds:
            return None
        mean, now = recent_mean(self._telling_seconds, max(HALF_LIFE_RUNS, self.jobs)), self.clock()
        free = [max(0.0, began + mean - now) for began in self._begun.values()]
        waiting = self.total - self.ended - len(free)
        free += [0.0] * (self.jobs - len(free))
        heapq.heapify(free)
        for _ in range(waiting):
            heapq.heapreplace(free, free[0] + mean)
        return max(free)

    @property
    def _telling_seconds(self) -> list[float]:
        """Those of finished runs without the first of each worker, once there are as many others: a new process is slow at first."""
        return self.seconds[self.jobs :] if len(self.seconds) >= 2 * self.jobs else self.seconds

    def show(self, text: str, *, force: bool = False) -> None:
        """Show the line: at once on a terminal, elsewhere at most every 30 seconds."""
        terminal, now = self.stream.isatty(), self.clock()
        if not (terminal or force) and now - self._shown < QUIET_SECONDS:
            return
        self._shown = now
        left = self.left_seconds()
        rest = "" if left is None else f"  {duration(left)} left"
        line = printable(f"compare: {self.ended} of {self.total} runs  {text}{rest}")
        control(self.stream, f"\r\x1b[2K{line}" if terminal else f"{line}\n")
        self.stream.flush()

    def close(self) -> None:
        """End the line on a terminal."""
        if self.stream.isatty():
            self.stream.write("\n")


def recent_mean(values: Sequence[float], half_life: float) -> float:
    """The weighted mean of values in the order of their time: each counts half as much as the one `half_life` places later.

    >>> recent_mean([4.0, 1.0], half_life=1)
    2.0
    """
    weights = [math.exp2((1 + place - len(values)) / half_life) for place in range(len(values))]
    return sum(weight * value for weight, value in zip(weights, values, strict=True)) / sum(weights)


def duration(seconds: float) -> str:
    """Duration as text: 3725 gives 1:02:05, 65 gives 1:05."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02d}"


def perform_all(plan: Plan, runs: Sequence[TrialRun], out: Path, jobs: int, gpus: int) -> dict[TrialRun, str]:
    """Do all runs, `jobs` at a time; runs that are finished stay. Returns the failed runs with the reason of each.

    Ctrl-C and SIGTERM end the workers; what they had checkpointed is kept, and the same call goes on from there.
    """
    waiting: queue.Queue[TrialRun] = queue.Queue()
    progress = RunsProgress(len(runs), max(1, min(jobs, len(runs))))
    for run in runs:
        record = finished(run.folder(plan, out))
        if record is None:
            waiting.put(run)
        else:
            progress.seconds.append(float(record["seconds"]))
    if waiting.empty():
        return {}
    failures: dict[TrialRun, str] = {}
    lock = threading.Lock()

    def note(run: TrialRun, reason: str | None) -> None:
        with lock:
            record = finished(run.folder(plan, out))
            progress.end(run, float(record["seconds"]) if record and reason is None else None)
            if reason is not None:
                failures[run] = reason
            progress.show(f"{run.folder(plan, out).name} {'failed' if reason else 'done'}", force=reason is not None)

    def begin(run: TrialRun) -> None:
        with lock:
            progress.begin(run)

    workers = [Worker(out, plan.threads, number % gpus if gpus else None) for number in range(min(jobs, waiting.qsize()))]
    threads = [threading.Thread(target=worker.serve, args=(waiting, begin, note), daemon=True) for worker in workers]
    progress.show("training", force=True)
    try:
        for thread in threads:
            thread.start()
        _await(threads)
    finally:
        for worker in workers:
            worker.end()
        progress.close()
    return failures


def _await(threads: Sequence[threading.Thread]) -> None:
    """Wait for the threads' end, so that a signal is still heard."""
    for thread in threads:
        while thread.is_alive():
            thread.join(0.2)


class Worker:
    """A process that does runs. It is started anew after a crash, of which only the run at hand is a victim."""

    def __init__(self, out: Path, threads: int, gpu: int | None) -> None:
        self._out, self._gpu, self._threads = out, gpu, threads
        self._process: subprocess.Popen[str] | None = None
        self._ended = False

    def serve(
        self,
        waiting: "queue.Queue[TrialRun]",
        begin: Callable[[TrialRun], None],
        note: Callable[[TrialRun, str | None], None],
    ) -> None:
        """Do runs until none is waiting."""
        while not self._ended:
            try:
                run = waiting.get_nowait()
            except queue.Empty:
                break
            begin(run)
            answer = self._ask(run)
            if not self._ended:
                note(run, None if answer == "done" else answer.removeprefix("failed ") or self._last_words())
        self.end()

    def end(self) -> None:
        """End the process."""
        self._ended = True
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    def _ask(self, run: TrialRun) -> str:
        """The process' answer; empty if it died, and then the next run gets a new process."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None  # noqa: PT018 (pipes were asked for)
        try:
            process.stdin.write(json.dumps(run.to_json()) + "\n")
            process.stdin.flush()
            answer = process.stdout.readline().strip()
        except OSError:
            answer = ""
        if not answer and not self._ended:
            self._process = None
            _end(process)
        return answer

    def _last_words(self) -> str:
        lines = (self._out / OUTPUT).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return f"its process died; {self._out / OUTPUT} ends with: {lines[-1] if lines else 'nothing'}"

    def _start(self) -> "subprocess.Popen[str]":
        variables = dict(os.environ, OMP_NUM_THREADS=str(self._threads))
        if self._gpu is not None:
            visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
            variables["CUDA_VISIBLE_DEVICES"] = visible[self._gpu] if any(visible) else str(self._gpu)
        with (self._out / OUTPUT).open("ab") as output:
            return subprocess.Popen(  # noqa: S603 (our own program)
                [sys.executable, "-m", "trainer.compare.run", str(self._out)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                env=variables,
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which ends the workers
            )


def _end(process: "subprocess.Popen[str]") -> None:
    """Kill the process and close its pipes."""
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(OSError):  # a line that it never read
                pipe.close()
