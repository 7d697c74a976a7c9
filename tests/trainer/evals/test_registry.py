import sys
from types import ModuleType

import pytest

from trainer.evals import command
from trainer.evals.registry import MODULES, TASKS, load, where
from trainer.subcommands import TASK_NAMES, TOKEN_TASKS


def test_where_lists_the_files_of_every_task() -> None:
    text = where()
    for task in TASKS.values():
        assert task.name in text
        for source in task.files:
            assert source.address in text
    assert "4aa8d02cd17c719165fc8a7887fddd641f43fcafa4b1c806ca8abc31fabdb226" in text


@pytest.mark.parametrize(
    ("modules", "line"),
    [
        (MODULES[1:], f"once: {MODULES[0]}"),
        ((*MODULES, "singing"), "once: singing"),
        ((*MODULES, MODULES[0]), "once: a module is listed twice"),
    ],
)
def test_each_module_of_the_folder_must_be_registered_once(modules: tuple[str, ...], line: str) -> None:
    with pytest.raises(RuntimeError, match=line):
        load(modules)


def test_two_tasks_with_one_name_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    other = ModuleType("lambada")
    other.TASKS = (TASKS["winograd"],)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "trainer.evals.tasks.lambada", other)
    with pytest.raises(RuntimeError, match="distinct names"):
        load(MODULES)


def test_the_help_lists_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in TASKS)


def test_the_help_names_every_task() -> None:
    assert tuple(TASKS) == TASK_NAMES
    assert [task.name for task in TASKS.values() if task.reads_tokens] == list(TOKEN_TASKS)
