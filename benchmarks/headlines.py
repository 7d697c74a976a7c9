"""The ten rows and the chart at the head of docs/benchmarks.md, chosen from the recorded rows by rule.

For each kind of work, the row is that of the peer that comes closest to ours or is ahead of it: never the easiest one.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from statistics import median

from benchmarks.scores import Race

KINDS = (
    ("links", "links from a dump: rules, keys, drops", "lines of top2013"),
    ("pages", "pages from new TLS hosts", "https new hosts; stage"),
    ("documents", "text of pages, isolated, with language", "97 pages to text, with isolation, language and cleaning"),
    ("dedup", "near-duplicates, Parquet to keep list", "14 bands of 8 rows"),
    ("vocabulary", "BPE vocabulary, text to merges", "100 MB"),
    ("tokens", "token shards, Parquet to Arrow", "240 MB: whole stage"),
    ("shards, reading", "random windows of token shards", "random windows of 1,025 tokens to int64, one window"),
    ("training", "a training step on a CPU", "a step of L4 d256, 1,024 tokens; defaults"),
    ("evaluation", "evaluation, the least favourable text", "parameters"),
    ("end to end", "pages on disk to token shards", "3,236 pages on disk"),
)
"""Per row: the stage, what a reader sees, and how the work begins or what it contains. All are in the default settings."""

WIDTH, ROW, TOP, LEFT, RIGHT = 960, 34, 64, 470, 70
LOW, HIGH = 0.25, 32.0
STYLE = """<style>
  .bg { fill: #ffffff } text { fill: #1b1f24; font-size: 14px } .small { fill: #4a5360; font-size: 12px }
  .ahead { fill: #2f6fb3 } .behind { fill: #b3542f } .line { stroke: #4a5360 } .grid { stroke: #d5dae0 }
  @media (prefers-color-scheme: dark) {
    .bg { fill: #14171b } text { fill: #e8ebef } .small { fill: #b3bcc7 }
    .ahead { fill: #7fb0e6 } .behind { fill: #ee9a73 } .line { stroke: #b3bcc7 } .grid { stroke: #333a43 }
  }
</style>"""


def headlines(rows: Iterable[Race]) -> list[tuple[str, Race]]:
    """Return what a reader sees and the row, for each kind of work that was measured: the row of the peer that does best."""
    races = list(rows)
    chosen = []
    for stage, label, work in KINDS:
        found = [race for race in races if race.stage == stage and work in race.work and "(ours" not in race.work]
        if found:
            chosen.append((label, min(found, key=lambda race: race.ratios[1])))
    return chosen


def chart(chosen: Sequence[tuple[str, Race]]) -> str:
    """Draw the ratios as an SVG that follows the reader's light or dark scheme. The scale is logarithmic; the line is the peer."""
    height = TOP + ROW * len(chosen) + 44
    ticks = [tick for tick in (0.25, 0.5, 1, 2, 4, 8, 16, 32) if LOW <= tick <= HIGH]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="system-ui, sans-serif" role="img" '
        'aria-labelledby="t">',
        '<title id="t">How many times as fast webtext is as the best peer of each kind of work</title>',
        STYLE,
        f'<rect class="bg" width="{WIDTH}" height="{height}" rx="10"/>',
        f'<text x="20" y="30">Times as fast as the best peer measured, {_units(chosen)}</text>',
        *(
            f'<path class="{"line" if tick == 1 else "grid"}" d="M{_x(tick):.1f} {TOP - 14}V{height - 38}"/>'
            f'<text class="small" x="{_x(tick):.1f}" y="{height - 20}" text-anchor="middle">{tick:g}x</text>'
            for tick in ticks
        ),
    ]
    for number, (label, race) in enumerate(chosen):
        y, ratio = TOP + ROW * number, race.ratios[1]
        left, right = sorted((_x(1), _x(ratio)))
        lines += [
            f'<text x="{LEFT - 150}" y="{y + 5}" text-anchor="end">{escape(label)}</text>',
            f'<text class="small" x="{LEFT - 142}" y="{y + 5}">{escape(short(race.peer))}</text>',
            f'<rect class="{"ahead" if ratio >= 1 else "behind"}" x="{left:.1f}" y="{y - 8}" width="{right - left:.1f}" height="18" '
            'rx="3"/>',
            f'<text x="{right + 7:.1f}" y="{y + 6}">{ratio:.2g}x</text>',
        ]
    return "\n".join([*lines, "</svg>"]) + "\n"


def short(peer: str) -> str:
    """The peer's name and version, without what it was asked to do.

    >>> short("gigatoken 0.10.0, a bare loop"), short("json.loads per line, as pushshift's scripts")
    ('gigatoken 0.10.0', 'json.loads per line')
    """
    return peer.partition(",")[0]


def row_cells(label: str, race: Race, number: str) -> tuple[str, ...]:
    """The cells of a row of ten: the work, the peer, the ratio and the two medians with their unit."""
    ours, theirs = median(race.ours), median(race.theirs)
    return label, race.peer, f"**{number}**", f"{ours:.3g}", f"{theirs:.3g}", race.unit


def _x(ratio: float) -> float:
    share = math.log(min(max(ratio, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _units(chosen: Sequence[tuple[str, Race]]) -> str:
    walls = [label for label, race in chosen if race.unit.startswith("wall")]
    return "by CPU time" + (f" (by the clock: {', '.join(walls)})" if walls else "")
