"""Write the documentation of modules as HTML pages: `document.main()` with FOLDER MODULE… as arguments.

This is a process of its own, because importing a module runs its code. A module that cannot be imported gets no page. If importing
a module ends the process, the modules after it get no page either. A name `topics.NAME` is a topic of Python's language reference.
"""

import contextlib
import html
import importlib
import io
import pydoc
import re
import sys
import warnings
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

from modules import TOPICS
from prose import prose

ADDRESS = re.compile(r" at 0x[0-9a-f]+")
LONGEST_VALUE = 72
_UNSAID = frozenset({"__dict__", "__weakref__", "__hash__", "__annotations__", "__abstractmethods__", "__all__"})
"""Attributes of nearly every class, of which nothing is told that differs."""
_GROUPS = "Methods|Class methods|Static methods|Readonly properties|Data descriptors|Data and other attributes"
_TIDY = tuple(
    (re.compile(pattern, re.DOTALL | re.MULTILINE), replacement)
    for pattern, replacement in (
        (r"<dl><dt>Method resolution order:</dt>.*?</dl>", ""),
        (r"<dl><dt>(<p>[^\n]*</p>)(?:<dd><span class=\"code\">(.*?)</span>)?</dl>", r"\1\2"),
        (rf"^((?:{_GROUPS}) [^\n]*):<br>$", r"<p>\1:</p>"),
        (rf"<p>(?:{_GROUPS}) [^\n]*:</p>\s*(?=<hr>|</section>|<p>(?:{_GROUPS}) )", ""),
        (r"<hr>\s*(?=<hr>|</section>)", ""),
        (r"<p><span class=\"code\">|<span class=\"code\">", "<div>"),
        (r"(?:<br>&nbsp;)?</span>(?:</p>)?", "</div>"),
    )
)
"""What else is no prose in pydoc's pages: empty groups, lists of bases, marks of layout."""
_TAGS = re.compile(r"<[^>]*>")


class Prose(pydoc.HTMLDoc):
    """pydoc's pages, with paragraphs and headings in place of nested tables, lines of code and non-breaking spaces."""

    def page(self, title: str, contents: str) -> str:
        """Put a page's content between a header and a footer, as sites do."""
        parts = title.split(".")
        trail = " / ".join(f'<a href="{".".join(parts[: i + 1])}.html">{part}</a>' for i, part in enumerate(parts))
        return (
            f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n</head>\n<body>\n'
            f'<header><nav><a href="/">Home</a> / {trail}</nav></header>\n<main><article>\n<h1>{title}</h1>\n{contents}</article></main>\n'
            f'<footer><a href="/about.html">About</a> <a href="/copyright.html">Copyright</a></footer>\n</body>\n</html>\n'
        )

    def heading(self, title: str, extras: str = "") -> str:
        """Nothing: the page's frame has the title."""
        return ""

    def section(self, title: str, cls: str, contents: str, width: int = 6, prelude: str = "", *_unused: Any) -> str:
        """A section with its heading."""
        level = 3 if cls == "title" else 2
        return f"<section>\n<h{level}>{_TAGS.sub('', title)}</h{level}>\n{prelude}\n{contents}</section>\n"

    def bigsection(self, title: str, *arguments: Any) -> str:
        """A section of the page."""
        return self.section(title, *arguments)

    def multicolumn(self, items: Any, format: Any) -> str:
        """A list of links."""
        return f"<ul>{''.join(f'<li>{format(item)}</li>' for item in items)}</ul>\n"

    def formattree(self, tree: Any, modname: str, parent: Any = None) -> str:
        """Nothing: each class names its bases."""
        return ""

    def markup(self, text: str, *_unused: Any) -> str:
        """The HTML of a docstring. pydoc puts a class's signature before it, escaped."""
        signature, blank, rest = (text or "").partition("\n\n")
        return prose(html.unescape(signature) + blank + rest)

    def grey(self, text: str) -> str:
        """A note, in the text's own colour."""
        return text

    def formatvalue(self, object: Any) -> str:
        """A default value."""
        return f"={html.escape(repr(object))}"

    def docroutine(self, *arguments: Any, **named: Any) -> str:
        """A heading with the signature, then the docstring."""
        declaration, _, rest = super().docroutine(*arguments, **named).partition("</dt>")
        body = rest.strip().removesuffix("</dl>").removeprefix('<dd><span class="code">').removesuffix("</span></dd>")
        return f"<h4>{_TAGS.sub('', declaration)}</h4>\n{body}\n"

    def docdata(self, object: Any, name: str | None = None, *_unused: Any) -> str:
        """An attribute and its docstring."""
        return "" if name in _UNSAID else f"<h4>{name or ''}</h4>\n{prose(pydoc.getdoc(object))}\n"

    docproperty = docdata

    def docother(self, object: Any, name: str | None = None, mod: Any = None, *_unused: Any) -> str:
        """A value; a long one is cut."""
        text = repr(object)
        shown = text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"
        return f"<p>{name} = {html.escape(shown, quote=False)}</p>" if name not in _UNSAID else ""


def page(name: str) -> str:
    """Return the page of a module or topic, without memory addresses, which differ between runs."""
    writer = Prose()
    if name.startswith(TOPICS):
        return writer.page(name, prose(topics[name.removeprefix(TOPICS)]))
    module = importlib.import_module(name)
    body = writer.document(module, name)
    for pattern, replacement in _TIDY:
        body = pattern.sub(replacement, body)
    return ADDRESS.sub("", writer.page(name, body))


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
