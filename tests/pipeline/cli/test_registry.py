"""The registry holds every stage and tool, under the name of its folder or module."""

import argparse
import ast
from pathlib import Path

import pytest

from pipeline.cli.registry import RUN, STAGES, TOOLS
from pipeline.corpus.folder import STAGE_NAMES
from pipeline.engine.settings import add_argument_groups

PACKAGE = Path(__file__).parents[3] / "pipeline"
DAGS = PACKAGE.parent / "dags"


def test_every_folder_with_a_stage_is_registered() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/stage.py")} - {"engine"} == set(STAGES)


def test_every_module_with_a_tool_is_registered() -> None:
    modules = [path for folder in ("corpus", "report") for path in (PACKAGE / folder).glob("*.py")]
    assert {path.stem for path in modules if assigns(path, "TOOL")} == set(TOOLS)


def assigns(path: Path, name: str) -> bool:
    targets = [node.targets for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign)]
    return any(isinstance(target, ast.Name) and target.id == name for group in targets for target in group)


@pytest.mark.parametrize("name", STAGES)
def test_a_stage_bears_its_command_word_and_reads_earlier_stages(name: str) -> None:
    stage = STAGES[name]
    assert stage.name == name
    assert set(stage.inputs) <= set(STAGE_NAMES[: STAGE_NAMES.index(name)])


@pytest.mark.parametrize("name", TOOLS)
def test_a_tool_bears_its_command_word(name: str) -> None:
    assert TOOLS[name].name == name


def test_command_words_are_unique_and_unknown_ones_raise() -> None:
    assert not STAGES.keys() & TOOLS.keys()
    with pytest.raises(KeyError):
        STAGES["no such stage"]


def test_run_can_share_flags_between_its_stages() -> None:
    add_argument_groups(argparse.ArgumentParser(), {name: STAGES[name].settings for name in RUN})


def test_the_dag_of_the_beam_operator_runs_stages_in_their_order() -> None:
    tree = ast.parse((DAGS / "webtext_beam.py").read_text())
    (stages,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "STAGES" and node.value
    )
    assert isinstance(stages, ast.Dict)
    names = [key.value for key in stages.keys if isinstance(key, ast.Constant)]
    assert names == [name for name in RUN if name != "report"]
