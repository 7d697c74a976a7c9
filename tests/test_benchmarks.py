"""The page of all benchmarks: a function of what they handed over, and never less than what was measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks.page import Machine, Record, Section, number, render
from benchmarks.scores import Growth, Limit, Race, collected, hand_over

MACHINE = Machine("a processor (x86_64)", 2, 24, "3.11.7", "abc1234")
RACE = Race("dedup", "Parquet to keep list", "peer 1.0", "CPU s", (1.0, 2.0, 1.0), (4.0, 6.0, 9.0), 300.0, 900.0)
LIMIT = Limit("dedup", "reading alone", "CPU s", (1.0, 2.0), (0.5, 0.5))
GROWTH = Growth("dedup", "documents", (1e3, 2e3, 4e3), (3.0, 5.0, 9.0), (300.0, 301.0, 303.0), 1.0)
ORDER = ("Intake", "De-duplication", "Tokens")


def section(title: str, *rows: Race | Limit | Growth, failure: str = "") -> Section:
    return Section(title, f"python benchmarks/{title}.py", "2026-11-27", 61.0, 0.5, MACHINE, f"printed by {title}", failure, rows)


def test_ratios_are_of_paired_rounds() -> None:
    assert RACE.ratios == (3.0, 4.0, 9.0)
    assert LIMIT.shares == (0.25, 0.375, 0.5)
    with pytest.raises(ValueError, match="shorter"):
        _ = replace(RACE, theirs=(4.0,)).ratios


def test_growth_is_fitted_beyond_the_start() -> None:
    assert GROWTH.exponent == pytest.approx(1.0)
    assert replace(GROWTH, start_seconds=0.0).exponent < 0.8
    assert Growth("x", "", (1, 2, 4, 8), (1, 4, 16, 64), (1,) * 4).exponent == pytest.approx(2.0)


def test_rows_come_back_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "rows.jsonl"
    assert collected(file) == []
    hand_over(file, [RACE, LIMIT])
    hand_over(None, [RACE])
    hand_over(file, [GROWTH])
    assert collected(file) == [RACE, LIMIT, GROWTH]


def test_the_page_is_made_of_the_record_alone() -> None:
    record = Record((section("De-duplication", RACE, LIMIT, GROWTH),))
    page = render(record, ORDER)
    assert page == render(Record.of_json(record.to_json()), ORDER)
    assert "| dedup | Parquet to keep list | peer 1.0 | **3 - 4 - 9** | CPU s | 1 | 6 | 300 | 900 | 3 |" in page
    assert "| dedup | reading alone | CPU s | 1.5 | 0.5 | 0.25 - 0.375 - 0.5 |" in page
    assert "| dedup | 1,000, 2,000, 4,000 documents | 3, 5, 9 (start 1 of each) | 1.00 | 300, 301, 303 |" in page
    assert "printed by De-duplication" in page
    assert "not measured: Intake, Tokens" in page


def test_what_is_measured_again_replaces_its_own_figures_only() -> None:
    record = Record((section("Intake", LIMIT), section("Tokens", GROWTH))).with_section(section("De-duplication", RACE), ORDER)
    assert [one.title for one in record.sections] == list(ORDER)
    again = record.with_section(section("Intake", failure="exit code 1: no dump"), ORDER)
    assert [one.rows for one in again.sections] == [(), (RACE,), (GROWTH,)]
    page = render(again, ORDER)
    assert "ended badly: Intake (exit code 1: no dump)" in page
    assert "**3 - 4 - 9**" in page


def test_a_figure_shows_three_digits() -> None:
    assert [number(value) for value in (0.012345, 1.0, 12.345, 99.96, 123.4, 12345.6)] == [
        *("0.0123", "1", "12.3", "100"),
        *("123", "12,346"),
    ]


def test_a_benchmark_that_fails_or_hangs_is_named_and_what_it_measured_is_kept(tmp_path: Path) -> None:
    hands_over = (
        f"import sys; sys.path.insert(0, {str(bench.HERE.parent)!r}); from benchmarks import scores; from pathlib import Path; "
    )
    hands_over += f"scores.hand_over(Path(sys.argv[-1]), [scores.{RACE!r}]); print('measured', flush=True); "
    failed = bench.section("Fails", ["-c", hands_over + "raise SystemExit('no peer')"], tmp_path / "failed", 60.0)
    assert (failed.failure, failed.printed, failed.rows) == ("exit code 1: no peer", "measured\n", (RACE,))
    child = "import subprocess; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])"
    hung = bench.section("Hangs", ["-c", f"import sys; {child}"], tmp_path / "hung", 2.0)
    assert hung.failure == "not done in 2 s"
    assert hung.seconds < 60


def test_every_command_of_the_page_can_be_typed_again() -> None:
    every = dict(bench.commands(Path("../shared/data"), ["/usr/lib"], Path("../nanoGPT"), bench.SCRATCH))
    for title, arguments in every.items():
        program = Path(*arguments[1].split(".")).with_suffix(".py") if arguments[0] == "-m" else Path(arguments[0])
        assert (bench.HERE.parent / program).is_file(), title
        assert str(bench.HERE.parent) not in " ".join(arguments)
