"""Figures 1 and 4 of the paper from a set of checkpoints: each metric over the parameters, and the perplexity of the training text beside
that of the test text. Checkpoints of one size are drawn over their steps.
"""

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, FuncFormatter, LogLocator, NullLocator

from trainer.evals.results import Provenance, Result
from trainer.evals.suite import Outcome
from trainer.paper import ROWS, SIZES, TABLE_3

Point = tuple[float, float]

FIGURE_1 = ("coqa", "translation_en_fr", "translation_fr_en", "summaries GPT-2 TL;DR: ROUGE, mean of three", "natural_questions")
PANELS = frozenset({*TABLE_3, "winograd", *FIGURE_1})
"""Rows that have a panel of their own."""

SERIES = {"ours": "#010203", "training text": "#040506", "GPT-2 (paper)": "#070809", "before GPT-2 (paper)": "#070809"}
INK = "#0a0b0c"
COLOURS = {"#010203": "--one", "#040506": "--two", "#070809": "--faint", INK: "--ink"}
"""matplotlib knows no CSS: it draws in colours that stand in for the page's variables."""

LIGHT = "--ink:#1c1e21;--faint:#666c75;--one:#1d4ed8;--two:#b45309"
DARK = "--ink:#e4e6ea;--faint:#9aa1ac;--one:#7cb0ff;--two:#f0b35a"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "webtext",
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Curve:
    """One panel: points (x, y) by series, ascending in x."""

    name: str
    metric: str
    axis: str
    series: dict[str, list[Point]]
    logarithmic: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def curves(outcomes: Sequence[Outcome]) -> list[Curve]:
    """A panel for every headline metric that at least two of the checkpoints have. Figure 4's is the first where it can be drawn."""
    axis, places = _places([outcome.provenance for outcome in outcomes])
    values: dict[tuple[str, str], list[Point]] = {}
    for place, outcome in zip(places, outcomes, strict=True):
        for record in outcome.records:
            for result in _headlines(record.results):
                values.setdefault((result.row or result.task, result.metric), []).append((place, result.value))
    training = sorted(values.pop(("trained_on", "perplexity"), []))
    found = []
    for (name, metric), points in values.items():
        if len(points) > 1:
            text = {"training text": training} if name == "held_out" and training else {}
            found.append(_curve(name, metric, axis, {"ours": sorted(points), **text}))
    return found


def _headlines(results: Sequence[Result]) -> Iterator[Result]:
    """Those beside a panel's row of the paper; of a task without one its perplexity by the shortest stride, or its first result."""
    named = [result for result in results if result.row in PANELS]
    perplexities = [result for result in results if result.metric == "perplexity"]
    yield from named or sorted(perplexities, key=lambda result: result.stride_tokens or 0)[:1] or results[:1]


def _places(checkpoints: Sequence[Provenance]) -> tuple[str, list[float]]:
    """What the points are drawn over."""
    steps = [about.step for about in checkpoints]
    if len({about.parameters for about in checkpoints}) == 1 and None not in steps:
        return "steps", [float(step or 0) for step in steps]
    return "parameters", [float(about.parameters) for about in checkpoints]


def _curve(name: str, metric: str, axis: str, series: dict[str, list[Point]]) -> Curve:
    row = ROWS.get(name)
    if row is not None and axis == "parameters":
        known = [(float(size.parameters), value) for size, value in zip(SIZES, row.sizes, strict=True) if value is not None]
        series = {**series, "GPT-2 (paper)": known}
        if row.sota is not None:
            ends = [x for points in series.values() for x, _ in points]
            series["before GPT-2 (paper)"] = [(min(ends), row.sota), (max(ends), row.sota)]
    title = row.name if row is not None else {"held_out": "Held-out text"}.get(name, name)
    return Curve(title, metric, axis, series, "perplexity" in metric)


def draw(curve: Curve) -> str:
    """The panel as SVG whose colours are CSS variables, without a size of its own."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(4.2, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for name, points in curve.series.items():
            line = {"ours": "o-", "training text": "s-", "GPT-2 (paper)": "o:"}.get(name, "--")
            axes.plot(*zip(*points, strict=True), line, color=SERIES[name], markersize=4, linewidth=1.2, label=name)
        axes.set_title(curve.name)
        axes.set_xlabel(curve.axis)
        axes.set_ylabel(curve.metric)
        if curve.axis == "parameters":
            axes.set_xscale("log")
            _mark(axes.xaxis, (1, 3), EngFormatter(sep="", places=0))
        if curve.logarithmic:
            axes.set_yscale("log")
            _mark(axes.yaxis, (1, 2, 5), FuncFormatter(lambda value, _: f"{value:g}"))
        if len(curve.series) > 1:
            axes.legend()
        target = io.StringIO()
        figure.savefig(
            target, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return _inlined(target.getvalue(), re.sub(r"\W+", "-", f"{curve.name}-{curve.metric}"))


def _mark(axis: Axis, digits: tuple[int, ...], numbers: Formatter) -> None:
    """Ticks at powers of ten times these digits, as numbers that people read."""
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(numbers)


def standalone(svg: str) -> str:
    """The same as a file of its own, for readers in the light and in the dark."""
    style = f"<style>svg{{font-family:sans-serif;{LIGHT}}}@media(prefers-color-scheme:dark){{svg{{{DARK}}}}}</style>"
    opening = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
    return re.sub(r"(<svg [^>]*>)", lambda found: found[1].replace("<svg ", opening) + style, svg, count=1)


def _inlined(svg: str, name: str) -> str:
    """For a page that may hold several: ids of its own, no XML head, no fixed size."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", svg)
    svg = re.sub(r'(<svg [^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*; ?|(?<=px) 'DejaVu Sans', [^;\"]*", "", svg)
    for stand_in, variable in COLOURS.items():
        svg = svg.replace(stand_in, f"var({variable})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{name.replace("-", " ")}" ', 1).strip()
