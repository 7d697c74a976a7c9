"""A training run's folder, and a report on the small corpus and this run."""

import json
from pathlib import Path
from typing import Any

import pytest
from report_runs import write_report


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 logged steps, with validation every 10; the last line is cut short."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    folder.mkdir()
    lines: list[dict[str, Any]] = [{"config": {"model": {"layers": 2}}}]
    for step in range(1, 31):
        lines.append({"step": step, "tokens": 512 * step, "loss": 9.0 - step / 10, "lr": 1e-3, "tokens_per_second": 900.0})
        if step % 10 == 0:
            lines.append({"step": step, "val_loss": 9.1 - step / 10, "bits_per_byte": 3.0})
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 31, "los')
    return folder


@pytest.fixture(scope="session")
def report(chosen: Any, run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "out"
    write_report(chosen.folder, folder, run=(str(run_folder),))
    return folder
