"""Run the notebook of the library, and keep what its cells return: `python docs/notebook.py` after a change of it."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parent / "tutorial" / "library.ipynb"
SECONDS = 600
"""A cell takes a few seconds; a busy machine may need longer."""


def executed(path: Path, folder: Path) -> nbformat.NotebookNode:
    """The notebook with new outputs, run by this Python in `folder`. Logs are left out.

    Raises nbclient.exceptions.CellExecutionError with the traceback of a cell that fails.
    """
    notebook = nbformat.read(path, as_version=4)
    patience = {"timeout": SECONDS, "startup_timeout": SECONDS}
    NotebookClient(notebook, kernel_name="python3", resources={"metadata": {"path": str(folder)}}, **patience).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if _is_text(output)]
    notebook.metadata.pop("widgets", None)
    notebook.metadata.language_info = {"name": "python"}
    return notebook


def _is_text(output: nbformat.NotebookNode) -> bool:
    """Whether the cell printed or returned it: not a log, and not the scripts that Beam adds for its own display."""
    return output.get("name") == "stdout" or "text/plain" in output.get("data", {})


def main() -> None:
    """Write the notebook with its new outputs."""
    nbformat.write(executed(NOTEBOOK, NOTEBOOK.parent), NOTEBOOK)


if __name__ == "__main__":
    main()
