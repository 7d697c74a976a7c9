"""The notebook of the library runs from its first cell to its last, and shows what it returns today."""

import runpy
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[1]
VARIES = "varies"
"""The tag of cells whose results depend on this Python's help topics or on torch's release."""


def results(notebook: nbformat.NotebookNode) -> list[tuple[str, list[str]]]:
    """The code cells whose results are the same everywhere, with these."""
    return [
        (cell.source, [output.get("text") or output["data"]["text/plain"] for output in cell.outputs])
        for cell in notebook.cells
        if cell.cell_type == "code" and VARIES not in cell.metadata.get("tags", [])
    ]


@pytest.mark.slow
def test_the_notebook_runs_and_shows_its_results(tmp_path: Path) -> None:
    script = runpy.run_path(str(ROOT / "docs" / "notebook.py"))
    kept = nbformat.read(script["NOTEBOOK"], as_version=4)
    again = script["executed"](script["NOTEBOOK"], tmp_path)
    assert len(results(kept)) == 2
    assert results(again) == results(kept)
    shown = [cell for cell in kept.cells if cell.cell_type == "code"]
    assert all(cell.outputs for cell in shown), "run `python docs/notebook.py`"
