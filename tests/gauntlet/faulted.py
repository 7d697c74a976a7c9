"""The whole pipeline and a training run under external faults, compared with an undisturbed run: `faulted.py FOLDER FAULT TIMES`.

FAULT is one of: `kill`, kill -9 of the whole process group at random moments, resuming each time; `disk`, a tmpfs that is full at
TIMES points (root only); `file`, RLIMIT_FSIZE instead; `io`, each read, write, open, fsync and rename fails once in a hundred
(libfiu: Debian's fiu-utils); `none`, an undisturbed run, for a clock that jumps. Every run is a fork of this process, which has
imported everything and started nothing. Prints JSON.
"""

import ctypes
import json
import os
import random
import resource
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
from gauntlet.whole import train_words
from small_web import Month, write_month

from pipeline.cli import main as pipeline_command
from pipeline.dedup import stage as dedup  # noqa: F401 (imported once, before the forks)
from pipeline.documents import stage as documents  # noqa: F401 (imported once, before the forks)
from pipeline.links import stage as links  # noqa: F401 (imported once, before the forks)
from pipeline.pages import stage as pages  # noqa: F401 (imported once, before the forks)
from pipeline.tokens import stage as tokens  # noqa: F401 (imported once, before the forks)
from pipeline.vocabulary import stage as vocabulary  # noqa: F401 (imported once, before the forks)
from trainer import cli, train  # noqa: F401

Done = Callable[[], None]
ATTEMPT_SECONDS = 200
POLL_SECONDS = 0.01
DISK_FAILED = 74
NEAR = 1e-4
NOT_FINAL = (".aside", ".progress", ".disk", ".error", "run.json")
FIU = "/usr/lib/fiu/fiu_posix_preload.so"
ONE_THREAD = {"JE_ARROW_MALLOC_CONF": "background_thread:false", "OPENBLAS_NUM_THREADS": "1"}
"""Under libfiu, a library that starts a thread while it is loaded may deadlock: each waits for the other's lock."""
RW = ("read", "readv", "pread", "preadv", "write", "writev", "pwrite", "pwritev")
FIU_POINTS = (*(f"rw/{name}" for name in RW), "oc/open", "sync/fsync", "sync/fdatasync", "dir/rename")


class Job:
    """All stages and a training run, in one folder."""

    def __init__(self, folder: Path, month: Month) -> None:
        self.folder, self.month = folder, month
        self.stderr_path = folder.with_name(f"{folder.name}.stderr")

    def work(self) -> int:
        """Run them as the command lines do. Returns the exit code of the first that failed, or 0."""
        stages = {
            "links": ["--submissions", self.month.dump],
            "pages": ["--fetch-from", self.month.warc],
            "documents": [],
            "dedup": [],
            "vocabulary": ["--vocab-size", "300"],
            "tokens": ["--validation-share", "0.1"],
        }
        for name, flags in stages.items():
            if code := pipeline_command.run([name, "--corpus", str(self.folder / "corpus"), *flags]):
                return code
        return cli.main([*train_words(self.folder, "run"), "--keep=2"])

    def start(self, fault: Done = lambda: None) -> int:
        """Start a fork in its own process group. Returns its id."""
        child = os.fork()
        if child:
            return child
        os.setpgid(0, 0)
        errors = os.open(self.stderr_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        os.dup2(errors, 2)
        code = 1
        try:
            fault()
            code = self.work()
        except SystemExit as error:
            code = int(error.code or 0)
        except BaseException as error:  # noqa: BLE001 (a fork must not return)
            os.write(2, f"raised {error!r}\n".encode())
        finally:
            os._exit(code)

    def run(self, fault: Done = lambda: None, seconds: float = ATTEMPT_SECONDS) -> int | None:
        """Exit code, or minus the signal that ended it; None if it was still running after `seconds` and was killed.

        Time is counted in polls, not read from the clock: while both processes are stopped, no time passes.
        """
        child = self.start(fault)
        for _ in range(int(seconds / POLL_SECONDS) + 1):
            time.sleep(POLL_SECONDS)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                break
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if ended:
            return os.waitstatus_to_exitcode(status)
        os.waitpid(child, 0)
        return None

    def bytes_of(self) -> dict[str, bytes]:
        """The bytes of every published file of the corpus."""
        corpus = self.folder / "corpus"
        found = (path for path in corpus.rglob("*") if path.is_file() and not path.name.endswith(NOT_FINAL))
        return {str(path.relative_to(corpus)): path.read_bytes() for path in found if ".work" not in path.parts}

    def manifests(self) -> dict[str, int]:
        """Modification time of each finished stage's manifest."""
        return {path.parent.name: path.stat().st_mtime_ns for path in (self.folder / "corpus").glob("*/manifest.json")}

    def losses(self) -> list[tuple[int, float | None, float | None]]:
        """Step, loss and validation loss of each line of the training log, without the lines that name the device."""
        return [(line["step"], line.get("loss"), line.get("val_loss")) for line in self._lines() if "device" not in line]

    def devices(self) -> set[str]:
        """Devices in the training log. PyTorch uses plainer code where it cannot read its processor's features."""
        return {line["device"] for line in self._lines() if "device" in line}

    def _lines(self) -> list[dict[str, Any]]:
        log = self.folder / "run" / "log.jsonl"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


class Judge:
    """Compares jobs with an undisturbed run."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self.month = write_month(place / "web", 20)
        self.plain = Job(place / "undisturbed", self.month)
        self.seconds_of(self.plain)
        self.bytes, self.losses = self.plain.bytes_of(), self.plain.losses()

    def seconds_of(self, job: Job) -> float:
        """Seconds of an undisturbed run."""
        began = time.monotonic()
        if (code := job.run()) != 0:
            sys.exit(f"the undisturbed run ended with {code}: {job.stderr_path.read_text()}")
        return time.monotonic() - began

    def partial(self, job: Job) -> list[str]:
        """The files under final names whose bytes differ from the undisturbed run's."""
        return [name for name, data in job.bytes_of().items() if self.bytes.get(name) != data]

    def finished(self, job: Job) -> str:
        """How a finished run differs from the undisturbed one; empty if it does not."""
        actual = job.bytes_of()
        wrong = sorted(name for name in actual.keys() | self.bytes.keys() if actual.get(name) != self.bytes.get(name))
        if wrong:
            return f"other bytes: {wrong}"
        if job.devices() == self.plain.devices():
            return "" if job.losses() == self.losses else "other losses"
        return "" if near(job.losses(), self.losses) else "other losses by more than their last digits"


def near(some: list[tuple[int, float | None, float | None]], others: list[tuple[int, float | None, float | None]]) -> bool:
    """Whether equal steps were logged, with losses that differ by no more than another processor's rounding."""
    pairs = list(zip(some, others, strict=False))
    return len(some) == len(others) and all(
        one[0] == other[0]
        and all(a == b or (a is not None and b is not None and abs(a - b) < NEAR) for a, b in zip(one, other, strict=True))
        for one, other in pairs
    )


def kill(place: Path, judge: Judge, times: int) -> dict[str, Any]:
    """kill -9 at random moments; the next run resumes, and no finished stage runs again. The first run is slow: it compiles."""
    undisturbed = statistics.median(judge.seconds_of(Job(place / f"undisturbed-{i}", judge.month)) for i in range(3))
    draw, kills, runs, spent, wrong = random.Random(9), 0, 0, 0.0, []
    while kills < times:
        job = Job(place / f"killed-{runs}", judge.month)
        runs += 1
        began, code = time.monotonic(), None
        while code is None and kills < times:
            done = job.manifests()
            code = job.run(seconds=draw.uniform(0.05, undisturbed))
            kills += code is None
            wrong += [f"kill {kills}: {stage} ran again" for stage, at in done.items() if job.manifests().get(stage) != at]
            wrong += [f"kill {kills}: {name}" for name in judge.partial(job)]
        code = job.run() if code is None else code
        wrong += [f"run {runs} ended with {code}: {job.stderr_path.read_text()[-300:]}"] if code != 0 else []
        wrong += [f"run {runs}: {difference}" for difference in [judge.finished(job)] if difference]
        spent += time.monotonic() - began
        sys.stderr.write(f"{kills} kills, {runs} runs, {len(wrong)} wrong\n")
    lost = (spent - runs * undisturbed) / kills
    return {
        "kills": kills,
        "runs": runs,
        "undisturbed_s": round(undisturbed, 1),
        "lost_s_per_kill": round(lost, 2),
        "wrong": wrong,
    }


def full(place: Path, judge: Judge, times: int, *, mounted: bool) -> dict[str, Any]:
    """A disk that fills up at points spread over the whole job, and then has room again."""
    sizes = [path.stat().st_size for path in judge.plain.folder.rglob("*") if path.is_file()]
    points, codes, wrong = [(i + 0.5) / times for i in range(times)], Counter[str](), []
    for number, share in enumerate(points):
        disk = place / f"disk-{number}"
        disk.mkdir()
        limit = int(share * (sum(sizes) if mounted else max(sizes)))
        if mounted:
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={max(8192, limit)}", "tmpfs", str(disk)], check=True)
        job = Job(disk / "job", judge.month)
        job.stderr_path = place / f"stderr-{number}"
        try:
            code = job.run((lambda: None) if mounted else lambda low=limit: resource.setrlimit(resource.RLIMIT_FSIZE, (low, low)))
            codes[str(code)] += 1
            lines = [
                line for line in job.stderr_path.read_text().splitlines() if line.startswith(("error: ", "failed: ", "raised "))
            ]
            if code != DISK_FAILED or len(lines) != 1:
                wrong.append(f"point {share:.2f}: code {code}, {job.stderr_path.read_text()[-600:]}")
            wrong += [f"point {share:.2f}: partial {name}" for name in judge.partial(job)]
            if mounted:
                subprocess.run(["mount", "-o", "remount,size=1g", str(disk)], check=True)
            if (code := job.run()) != 0:
                wrong.append(f"point {share:.2f}: with room, code {code}: {job.stderr_path.read_text()[-300:]}")
            elif difference := judge.finished(job):
                wrong.append(f"point {share:.2f}: {difference}")
        finally:
            if mounted:
                subprocess.run(["umount", str(disk)], check=True)
    return {"points": times, "codes": dict(codes), "wrong": wrong}


def failing_io(seed: int) -> Done:
    """A fault for `Job.run`: one call in a hundred fails in that process."""

    def enable() -> None:
        fiu = ctypes.CDLL("libfiu.so.0")
        fiu.fiu_enable_random.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_float]
        fiu.fiu_set_prng_seed.argtypes = [ctypes.c_uint]
        fiu.fiu_set_prng_seed(seed)
        ctypes.CDLL(None).srandom(seed)  # draws the errno
        for point in FIU_POINTS:
            fiu.fiu_enable_random(f"posix/io/{point}".encode(), 1, None, 0, 0.01)

    return enable


def io(place: Path, judge: Judge, times: int) -> dict[str, Any]:
    """Equal output, or a failure that says so. Each run resumes the failed one before it."""
    ends, wrong, job, began, elsewhere = Counter[str](), [], Job(place / "io-0", judge.month), 0, 0
    for number in range(times):
        code = job.run(failing_io(number))
        ends["still at work" if code is None else str(code)] += 1
        wrong += [f"run {number} (code {code}): {name} differs" for name in judge.partial(job)]
        if code is None or code < 0:
            wrong.append(f"run {number}: ended with {code}: {job.stderr_path.read_text()[-300:]}")
        if code == 0:
            wrong += [f"run {number}: {difference}" for difference in [judge.finished(job)] if difference]
            elsewhere += job.devices() != judge.plain.devices()
            job, began = Job(place / f"io-{number + 1}", judge.month), began + 1
    if (code := job.run()) != 0 or (difference := judge.finished(job)):
        wrong.append(f"last run, without faults: code {code}, {difference if code == 0 else job.stderr_path.read_text()[-300:]}")
    return {"runs": times, "came_to_the_end": began, "told_of_another_device": elsewhere, "ends": dict(ends), "wrong": wrong}


def main() -> None:
    """Run one fault TIMES times."""
    place, fault, times = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if fault == "io" and not os.environ.pop("LD_PRELOAD", ""):  # removed: programs that the forks start run without it
        os.execve(sys.executable, sys.orig_argv, {**os.environ, **ONE_THREAD, "LD_PRELOAD": FIU})
    numba.njit(lambda: 0)()  # its first call reads a file of every installed package
    judge = Judge(place)
    if fault == "none":
        result = {"sha256": {name: sha256(data).hexdigest() for name, data in judge.bytes.items()}, "losses": judge.losses}
    elif fault in ("disk", "file"):
        result = full(place, judge, times, mounted=fault == "disk")
    else:
        result = {"kill": kill, "io": io}[fault](place, judge, times)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
