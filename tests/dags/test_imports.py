"""The DAGs only start programs: they import Airflow and the standard library, nothing of this repository."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

DAGS = sorted((Path(__file__).parents[2] / "dags").glob("*.py"))


def imported_packages(source: str) -> Iterator[str]:
    """Top-level packages of all imports, also within functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            yield (node.module or "").split(".")[0]


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_a_dag_imports_airflow_and_the_standard_library_only(path: Path) -> None:
    assert set(imported_packages(path.read_text())) <= {"airflow", *sys.stdlib_module_names}


def test_there_are_dags() -> None:
    assert DAGS


def test_imports_within_functions_are_seen() -> None:
    assert list(imported_packages("def f():\n    import pipeline.urls\n    from trainer import loop\n")) == [
        "pipeline",
        "trainer",
    ]
