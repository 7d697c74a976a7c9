"""The documentation's site: `make docs`. Pages are Markdown; the reference of commands and of Python is made from the code."""

import os
import re
import subprocess
import sys
import textwrap
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

project = "webtext"
author = "The webtext authors"
project_copyright = author
version = release = installed("webtext")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx_copybutton"]
html_theme = "furo"
html_title = "webtext"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
nb_execution_mode = "off"  # docs/notebook.py runs it, and a test
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
copybutton_prompt_text = "$ "
nitpicky = False
suppress_warnings = ["misc.highlighting_failure"]

HELP_WIDTH = 90
"""Characters that fit into a line of code on a desktop."""
BROKEN_WORD = re.compile(r"\w-$")
SECOND_COLUMN = re.compile(r" *\S.*? {2,}(?=\S)")
PLACEHOLDER = re.compile(r"<!-- help: (\S+)((?: \S+)*) -->")


def _help(program: str, words: list[str]) -> str:
    """What a command prints for its help, with every flag."""
    package = {"webtext": "pipeline", "webtext-train": "trainer"}[program]
    has_all = words and (program == "webtext" or words[0] in ("train", "rehearse"))
    flag = "--help-all" if has_all else "--help"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    command = [sys.executable, "-m", package, *words, flag]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def _fold(text: str) -> str:
    """Fold the lines of a help text to HELP_WIDTH. What is explained in a second column stays in that column."""
    entries: list[tuple[int, str]] = []
    for line in text.splitlines():
        lead = len(line) - len(line.lstrip())
        column, before = entries[-1] if entries else (0, "")
        if line.strip() and lead == column and (lead > 8 or len(before) > HELP_WIDTH):
            entries[-1] = (column, before + ("" if BROKEN_WORD.search(before) else " ") + line.strip())
        else:
            second = SECOND_COLUMN.match(line)
            further = lead + 2 if lead or line.startswith("usage:") else 0
            entries.append((second.end() if second else lead if lead > 8 else further, line))
    return "\n".join(_folded(line, column) for column, line in entries)


def _folded(line: str, column: int) -> str:
    """Fold one line, with its further lines indented to `column`. Blanks inside the first column stay as they are."""
    head, rest = (line[:column], line[column:]) if SECOND_COLUMN.match(line) else ("", line.strip())
    indent = head or " " * (len(line) - len(line.lstrip()))
    lines = textwrap.wrap(rest, HELP_WIDTH, initial_indent=indent, subsequent_indent=" " * column, break_on_hyphens=False)
    return "\n".join(lines)


def _fill_in(_app: Any, _name: str, source: list[str]) -> None:
    """Put the commands' own help where a page asks for it: `<!-- help: webtext links -->`."""

    def filled(match: re.Match[str]) -> str:
        return f"```text\n{_fold(_help(match[1], match[2].split()))}\n```"

    source[0] = PLACEHOLDER.sub(filled, source[0])


def _level_of_captions(_app: Any, _page: str, _template: str, context: dict[str, Any], _doctree: Any) -> None:
    """Give the menu's captions the level that their role requires: Sphinx leaves it out."""
    menu = context.get("furo_navigation_tree", "")
    context["furo_navigation_tree"] = menu.replace('role="heading"', 'role="heading" aria-level="2"')


def setup(app: Any) -> None:
    """Called by Sphinx."""
    app.connect("source-read", _fill_in)
    app.connect("html-page-context", _level_of_captions, priority=900)  # after the theme's own
