"""Figures 1 and 4 of the paper for a set of checkpoints: each metric, and the perplexity of training and test text.

The x axis is the number of parameters, or the step if all checkpoints have one size.
"""

import io
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, FuncFormatter, LogLocator, NullLocator

from tokenizer.labels import printable
from trainer.evals.results import Provenance, Result
from trainer.evals.suite import CheckpointEvaluation
from trainer.paper import ROWS, SIZES, TABLE_3

Point = tuple[float, float]

FIGURE_1 = ("coqa", "translation_en_fr", "translation_fr_en", "summaries GPT-2 TL;DR: ROUGE, mean of three", "natural_questions")
PANELS = frozenset({*TABLE_3, "winograd", *FIGURE_1})
"""Rows of the paper that have a panel each."""

SERIES = {"ours": "#1d4ed8", "training text": "#b45309", "GPT-2 (paper)": "#666c75", "before GPT-2 (paper)": "#666c75"}
INK = "#1c1e21"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "webtext",
    "text.parse_math": False,
    "text.usetex": False,
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
class MetricCurve:
    """One panel: points (x, y) per series, in ascending order of x."""

    name: str
    metric: str
    axis: str
    series: dict[str, list[Point]]
    logarithmic: bool

    def to_json(self) -> dict[str, Any]:
        """Fields as JSON values."""
        return asdict(self)


def curves(evaluations: Sequence[CheckpointEvaluation]) -> list[MetricCurve]:
    """Return a panel for each headline metric that at least two of the checkpoints have. Figure 4 is first if it is available."""
    axis, positions = _positions([evaluation.provenance for evaluation in evaluations])
    values: dict[tuple[str, str], list[Point]] = {}
    for x, evaluation in zip(positions, evaluations, strict=True):
        for record in evaluation.records:
            for result in _headlines(record.results):
                values.setdefault((result.row or result.task, result.metric), []).append((x, result.value))
    training = sorted(values.pop(("trained_on", "perplexity"), []))
    panels = []
    for (name, metric), points in values.items():
        if len(points) > 1:
            text = {"training text": training} if name == "held_out" and training else {}
            panels.append(_curve(name, metric, axis, {"ours": sorted(points), **text}))
    return panels


def _headlines(results: Sequence[Result]) -> Iterator[Result]:
    """Results with a panel row of the paper; failing that, the perplexity at the shortest stride, or else the first result."""
    in_panels = [result for result in results if result.row in PANELS]
    perplexities = [result for result in results if result.metric == "perplexity"]
    yield from in_panels or sorted(perplexities, key=lambda result: result.stride_tokens or 0)[:1] or results[:1]


def _positions(checkpoints: Sequence[Provenance]) -> tuple[str, list[float]]:
    """Name of the x axis, and the position of each checkpoint on it."""
    steps = [about.step for about in checkpoints]
    if len({about.parameters for about in checkpoints}) == 1 and None not in steps:
        return "steps", [float(step or 0) for step in steps]
    return "parameters", [float(about.parameters) for about in checkpoints]


def _curve(name: str, metric: str, axis: str, series: dict[str, list[Point]]) -> MetricCurve:
    row = ROWS.get(name)
    if row is not None and axis == "parameters":
        figures = [(float(size.parameters), value) for size, value in zip(SIZES, row.sizes, strict=True) if value is not None]
        series = {**series, "GPT-2 (paper)": figures}
        if row.sota is not None:
            ends = [x for points in series.values() for x, _ in points]
            series["before GPT-2 (paper)"] = [(min(ends), row.sota), (max(ends), row.sota)]
    title = row.name if row is not None else {"held_out": "Held-out text"}.get(name, name)
    return MetricCurve(title, metric, axis, series, "perplexity" in metric)


def draw(curve: MetricCurve) -> bytes:
    """Draw the panel as an SVG file with a white background."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # the reader's browser has the fonts
        figure = Figure(figsize=(4.2, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for name, points in curve.series.items():
            line = {"ours": "o-", "training text": "s-", "GPT-2 (paper)": "o:"}.get(name, "--")
            axes.plot(*zip(*points, strict=True), line, color=SERIES[name], markersize=4, linewidth=1.2, label=name)
        axes.set_title(printable(curve.name, 60))
        axes.set_xlabel(printable(curve.axis, 60))
        axes.set_ylabel(printable(curve.metric, 60))
        if curve.axis == "parameters":
            axes.set_xscale("log")
            _set_ticks(axes.xaxis, (1, 3), EngFormatter(sep="", places=0))
        if curve.logarithmic:
            axes.set_yscale("log")
            _set_ticks(axes.yaxis, (1, 2, 5), FuncFormatter(lambda value, _: f"{value:g}"))
        if len(curve.series) > 1:
            axes.legend()
        target = io.BytesIO()
        figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return target.getvalue()


def _set_ticks(axis: Axis, digits: tuple[int, ...], formatter: Formatter) -> None:
    """Set ticks at powers of ten times `digits`."""
    axis.set_major_locator(LogLocator(subs=digits))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(formatter)
