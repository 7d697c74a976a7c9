"""SVG drawings of a comparison, in the page's own colors: curves over tokens, and a forest plot of differences."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tokenizer.labels import html

COLORS = 6
WIDTH, ROW_HEIGHT, LABEL_WIDTH = 640, 26, 220


@dataclass(frozen=True, slots=True)
class ForestRow:
    """A row of a forest plot: a label, the difference with its interval, and whether it is significant."""

    label: str
    value: float
    low: float
    high: float
    significant: bool


def forest(rows: Sequence[ForestRow], axis: str) -> str:
    """Differences with their intervals around zero."""
    known = [row for row in rows if not math.isnan(row.low)]
    reach = max([abs(bound) for row in known for bound in (row.low, row.high)] + [1e-6]) * 1.08
    height = ROW_HEIGHT * len(rows) + 44

    def x(value: float) -> float:
        return LABEL_WIDTH + (value + reach) / (2 * reach) * (WIDTH - LABEL_WIDTH - 20)

    bottom = height - 34
    parts = [f'<line class="zero" x1="{x(0):.1f}" y1="4" x2="{x(0):.1f}" y2="{bottom}"/>']
    for at, row in enumerate(rows):
        y = 16 + ROW_HEIGHT * at
        color = "var(--c0)" if row.significant else "var(--faint)"
        parts.append(f'<text x="0" y="{y + 4}">{html(row.label)}</text>')
        if not math.isnan(row.low):
            parts.append(
                f'<line x1="{x(row.low):.1f}" y1="{y}" x2="{x(row.high):.1f}" y2="{y}" stroke="{color}" stroke-width="2"/>'
            )
        parts.append(f'<circle cx="{x(row.value):.1f}" cy="{y}" r="4.5" fill="{color}"/>')
    parts.append(f'<line class="axis" x1="{LABEL_WIDTH}" y1="{bottom}" x2="{WIDTH - 20}" y2="{bottom}"/>')
    parts += [
        f'<text class="faint" x="{x(value):.1f}" y="{bottom + 15}" text-anchor="middle">{f"{value:+.3g}" if value else "0"}</text>'
        for value in _ticks(-reach, reach, 5)
    ]
    parts.append(
        f'<text class="faint" x="{(LABEL_WIDTH + WIDTH - 20) / 2}" y="{height - 4}" text-anchor="middle">{html(axis)}</text>'
    )
    return _svg(WIDTH, height, parts, axis)


def curves(series: Mapping[str, Sequence[Sequence[float]]], colors: Mapping[str, int], title: str) -> str:
    """Curves of bits per byte over tokens, with a logarithmic axis of tokens."""
    width, height, left, bottom = 380, 240, 46, 34
    points = [point for each in series.values() for point in each]
    low_x, high_x = (bound(math.log(max(1.0, point[0])) for point in points) for bound in (min, max))
    low_y, high_y = (bound(point[1] for point in points) for bound in (min, max))
    span_x, span_y = max(high_x - low_x, 1e-9), max(high_y - low_y, 1e-9)

    def place(point: Sequence[float]) -> tuple[float, float]:
        x = left + (math.log(max(1.0, point[0])) - low_x) / span_x * (width - left - 12)
        return x, 10 + (high_y - point[1]) / span_y * (height - bottom - 16)

    parts = [f'<line class="axis" x1="{left}" y1="{height - bottom}" x2="{width - 8}" y2="{height - bottom}"/>']
    for value in _ticks(low_y, high_y, 4):
        y = place((1.0, value))[1]
        parts.append(f'<text class="faint" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for value in (low_x, (low_x + high_x) / 2, high_x):
        tokens = math.exp(value)
        x, anchor = place((tokens, low_y))[0], "end" if value == high_x else "middle"
        parts.append(
            f'<text class="faint" x="{x:.1f}" y="{height - bottom + 16}" text-anchor="{anchor}">{count_text(tokens)}</text>'
        )
    parts.append(f'<text class="faint" x="{(left + width) / 2}" y="{height - 4}" text-anchor="middle">tokens</text>')
    for name, each in series.items():
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, each))
        color = f"var(--c{colors[name] % COLORS})"
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
    return _svg(width, height, parts, f"bits per byte on {title} over tokens")


def count_text(count: float) -> str:
    """A count in a few letters.

    >>> count_text(81_920), count_text(1_500_000)
    ('82k', '1.5M')
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= size:
            number = count / size
            return f"{number:.0f}{unit}" if number >= 10 else f"{number:.2g}{unit}"
    return f"{count:.0f}"


def _ticks(low: float, high: float, most: int) -> list[float]:
    step = 10 ** math.floor(math.log10(max(high - low, 1e-12) / most))
    step = next((step * factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= most), step * 10)
    first = math.ceil(low / step)
    return [round(i * step, 12) + 0.0 for i in range(first, math.floor(high / step) + 1)]


def _svg(width: int, height: int, parts: Sequence[str], label: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html(label)}">{"".join(parts)}</svg>'
