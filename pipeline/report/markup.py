"""Building blocks of the page: numbers with their key in report.json, tables, figures, foldable details."""

from base64 import b64encode
from collections.abc import Iterable, Sequence

from pipeline.report import plots
from pipeline.report.numbers import Histogram
from tokenizer.labels import html

NONE = "\N{EN DASH}"
"""The content of a table cell without a value."""


def number(value: float, key: str = "") -> str:
    """A rounded number with its exact value for programs; `key` is its path in report.json."""
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    attribute = f' data-key="{html(key)}"' if key else ""
    return f'<data value="{value!r}"{attribute}>{shown}</data>'


def share(part: float, whole: float) -> str:
    """`12.3 %`; empty if `whole` is 0."""
    return f"{100 * part / whole:.1f} %" if whole else ""


def bytes_text(size: float) -> str:
    """`412 kB`, `1.9 GB`."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:,.3g} {unit}"
    return f"{size:.0f} bytes"


def words(name: str) -> str:
    """A name of a counter or a reason as HTML: `low_karma` becomes `low karma`."""
    return html(name.replace("_", " "))


def section(anchor: str, title: str, body: str) -> str:
    """A section of the page with its heading; empty if it has no body."""
    return f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{html(title)}</h2>\n{body}</section>\n' if body else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", numeric: Iterable[int] = ()) -> str:
    """A table of HTML cells. `numeric` are the numbers of the right-aligned columns; the first cell is the row's heading."""
    right = set(numeric)
    titles = "".join(f'<th scope="col"{_class(i, right)}>{html(title)}</th>' for i, title in enumerate(head))
    body = "".join(f"<tr>{''.join(_cell(i, cell, right) for i, cell in enumerate(row))}</tr>\n" for row in rows)
    caption_tag = f"<caption hidden>{html(caption)}</caption>" if caption else ""
    element = f"<table>{caption_tag}<thead><tr>{titles}</tr></thead><tbody>\n{body}</tbody></table>"
    return f'<div class="scroll" {_focusable(caption)}>{element}</div>\n'


def _focusable(caption: str) -> str:
    return f'tabindex="0" role="region" aria-label="{html(caption)}"' if caption else 'tabindex="0"'


def _class(column: int, right: set[int]) -> str:
    return ' class="number"' if column in right else ""


def _cell(column: int, cell: str, right: set[int]) -> str:
    if column == 0:
        return f'<th scope="row">{cell}</th>'
    return f"<td{_class(column, right)}>{cell}</td>"


def histogram(shown: Histogram) -> str:
    """The figure, with its numbers in a foldable table; empty if all counts are 0."""
    if not any(shown.counts):
        return ""
    rows = [
        (html(label), number(count, f"histograms.{shown.name}.{label}"))
        for label, count in zip(shown.labels, shown.counts, strict=True)
    ]
    numbers = details("Numbers", table([shown.axis, shown.of], rows, f"{shown.title}, numbers", [1]))
    return figure(shown.name, shown.title, plots.draw_histogram(shown), html(shown.note), numbers)


def figure(name: str, title: str, svg: bytes, note: str = "", below: str = "", *, wide: bool = False) -> str:
    """A heading and an SVG file as an image, with a note and more HTML below."""
    image = f'<img alt="Chart: {html(title)}" src="data:image/svg+xml;base64,{b64encode(svg).decode()}">'
    text = f"<p>{note}</p>" if note else ""
    caption = f"<figcaption>{text}{below}</figcaption>" if text or below else ""
    kind = ' class="wide"' if wide else ""
    return f'<figure{kind}><h3 id="{name}-title">{html(title)}</h3>{image}{caption}</figure>\n'


def details(summary: str, body: str) -> str:
    """HTML that the reader can unfold."""
    return f"<details><summary>{html(summary)}</summary>{body}</details>\n"


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """A list of names and values, both HTML."""
    return f"<dl>{''.join(f'<dt>{name}</dt><dd>{value}</dd>' for name, value in pairs)}</dl>\n"
