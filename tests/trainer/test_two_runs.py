"""Two trainers never work in one folder."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tokenizer.folder_lock import LOCK, folder_lock
from trainer.cli import main


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_trainer_is_refused_and_touches_nothing(
    small_run: Callable[..., list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = small_run("run")
    folder = Path(command[command.index("--out") + 1])
    with folder_lock(folder):
        before = contents(folder)
        assert main(command) == 2
        assert contents(folder) == before
    assert "works in this folder; wait for its end" in capsys.readouterr().err
    assert main(command) == 0
    assert not (folder / LOCK).exists()
    assert main(command) == 0
