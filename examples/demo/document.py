"""Write the documentation of modules as HTML pages: `python document.py FOLDER MODULE…`.

This is a process of its own, because importing a module runs its code. A module that cannot be imported gets no page. If importing
a module ends the process, the modules after it get no page either.
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
    """Return pydoc's HTML page of a module, without memory addresses, which differ between runs."""
    module = importlib.import_module(name)
    html = pydoc.HTMLDoc()
    return ADDRESS.sub("", html.page(pydoc.describe(module), html.document(module, name)))


def main() -> None:
    """Write each page to a temporary name and rename it, so that a page under its final name is complete."""
    folder = Path(sys.argv[1])
    warnings.simplefilter("ignore")
    for name in sys.argv[2:]:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                text = page(name)
            except (Exception, SystemExit):  # noqa: BLE001 - importing an unknown module may raise anything
                continue
        aside = folder / f"{name}.aside"
        aside.write_text(text, encoding="utf-8", errors="replace")
        aside.rename(folder / f"{name}.html")


if __name__ == "__main__":
    main()
