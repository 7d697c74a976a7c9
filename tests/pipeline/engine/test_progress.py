"""Progress: the pace that may be told, the bar's line, and what a terminal and a file get."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engine.pace import STEADY_SECONDS, Pace
from pipeline.engine.progress import Standing, duration_text, rate_text

ROOT = Path(__file__).parents[3]
COUNTING = """
import logging, sys, threading
from pipeline.engine import progress
from tokenizer.terminal import guarded_streams, log_lines, set_output
progress.DRAW_EVERY_SECONDS = progress.LOOK_EVERY_SECONDS = progress.LOG_EVERY_SECONDS = 0.01
set_output(quiet="quiet" in sys.argv, json_lines="json" in sys.argv)
with guarded_streams():
    log_lines(logging.INFO, dated=True)
    log = logging.getLogger("pipeline.test")
    looked = threading.Event()
    with progress.numbered_stage(3, 7), progress.counted("documents", 40, "pages") as advance:
        advance(10)
        looked.wait(0.2)
        log.warning("in between")
        looked.wait(0.1)
    log.warning("done")
"""


def pace_of(counts: list[int], step: float = 0.5) -> Pace:
    pace = Pace()
    for number, count in enumerate(counts):
        pace.add(number * step, count)
    return pace


def test_a_steady_pace_tells_the_time_left() -> None:
    pace = pace_of([10 * n for n in range(41)])
    assert pace.rate == pytest.approx(20)
    assert pace.seconds_left(1_400) == pytest.approx(50)


@pytest.mark.parametrize(
    "counts",
    [
        [],
        [0],
        [0] * 100,
        [10 * n for n in range(int(STEADY_SECONDS / 0.5))],
        [0] * 30 + [10 * n for n in range(11)],
        [10 * n for n in range(30)] + [300] * 30,
        [500] * 40 + [1_000],
        [n * n for n in range(60)],
    ],
    ids=["nothing", "start", "standstill", "first-seconds", "just-begun", "stalled", "one-burst", "speeding-up"],
)
def test_a_pace_that_is_not_steady_tells_none(counts: list[int]) -> None:
    assert pace_of(counts).seconds_left(10_000) is None


def test_a_finished_work_has_no_time_left() -> None:
    assert pace_of([10 * n for n in range(41)]).seconds_left(400) is None


def test_the_rate_is_that_of_the_last_minute() -> None:
    slow, fast = list(range(200)), [200 + 100 * n for n in range(140)]
    assert pace_of(slow + fast).rate == pytest.approx(200)


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("share", [0, 1, 50, 99, 100])
def test_a_bar_fits_the_terminal(columns: int, share: int) -> None:
    bar = Standing("pages 2/7", share * 40, 4_000, "links", 61.0, 46.0).bar(columns)
    assert len(bar) < columns
    if columns >= 80:
        assert f"{share} %" in bar
        assert bar.endswith(f"{share * 40:,} of 4,000 links, 61/s, 46 s left")
        assert bar.count("━") == int((bar.count("━") + bar.count("╌")) * share / 100)


def test_texts_of_rates_and_durations() -> None:
    assert [rate_text(rate) for rate in (0, 0.42, 9.96, 61.2, 1200)] == ["0/s", "0.4/s", "10.0/s", "61/s", "1,200/s"]
    assert [duration_text(seconds) for seconds in (14, 720, 12_240)] == ["14 s", "12 min", "3.4 h"]


def output_of(*flags: str, terminal: bool) -> str:
    """What the program of COUNTING writes to standard error, a terminal or a pipe."""
    command = [sys.executable, "-c", COUNTING, *flags]
    if not terminal:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    reader, writer = pty.openpty()
    with subprocess.Popen(command, cwd=ROOT, stderr=writer, env={**os.environ, "PYTHONIOENCODING": "utf-8"}):
        os.close(writer)
        read = b""
        try:
            while chunk := os.read(reader, 4096):
                read += chunk
        except OSError:  # Linux ends a pseudo-terminal so
            pass
    os.close(reader)
    return read.decode()


def test_a_terminal_gets_a_bar_that_leaves_no_trace() -> None:
    shown = output_of(terminal=True)
    assert "documents 3/7" in shown
    assert "━" in shown
    assert "10 of 40 pages" in shown
    lines = [line.rpartition("\x1b[K")[2].strip() for line in shown.split("\n")]
    assert [line.partition("Z ")[2] for line in lines if line] == ["in between", "done"]


def test_a_file_gets_dated_lines() -> None:
    lines = output_of(terminal=False).splitlines()
    assert all(line[:2] == "20" and line[19:21] == "Z " for line in lines)
    assert any(line[21:].startswith("documents 3/7: 10 of 40 pages, ") for line in lines)
    assert "\x1b" not in "".join(lines)
    assert lines[-1][21:] == "done"


@pytest.mark.parametrize("terminal", [True, False])
def test_a_log_of_json_has_the_figures(terminal: bool) -> None:
    objects = [json.loads(line) for line in output_of("json", terminal=terminal).splitlines()]
    figures = [entry["progress"] for entry in objects if "progress" in entry]
    last = figures[-1]
    assert (last["name"], last["done"], last["total"], last["unit"]) == ("documents 3/7", 10, 40, "pages")
    assert objects[-1]["message"] == "done"
    assert {"time", "level", "logger", "message"} <= objects[-1].keys()


@pytest.mark.parametrize("terminal", [True, False])
def test_quiet_shows_no_progress(terminal: bool) -> None:
    assert [line.partition("Z ")[2] for line in output_of("quiet", terminal=terminal).splitlines()] == ["in between", "done"]
