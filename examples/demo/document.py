"""Writes the documentation of modules as HTML pages, in a process of its own: importing a module runs its code.

    python document.py FOLDER MODULE…

A module that cannot be imported here gives no page; one that ends the process takes the rest of the call with it.
"""

import contextlib
import importlib
import io
import pydoc
import re
import sys
import warnings
from pathlib import Path

ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def page(name: str) -> str:
    """pydoc's own HTML page of the module, without the memory addresses that differ from run to run."""
    module = importlib.import_module(name)
    html = pydoc.HTMLDoc()
    return ADDRESS.sub("", html.page(pydoc.describe(module), html.document(module, name)))


def main() -> None:
    """Write each page aside and rename it, so that a page that stands is whole."""
    folder = Path(sys.argv[1])
    warnings.simplefilter("ignore")
    for name in sys.argv[2:]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                text = page(name)
            except (Exception, SystemExit):  # noqa: BLE001 - anything at all may go wrong in somebody's import
                continue
        aside = folder / f"{name}.aside"
        aside.write_text(text, encoding="utf-8", errors="replace")
        aside.rename(folder / f"{name}.html")


if __name__ == "__main__":
    main()
