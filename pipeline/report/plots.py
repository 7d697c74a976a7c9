"""Figures as SVG: the same bytes for the same numbers, colours by CSS variables so that light and dark are one drawing.

Text stays text (selectable, small, read aloud). matplotlib knows no CSS variables: it draws in stand-in colours, replaced afterwards.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.report.numbers import Histogram, Run
from pipeline.report.training import thinned

INK, MUTED, GRID, FIRST, SECOND, THIRD = "#010203", "#040506", "#070809", "#0a0b0c", "#0d0e0f", "#101112"
VARIABLES = {INK: "ink", MUTED: "muted", GRID: "grid", FIRST: "first", SECOND: "second", THIRD: "third"}
LIGHT = {"ink": "#1b1d20", "muted": "#5a6068", "grid": "#e3e3df", "first": "#2f6391", "second": "#b3541e", "third": "#4d7a3a"}
DARK = {"ink": "#e8e9eb", "muted": "#a4abb4", "grid": "#31363d", "first": "#7fb2e5", "second": "#f0a06a", "third": "#9cc987"}
SERIES = (FIRST, SECOND, THIRD)

SMALL = (5.0, 3.05)
WIDE = (7.4, 3.9)
FEW_BARS = 5
"""Fewer bars than these are no wider for it."""
LYING_BAR = 0.27
"""Inches a bar: the figure grows with their number, the bars do not."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "webtext",
    "font.size": 10.5,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 10.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def short(value: float) -> str:
    """A number for an axis: `950`, `12k`, `3.4M`.

    >>> short(12_000), short(3_400_000), short(0.5)
    ('12k', '3.4M', '0.5')
    """
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def draw_histogram(histogram: Histogram) -> str:
    """Upright bars for bins, which have an order of their own; lying ones for categories, whose names want room."""
    lying = (SMALL[0], 0.35 + LYING_BAR * len(histogram.counts))
    with _drawing(SMALL if histogram.binned else lying) as figure:
        axes = figure.add_subplot()
        if histogram.binned:
            _upright(axes, histogram)
        else:
            _lying(axes, histogram)
        return _svg(figure, histogram.name)


def _upright(axes: Axes, histogram: Histogram) -> None:
    places = range(len(histogram.counts))
    axes.bar(places, histogram.counts, width=0.86, color=FIRST)
    axes.set_xlim(-0.6, max(len(places), FEW_BARS) - 0.4)
    every = max(1, -(-len(places) // 12))
    crowded = len(places) // every > 6 or sum(map(len, histogram.labels[::every])) > 44
    axes.set_xticks(
        list(places)[::every], histogram.labels[::every], rotation=35 if crowded else 0, ha="right" if crowded else "center"
    )
    axes.tick_params(axis="x", length=0, pad=2 if crowded else 4)
    axes.set_xlabel(histogram.axis)
    axes.set_ylabel(histogram.of)
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(axis="y")


def _lying(axes: Axes, histogram: Histogram) -> None:
    places = list(range(len(histogram.counts)))
    axes.barh(places, histogram.counts, height=0.74, color=FIRST)
    axes.set_yticks(places, [clipped(label.replace("_", " ")) for label in histogram.labels])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    most = max(histogram.counts, default=1)
    for place, count in zip(places, histogram.counts, strict=True):
        axes.text(count + most * 0.015, place, f"{count:,}", va="center", color=MUTED, fontsize=9.5)
    axes.set_xlim(0, most * 1.2)


def clipped(label: str, most: int = 26) -> str:
    """The label, or its beginning and an ellipsis."""
    return label if len(label) <= most else label[: most - 1] + "…"


def loss_figure(runs: Sequence[Run], entropy: float | None) -> Figure:
    """Training loss faint, validation loss on top of it, a run a colour; the unigram entropy as the line to beat."""
    figure = Figure(figsize=WIDE)
    axes = figure.add_subplot()
    for i, run in enumerate(runs):
        _loss_lines(axes, run, SERIES[i % len(SERIES)], name=f"{run.name}: " if len(runs) > 1 else "")
    if entropy is not None:
        axes.axhline(entropy, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.1, label=f"unigram entropy {entropy:.2f}")
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats a token")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.set_xlim(left=0)
    axes.grid()
    axes.legend(loc="upper right")
    return figure


def _loss_lines(axes: Axes, run: Run, colour: str, name: str) -> None:
    loss, validation = run.curve("loss"), run.curve("val_loss")
    if loss:
        shown = thinned(loss)
        axes.plot(shown.steps, shown.values, color=colour, alpha=0.45, linewidth=1.0, label=f"{name}training")
    if validation:
        label = f"{name}validation, last {validation.values[-1]:.3f}"
        marker = "o" if len(validation.steps) <= 40 else ""
        axes.plot(validation.steps, validation.values, color=colour, linewidth=2.0, marker=marker, markersize=3.5, label=label)


def draw_loss(runs: Sequence[Run], entropy: float | None) -> str:
    """The loss curves for the page."""
    with mpl.rc_context(STYLE):
        return _svg(loss_figure(runs, entropy), "loss")


def draw_curve(runs: Sequence[Run], name: str, label: str) -> str:
    """One quantity of every run by step."""
    with _drawing(SMALL) as figure:
        axes = figure.add_subplot()
        for i, run in enumerate(runs):
            if curve := run.curve(name):
                shown = thinned(curve)
                axes.plot(shown.steps, shown.values, color=SERIES[i % len(SERIES)], linewidth=1.2, label=run.name)
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.set_xlim(left=0)
        axes.grid()
        if len(runs) > 1:
            axes.legend()
        return _svg(figure, name)


def standalone(svg: str) -> str:
    """The figure as a file of its own, light or dark as its reader prefers."""
    light = "".join(f"--{name}:{value};" for name, value in LIGHT.items())
    dark = "".join(f"--{name}:{value};" for name, value in DARK.items())
    style = f"<style>svg{{font-family:{FONT};{light}}}@media(prefers-color-scheme:dark){{svg{{{dark}}}}}</style>"
    return '<?xml version="1.0" encoding="utf-8"?>\n' + re.sub(r"(<svg [^>]*>)", lambda m: m[1] + style, svg, count=1)


@contextmanager
def _drawing(size: tuple[float, float]) -> Iterator[Figure]:
    with mpl.rc_context(STYLE):
        yield Figure(figsize=size)


def _svg(figure: Figure, name: str) -> str:
    target = io.StringIO()
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return _inlined(target.getvalue(), name)


def _inlined(svg: str, name: str) -> str:
    """Without XML head, metadata, fonts and fixed size; ids made unique by `name`, colours made variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'(<svg [^>]*?)\swidth="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?)\sheight="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(xlink:href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font-family: [^;\"]*; ?", "", svg)
    for stand_in, variable in VARIABLES.items():
        svg = svg.replace(stand_in, f"var(--{variable})")
    return svg.strip()
