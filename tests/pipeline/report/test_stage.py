"""The stage `report`: files, resumption, errors."""

import re
from pathlib import Path
from typing import Any

import pytest
from report_runs import report_json, write_report

from pipeline.report.stage import ReportSettings
from tokenizer.errors import InputError


def test_equal_corpora_give_equal_bytes(report: Path, chosen: Any, run_folder: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    write_report(chosen.folder, again, run=(str(run_folder),))
    for name in ("report.html", "report.json", "loss.svg"):
        assert (again / name).read_bytes() == (report / name).read_bytes()


def test_report_is_rebuilt_when_the_training_log_grows(chosen: Any, run_folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "tiny"
    run.mkdir()
    log = run / "log.jsonl"
    log.write_bytes((run_folder / "log.jsonl").read_bytes().rpartition(b"\n")[0] + b"\n")
    write_report(chosen.folder, tmp_path / "out", run=(str(run),))
    first = (tmp_path / "out" / "report.html").stat().st_mtime_ns
    write_report(chosen.folder, tmp_path / "out", run=(str(run),))
    assert (tmp_path / "out" / "report.html").stat().st_mtime_ns == first
    with log.open("a") as file:
        file.write('{"step": 40, "val_loss": 1.5}\n')
    write_report(chosen.folder, tmp_path / "out", run=(str(run),))
    curve = next(c for c in report_json(tmp_path / "out")["runs"][0]["curves"] if c["name"] == "val_loss")
    assert (curve["steps"][-1], curve["values"][-1]) == (40, 1.5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"run": ("{tmp}",)}, "no log.jsonl in this folder"),
        ({"webtext_domains": "{tmp}/list.txt"}, "list.txt:2: 'google'"),
        ({"webtext_domains": "{tmp}/none.txt"}, "none.txt: no such file"),
    ],
)
def test_bad_input_is_an_error_that_names_it(chosen: Any, tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (tmp_path / "list.txt").write_text("12 github\ngoogle\n")
    arguments = {
        k: v.format(tmp=tmp_path) if isinstance(v, str) else tuple(i.format(tmp=tmp_path) for i in v) for k, v in settings.items()
    }
    with pytest.raises(InputError, match=re.escape(message)):
        write_report(chosen.folder, tmp_path / "out", **arguments)
    assert not (tmp_path / "out" / "report.html").exists()


def test_corpus_without_a_finished_stage_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no finished stage in any of"):
        write_report(tmp_path, tmp_path / "out")


def test_port_out_of_range_is_an_error() -> None:
    with pytest.raises(ValueError, match="--watch 70000: a port is"):
        ReportSettings(watch=70_000)
