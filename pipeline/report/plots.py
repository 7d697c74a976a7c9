"""Figures as SVG files: equal numbers give equal bytes.

The figures are drawn once, in the colors of the light theme; the page's style sheet inverts them for the dark theme.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from math import fsum
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pipeline.report.numbers import Curve, Histogram, TrainingRun
from tokenizer.labels import printable

INK, MUTED, GRID = "#1b1d20", "#5a6068", "#dcdcd7"
SERIES = ("#2f6391", "#b3541e", "#4d7a3a")

SMALL = (5.0, 3.05)
WIDE = (7.4, 3.9)
"""Sizes of figures, in inches."""
MIN_BAR_SLOTS = 5
"""Fewer bars than this keep the width that they would have among this many."""
INCHES_PER_CATEGORY = 0.27
POINTS_PER_CURVE = 1000
"""More points than this do not show on a screen."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "webtext",
    "text.parse_math": False,
    "text.usetex": False,
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
METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


def short(value: float) -> str:
    """A number for an axis: `950`, `12k`, `3.4M`.

    >>> short(12_000), short(3_400_000), short(0.5)
    ('12k', '3.4M', '0.5')
    """
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{suffix}"
    return f"{value:.3g}"


def draw_histogram(histogram: Histogram) -> bytes:
    """An SVG file: vertical bars for bins, which have an order; horizontal bars for categories, whose names need room."""
    by_category = (SMALL[0], 0.35 + INCHES_PER_CATEGORY * len(histogram.counts))
    with _new_figure(SMALL if histogram.binned else by_category) as figure:
        axes = figure.add_subplot()
        if histogram.binned:
            _draw_bins(axes, histogram)
        else:
            _draw_categories(axes, histogram)
        return _to_svg(figure)


def _draw_bins(axes: Axes, histogram: Histogram) -> None:
    places = range(len(histogram.counts))
    axes.bar(places, histogram.counts, width=0.86, color=SERIES[0])
    axes.set_xlim(-0.6, max(len(places), MIN_BAR_SLOTS) - 0.4)
    step = max(1, -(-len(places) // 12))
    labels = [clip(label) for label in histogram.labels[::step]]
    crowded = len(places) // step > 6 or sum(map(len, labels)) > 44
    axes.set_xticks(list(places)[::step], labels, rotation=35 if crowded else 0, ha="right" if crowded else "center")
    axes.tick_params(axis="x", length=0, pad=2 if crowded else 4)
    axes.set_xlabel(clip(histogram.axis, 60))
    axes.set_ylabel(clip(histogram.of, 60))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axes.grid(axis="y")


def _draw_categories(axes: Axes, histogram: Histogram) -> None:
    places = list(range(len(histogram.counts)))
    axes.barh(places, histogram.counts, height=0.74, color=SERIES[0])
    axes.set_yticks(places, [clip(label.replace("_", " ")) for label in histogram.labels])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    most = max(histogram.counts, default=1)
    for place, count in zip(places, histogram.counts, strict=True):
        axes.text(count + most * 0.015, place, f"{count:,}", va="center", color=MUTED, fontsize=9.5)
    axes.set_xlim(0, most * 1.2)


def clip(label: str, most: int = 26) -> str:
    """The label on one line, cut to `most` characters with an ellipsis if it is longer.

    >>> clip("application", 4)
    'app…'
    """
    shown = printable(label)
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def draw_loss(runs: Sequence[TrainingRun], entropy: float | None, *, transparent: bool = True) -> bytes:
    """An SVG file of training and validation loss, one color per run, with the unigram entropy as the line to beat.

    A figure that is not `transparent` has a white background, so that it is legible on any page.
    """
    with _new_figure(WIDE) as figure:
        axes = figure.add_subplot()
        for i, run in enumerate(runs):
            _draw_losses(axes, run, SERIES[i % len(SERIES)], prefix=f"{clip(run.name)}: " if len(runs) > 1 else "")
        if entropy is not None:
            axes.axhline(entropy, color=MUTED, linestyle=(0, (4, 3)), linewidth=1.1, label=f"unigram entropy {entropy:.2f}")
        axes.set_xlabel("step")
        axes.set_ylabel("loss, nats per token")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.set_xlim(left=0)
        axes.grid()
        axes.legend(loc="upper right")
        return _to_svg(figure, transparent=transparent)


def _draw_losses(axes: Axes, run: TrainingRun, color: str, prefix: str) -> None:
    loss, validation = run.curve("loss"), run.curve("val_loss")
    if loss:
        shown = _thin(loss)
        axes.plot(shown.steps, shown.values, color=color, alpha=0.6, linewidth=1.0, label=f"{prefix}training")
    if validation:
        label = f"{prefix}validation, last {validation.values[-1]:.3f}"
        marker = "o" if len(validation.steps) <= 40 else ""
        axes.plot(validation.steps, validation.values, color=color, linewidth=2.0, marker=marker, markersize=3.5, label=label)


def draw_curve(runs: Sequence[TrainingRun], name: str, label: str) -> bytes:
    """An SVG file of one quantity by step, one color per run."""
    with _new_figure(SMALL) as figure:
        axes = figure.add_subplot()
        for i, run in enumerate(runs):
            if curve := run.curve(name):
                shown = _thin(curve)
                axes.plot(shown.steps, shown.values, color=SERIES[i % len(SERIES)], linewidth=1.2, label=clip(run.name))
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
        axes.set_xlim(left=0)
        axes.grid()
        if len(runs) > 1:
            axes.legend()
        return _to_svg(figure)


def _thin(curve: Curve) -> Curve:
    """The curve as means over at most POINTS_PER_CURVE equal stretches of its points."""
    size = len(curve.steps)
    if size <= POINTS_PER_CURVE:
        return curve
    stretches = list(pairwise(i * size // POINTS_PER_CURVE for i in range(POINTS_PER_CURVE + 1)))
    steps = tuple(curve.steps[high - 1] for _, high in stretches)
    return Curve(curve.name, steps, tuple(fsum(curve.values[low:high]) / (high - low) for low, high in stretches))


@contextmanager
def _new_figure(size: tuple[float, float]) -> Iterator[Figure]:
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # the reader's browser has the fonts
        yield Figure(figsize=size)


def _to_svg(figure: Figure, *, transparent: bool = True) -> bytes:
    target = io.BytesIO()
    figure.savefig(target, format="svg", transparent=transparent, metadata=METADATA)
    return target.getvalue()
