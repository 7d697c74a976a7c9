"""Small pieces of HTML: escaped text, numbers that say which figure of report.json they are, tables, figures."""

from collections.abc import Iterable, Sequence
from html import escape

from pipeline.report import plots
from pipeline.report.numbers import Histogram

NONE = "\N{EN DASH}"
"""What a cell shows that has nothing to show."""


def number(value: float, key: str = "") -> str:
    """A number for people, its exact value beside it for programs; `key` is its path in report.json."""
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    named = f' data-key="{escape(key)}"' if key else ""
    return f'<data value="{value!r}"{named}>{shown}</data>'


def share(part: float, whole: float) -> str:
    """`12.3 %`; nothing where there is no whole."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def bytes_text(size: float) -> str:
    """`412 kB`, `1.9 GB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.3g} {unit}"
    return f"{size:.0f} bytes"


def seconds_text(seconds: float) -> str:
    """`14 s`, `12 min`, `3.4 h`."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def words(name: str) -> str:
    """A counter's or reason's name for people: `low_karma` is `low karma`."""
    return escape(name.replace("_", " "))


def section(anchor: str, title: str, body: str) -> str:
    """A part of the page with its heading; nothing where it has no body."""
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{escape(title)}</h2>\n{body}</section>\n' if body else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", numeric: Iterable[int] = ()) -> str:
    """A table of cells that are HTML already; `numeric` are the columns to set flush right. The first cell heads its row."""
    right = set(numeric)
    titles = "".join(f'<th scope="col"{_class(i, right)}>{escape(title)}</th>' for i, title in enumerate(head))
    body = "".join(f"<tr>{''.join(_cell(i, cell, right) for i, cell in enumerate(row))}</tr>\n" for row in rows)
    named = f"<caption hidden>{escape(caption)}</caption>" if caption else ""
    filled = f"<table>{named}<thead><tr>{titles}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'<div class="scroll" {_reachable(caption)}>{filled}</div>\n'


def _reachable(caption: str) -> str:
    return f'tabindex="0" role="region" aria-label="{escape(caption)}"' if caption else 'tabindex="0"'


def _class(column: int, right: set[int]) -> str:
    return ' class="number"' if column in right else ""


def _cell(column: int, cell: str, right: set[int]) -> str:
    if column == 0:
        return f'<th scope="row">{cell}</th>'
    return f"<td{_class(column, right)}>{cell}</td>"


def histogram(shown: Histogram) -> str:
    """The figure, and its numbers as a table to open. Nothing where nothing was counted."""
    if not any(shown.counts):
        return ""
    rows = [
        (escape(label), number(count, f"histograms.{shown.name}.{label}"))
        for label, count in zip(shown.labels, shown.counts, strict=True)
    ]
    numbers = details("Numbers", table([shown.axis, shown.of], rows, f"{shown.title}, numbers", [1]))
    return figure(shown.name, shown.title, plots.draw_histogram(shown), escape(shown.note), numbers)


def figure(name: str, title: str, svg: str, note: str = "", below: str = "", *, wide: bool = False) -> str:
    """An SVG with its heading, named for those who cannot see it."""
    image = svg.replace("<svg ", f'<svg role="img" aria-labelledby="{name}-title" ', 1)
    said = f"<p>{note}</p>" if note else ""
    caption = f"<figcaption>{said}{below}</figcaption>" if said or below else ""
    kind = ' class="wide"' if wide else ""
    return f'<figure{kind}><h3 id="{name}-title">{escape(title)}</h3>{image}{caption}</figure>\n'


def details(summary: str, body: str) -> str:
    """To be opened by hand."""
    return f"<details><summary>{escape(summary)}</summary>{body}</details>\n"


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """Names and their values, HTML already."""
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>\n"
