"""The benchmarks' page is a function of the recorded rows and output, and loses nothing that was measured."""

import argparse
import ast
import importlib.util
import json
import signal
import subprocess
from collections import Counter
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
import torch
import zstandard
from dumps import many_rows

from benchmarks import __main__ as bench
from benchmarks import dedup, fetch, intake, peers, products
from benchmarks.page import PROSE_WIDTH, BenchmarkRecord, HostMachine, Section, number, render
from benchmarks.scores import Absent, Growth, Limit, Race, append_rows, read_rows
from trainer.config import ModelConfig
from trainer.evals.scoring.scorer import Scorer
from trainer.model import GPT

MACHINE = HostMachine("a processor (x86_64)", 2, 24, "3.11.7", "abc1234")
RACE = Race("dedup", "Parquet to keep list", "peer 1.0", "CPU s", (1.0, 2.0, 1.0), (4.0, 6.0, 9.0), 300.0, 900.0)
LIMIT = Limit("dedup", "reading alone", "CPU s", (1.0, 2.0), (0.5, 0.5))
GROWTH = Growth("dedup", "documents", (1e3, 2e3, 4e3), (3.0, 5.0, 9.0), (300.0, 301.0, 303.0), 1.0)
ABSENT = Absent("dedup", "another", "another: pip found none")
ORDER = ("Intake", "De-duplication", "Tokens")
STEPS = ("decompress", "split", "parse", "whole intake", "json", "SQLite", "fold")
"""What the intake's benchmark measures in each round, in this order."""


def section(title: str, *rows: Race | Limit | Growth | Absent, failure: str = "") -> Section:
    return Section(title, f"python benchmarks/{title}.py", "2026-11-27", 61.0, 0.5, MACHINE, f"printed by {title}", failure, rows)


def test_each_row_of_the_intake_has_the_times_of_its_own_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in many_rows(40, seed=1))
    (tmp_path / "dump.zst").write_bytes(zstandard.ZstdCompressor().compress(lines.encode()))
    seconds = count(1)
    monkeypatch.setattr(intake, "cpu_seconds", lambda _work: float(next(seconds)))
    monkeypatch.setattr(intake, "run_alone", lambda *_: (0.0, 1.0))
    by_line, by_chunk, limit = intake.steps(str(tmp_path / "dump.zst"), str(tmp_path))
    expected = {name: tuple((7 * turn + place) / 40e-6 for turn in range(3)) for place, name in enumerate(STEPS, start=1)}
    assert isinstance(by_line, Race)
    assert isinstance(by_chunk, Race)
    assert isinstance(limit, Limit)
    assert [by_line.ours, by_chunk.ours, limit.ours] == [expected["whole intake"]] * 3
    assert (by_line.theirs, by_chunk.theirs, limit.least) == (expected["json"], expected["SQLite"], expected["decompress"])


@pytest.mark.parametrize("path", sorted(Path(bench.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_a_benchmark_imports_names_that_exist(path: Path) -> None:
    """A benchmark that nobody runs must not break when the code that it measures changes."""
    imports = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in imports if (node.module or "").split(".")[0] in ("pipeline", "tokenizer", "trainer")]
    missing = [
        f"{node.module}.{alias.name}"
        for node in ours
        for alias in node.names
        if not hasattr(importlib.import_module(str(node.module)), alias.name)
        and importlib.util.find_spec(f"{node.module}.{alias.name}") is None
    ]
    assert not missing


def test_ratios_are_of_paired_rounds() -> None:
    assert RACE.ratios == (3.0, 4.0, 9.0)
    assert LIMIT.shares == (0.25, 0.375, 0.5)
    with pytest.raises(ValueError, match="shorter"):
        _ = replace(RACE, theirs=(4.0,)).ratios


def test_growth_is_fitted_to_the_cost_beyond_start_up() -> None:
    assert GROWTH.exponent == pytest.approx(1.0)
    assert replace(GROWTH, start_seconds=0.0).exponent == pytest.approx(0.79, abs=0.01)
    assert replace(GROWTH, start_seconds=3.0).fitted == "none: hidden by start-up"
    assert Growth("x", "", (1, 2, 4, 8), (1, 4, 16, 64), (1,) * 4).exponent == pytest.approx(2.0)


def test_rows_survive_a_file_round_trip(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert read_rows(file) == []
    append_rows(file, [RACE, LIMIT])
    append_rows(None, [RACE])
    append_rows(file, [GROWTH, ABSENT])
    assert read_rows(file) == [RACE, LIMIT, GROWTH, ABSENT]


def test_an_incomplete_last_line_is_ignored(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    append_rows(file, [RACE, LIMIT])
    file.write_text(file.read_text()[:-9])
    assert read_rows(file) == [RACE]


def test_a_peer_that_could_not_be_measured_is_named_with_its_reason_and_the_others_are_kept() -> None:
    record = BenchmarkRecord((section("De-duplication", RACE, ABSENT),))
    page = render(BenchmarkRecord.from_json(record.to_json()), ORDER)
    assert "- peers not measured: another in dedup, because another: pip found none" in page
    assert "| peer 1.0 | **3 - 4 - 9** |" in page
    assert "- peers not measured: none" in render(BenchmarkRecord((section("Intake", RACE),)), ORDER)


def test_a_python_that_cannot_create_an_environment_raises_a_peer_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python3.99"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setattr(peers, "HOME", tmp_path / "peers")
    monkeypatch.setattr(peers, "later_python", lambda _name, _least: str(broken))
    with pytest.raises(peers.PeerError, match=r"tool: python3\.99 cannot create a virtual environment"):
        peers.python("tool", "tool==1", least=(3, 99))
    assert peers.installed("tool", "tool==1") is None


def test_paths_of_this_machine_are_removed_from_output() -> None:
    assert bench.without_paths(f"{bench.HERE.parent}/a and {Path.home()}/b") == "./a and ~/b"


def test_the_page_depends_on_the_record_alone() -> None:
    record = BenchmarkRecord((section("De-duplication", RACE, LIMIT, GROWTH),))
    page = render(record, ORDER)
    assert page == render(BenchmarkRecord.from_json(record.to_json()), ORDER)
    assert "| dedup | Parquet to keep list | peer 1.0 | **3 - 4 - 9** | CPU s | 1 | 6 | 300 | 900 | 3 |" in page
    assert "| dedup | reading alone | CPU s | 1.5 | 0.5 | 0.25 - 0.375 - 0.5 |" in page
    assert "| dedup | 1,000, 2,000, 4,000 documents | 3, 5, 9 (start-up 1 in each) | 1.00 | 300, 301, 303 |" in page
    assert "printed by De-duplication" in page
    assert "benchmarks not measured: Intake, Tokens" in page


def test_generated_prose_is_wrapped_and_commands_are_whole() -> None:
    page = render(
        BenchmarkRecord((replace(section("De-duplication", RACE), command="python " + "x " * 80, failure="word " * 40),)), ORDER
    )
    fenced = page.split("```")[1::2]
    assert any("$ python " + "x " * 80 in block for block in fenced)
    for block in fenced:
        page = page.replace(block, "")
    assert max(len(line) for line in page.splitlines() if not line.startswith("|")) <= PROSE_WIDTH


def test_a_new_run_replaces_only_its_own_section() -> None:
    record = BenchmarkRecord((section("Intake", LIMIT), section("Tokens", GROWTH))).with_section(
        section("De-duplication", RACE), ORDER
    )
    assert [one.title for one in record.sections] == list(ORDER)
    again = record.with_section(section("Intake", failure="exit code 1: no dump"), ORDER)
    assert [one.rows for one in again.sections] == [(), (RACE,), (GROWTH,)]
    page = render(again, ORDER)
    assert "benchmarks that failed: Intake (exit code 1: no dump)" in page
    assert "**3 - 4 - 9**" in page


def test_figures_have_three_significant_digits() -> None:
    assert [number(value) for value in (0.012345, 1.0, 12.345, 99.96, 123.4, 12345.6)] == [
        *("0.0123", "1", "12.3", "100"),
        *("123", "12,346"),
    ]


def test_a_benchmark_that_fails_or_hangs_is_named_and_keeps_its_rows(tmp_path: Path) -> None:
    appends_row = (
        f"import sys; sys.path.insert(0, {str(bench.HERE.parent)!r}); from benchmarks import scores; from pathlib import Path; "
    )
    appends_row += f"scores.append_rows(Path(sys.argv[-1]), [scores.{RACE!r}]); print('measured', flush=True); "
    failed = bench.run_benchmark("Fails", ["-c", appends_row + "raise SystemExit('no peer')"], tmp_path / "failed", 60.0)
    assert (failed.failure, failed.printed, failed.rows) == ("exit code 1: no peer", "measured\n", (RACE,))
    child = "import subprocess; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    hung = bench.run_benchmark("Hangs", ["-c", f"import sys; {child}"], tmp_path / "hung", 2.0)
    assert hung.failure == "not finished after 2 s"
    assert hung.seconds < 60  # guards against waiting for the 600 s of its child


def test_an_interrupt_kills_the_running_benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[str]] = []

    class Interrupted(subprocess.Popen[str]):
        def communicate(self, input: str | None = None, timeout: float | None = None) -> tuple[str, str]:
            if self not in started:
                started.append(self)
                raise KeyboardInterrupt
            return super().communicate(input, timeout)

    monkeypatch.setattr(bench.subprocess, "Popen", Interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.run_benchmark("Long", ["-c", "import time; time.sleep(600)"], tmp_path / "rows", 60.0)
    assert started[0].returncode == -signal.SIGKILL


def test_the_tokens_that_an_evaluation_reads_and_scores_are_counted() -> None:
    gpt = GPT(ModelConfig(layers=1, heads=1, width=8, context=8, vocabulary=50))
    gpt.init_weights(1)
    network = products.CountingNetwork(gpt)
    endings = list(Scorer(network).score_endings([([1, 2, 3, 4], [[5], [6, 7]])]))
    assert [len(score.nats) for score in endings[0]] == [1, 2]
    assert (network.read_tokens, network.scored_tokens) == (3 + 2 * 2, 1 + 2)


def test_the_limit_multiplies_layers_by_tokens_read_and_the_output_layer_by_tokens_scored(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    multiplied: Counter[tuple[int, int]] = Counter()

    class CountingProduct(products._Product):
        def multiply(self, rows: int, *, backward: bool) -> None:
            super().multiply(rows, backward=backward)
            multiplied[tuple(self.weight.shape)] += rows

    monkeypatch.setattr(products, "_Product", CountingProduct)
    shape = ModelConfig(layers=2, heads=1, width=8, context=8, vocabulary=50)
    assert products.seconds(shape, 600, 300, torch.float32, backward=False) > 0
    warm = products.READING_ROWS
    layer, last = 2 * 600 + warm, 300 + warm
    assert multiplied == {(8, 24): layer, (8, 8): layer, (8, 32): layer, (32, 8): layer, (8, 64): last}


def test_every_command_of_the_page_can_be_run_as_printed() -> None:
    every = dict(bench.commands(Path("../shared/data"), ["/usr/lib"], Path("../nanoGPT"), bench.SCRATCH))
    for title, arguments in every.items():
        program = Path(*arguments[1].split(".")).with_suffix(".py") if arguments[0] == "-m" else Path(arguments[0])
        assert (bench.HERE.parent / program).is_file(), title
        assert str(bench.HERE.parent) not in " ".join(arguments)


def test_a_failing_peer_does_not_stop_the_rounds_of_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def measure(name: str, _folder: str) -> dict[str, float]:
        calls.append(name)
        if name == "gaoya":
            raise peers.PeerError("gaoya: ended")
        return {"cpu": 1.0 if name == "ours" else 3.0, "whole": 4.0, "wall": 1.0, "documents": 9, "peak": 50.0, "removed": 1}

    monkeypatch.setattr(dedup, "measure", measure)
    record, rows = str(tmp_path / "record"), tmp_path / "rows.jsonl"
    arguments = argparse.Namespace(rounds=2, contenders=["ours", "gaoya", "rensa"], set="", record=record, scores=rows)
    dedup.run(arguments)
    assert calls == ["ours", "gaoya", "rensa", "ours", "rensa"]
    race, absent = read_rows(rows)
    assert isinstance(race, Race)
    assert (race.peer, race.ratios) == ("rensa 0.5.0", (3.0, 3.0, 3.0))
    assert absent == Absent("dedup", "gaoya", "gaoya: ended")


def test_a_failing_downloader_has_no_rate_and_memory_is_the_maximum_of_the_rounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = iter([{"cpu": 2.0, "peak_mb": 41.0}, {"cpu": 4.0, "peak_mb": 40.0}])

    def run_alone(name: str, _python: str, _folder: Path) -> dict[str, float]:
        if name == "scrapy":
            raise peers.PeerError("scrapy: ended")
        return next(figures)

    monkeypatch.setattr(fetch, "run_alone", run_alone)
    rates, peaks, absent = fetch.run_rounds({"webtext client": "", "scrapy": ""}, 8, 2, tmp_path)
    assert rates == {"webtext client": [4.0, 2.0]}
    assert peaks["webtext client"] == 41.0
    assert absent == {"scrapy": "scrapy: ended"}
